from __future__ import annotations

import math

import numpy as np
import pytest

from nbhelpers.automl.racing import is_behind
from nbhelpers.automl.records import Child

FOLDS = np.array([0.02, -0.01, 0.0, -0.03, 0.02])  # some folds are easier than others, for all alike


def child(iteration: int, skill: float, algorithm: str = "LightGBM", noise: float = 0.002) -> Child:
    own = noise * np.random.default_rng(iteration).normal(size=5)
    scores = (skill + FOLDS + own).tolist()
    return Child(iteration, algorithm, "", {}, "Completed", score=float(np.mean(scores)), fold_scores=scores)


KNOWN = [child(k, 0.8 + 0.01 * (k % 4)) for k in range(12)]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_hopeless_child_is_behind_by_its_gap_to_the_leader(sign):
    known = [
        Child(**{**vars(c), "score": sign * c.score, "fold_scores": (sign * np.array(c.fold_scores)).tolist()})
        for c in KNOWN
    ]
    leader = max(KNOWN, key=lambda child: child.score)
    gap = is_behind([sign * 0.5, sign * 0.48], "LightGBM", known, sign)
    assert gap == pytest.approx(np.mean(leader.fold_scores[:2]) - 0.49)


def test_the_leader_and_those_close_to_it_go_on():
    leader = max(KNOWN, key=lambda child: child.score)
    for n_folds in range(1, 5):
        scores = np.array(leader.fold_scores[:n_folds])
        assert is_behind(scores, "LightGBM", KNOWN, 1) == 0
        assert is_behind(scores - 0.002, "LightGBM", KNOWN, 1) == 0
        assert is_behind(scores + 0.2, "LightGBM", KNOWN, 1) == 0


def test_a_fold_that_is_hard_for_all_puts_no_one_behind():
    hard = [
        Child(k, "LightGBM", "", {}, "Completed", score=0.7, fold_scores=[0.3 + each, 0.9 + each, 0.9 + each])
        for k, each in enumerate(np.linspace(-0.01, 0, 12))
    ]
    assert is_behind([0.3], "LightGBM", hard, 1) == 0
    assert is_behind([0.1], "LightGBM", hard, 1) > 0


def test_the_more_gaps_vary_the_further_behind_a_child_has_to_be():
    wild = [child(k, 0.8, noise=0.05) for k in range(12)]
    assert is_behind([0.7], "LightGBM", KNOWN, 1) > 0
    assert is_behind([0.7], "LightGBM", wild, 1) == 0


@pytest.mark.parametrize("algorithm", ["LogisticRegression", "KNN", "RandomForest", "TensorFlowDNN"])
def test_the_first_two_of_a_family_unlike_boosted_trees_always_go_on(algorithm):
    first, second = child(20, 0.5, algorithm), child(21, 0.5, algorithm)
    assert is_behind([0.1], algorithm, KNOWN, 1) == 0
    assert is_behind([0.1], algorithm, [*KNOWN, first], 1) == 0
    assert is_behind([0.1], algorithm, [*KNOWN, first, second], 1) > 0


@pytest.mark.parametrize("algorithm", ["LightGBM", "XGBoostClassifier", "XGBoostRegressor", "GradientBoosting"])
def test_no_boosted_tree_is_exempt(algorithm):
    assert is_behind([0.1], algorithm, KNOWN, 1) > 0


def test_nobody_is_behind_while_few_are_known():
    counts = [n for n in range(13) if is_behind([0.1], "LightGBM", KNOWN[:n], 1) > 0]
    assert counts == list(range(min(counts), 13))
    assert min(counts) > 3


def test_children_without_all_scores_say_nothing():
    failed = [Child(k, "LightGBM", "", {}, "Failed") for k in range(20, 40)]
    raced = [Child(k, "LightGBM", "", {}, "Canceled", raced=True, fold_scores=[0.1]) for k in range(40, 60)]
    gaps = [
        Child(k, "LightGBM", "", {}, "Completed", score=0.9, fold_scores=[math.nan, 0.9, 0.9, 0.9, 0.9])
        for k in range(60, 80)
    ]
    assert is_behind([0.1], "LightGBM", [*failed, *raced, *gaps], 1) == 0
    alone = is_behind([0.1, 0.1], "LightGBM", KNOWN, 1)
    assert is_behind([0.1, 0.1], "LightGBM", [*failed, *KNOWN, *raced, *gaps], 1) == alone > 0


def test_a_child_whose_own_scores_cannot_all_be_computed_goes_on():
    assert is_behind([0.1, math.nan], "LightGBM", KNOWN, 1) == 0


def test_where_all_score_alike_any_gap_counts_and_none_does_not():
    same = [Child(k, "LightGBM", "", {}, "Completed", score=0.8, fold_scores=[0.8] * 5) for k in range(12)]
    assert is_behind([0.8], "LightGBM", same, 1) == 0
    assert is_behind([0.7], "LightGBM", same, 1) > 0
