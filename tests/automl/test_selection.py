from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nbhelpers.automl.data import prepare
from nbhelpers.automl.records import Child
from nbhelpers.automl.selection import Way, by_preference, joined
from nbhelpers.automl.settings import check_settings
from tests.automl.scripted import Scripted, made_up_model
from tests.automl.searches import FAST, run


def way(name: str, scores: list[float], loss: float | list[float]) -> Way:
    weights = {} if name == "LightGBM" else {0: 1.0}
    child = Child(0, name, "", {}, "Completed", score=float(np.nanmean(scores)), fold_scores=scores, weights=weights)
    return Way(child, scores, loss if isinstance(loss, list) else [loss] * len(scores))


def names(*ways: Way, sign: int = 1) -> list[str]:
    return [each.child.algorithm for each in by_preference(list(ways), sign)]


BASE = np.array([0.80, 0.84, 0.78, 0.82])


def scores(gap: float, noise: float = 0.0, base: Any = BASE) -> list[float]:
    return (base + gap + noise * np.array([1, -1, -1, 1])).tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_primary_metric_that_is_better_beyond_the_standard_error_decides(sign):
    worse = way("VotingEnsemble", (sign * np.array(scores(0.0))).tolist(), loss=0.1)
    better = way("StackEnsemble", (sign * np.array(scores(0.01, 0.002))).tolist(), loss=0.9)
    alone = way("LightGBM", (sign * np.array(scores(-0.1))).tolist(), loss=0.5)
    assert names(alone, worse, better, sign=sign)[0] == "StackEnsemble"
    best = way("LightGBM", (sign * np.array(scores(0.1, 0.002))).tolist(), loss=2.0)
    assert names(best, worse, better, sign=sign)[0] == "LightGBM"


def test_the_loss_decides_between_ensembles_that_the_primary_metric_cannot_tell_apart():
    alone = way("LightGBM", scores(-0.1), loss=0.5)
    for losses, first in (((0.4, 0.3), "StackEnsemble"), ((0.3, 0.4), "VotingEnsemble")):
        voting = way("VotingEnsemble", scores(0.0), loss=losses[0])
        stacked = way("StackEnsemble", scores(0.001, 0.02), loss=losses[1])
        assert names(alone, voting, stacked)[0] == first


def test_the_stack_goes_before_a_vote_that_is_not_clearly_better():
    alone = way("LightGBM", scores(-0.1), loss=0.5)
    stacked = way("StackEnsemble", scores(0.0), loss=[0.30, 0.32, 0.28, 0.30])
    for gap, noise, first in ((0.001, 0.002, "StackEnsemble"), (0.004, 0.002, "VotingEnsemble")):
        assert names(alone, way("VotingEnsemble", scores(gap, noise), loss=0.3), stacked)[0] == first
    for losses, first in (
        ([0.29, 0.31, 0.29, 0.28], "StackEnsemble"),
        ([0.29, 0.31, 0.26, 0.28], "VotingEnsemble"),
    ):
        assert names(alone, way("VotingEnsemble", scores(0.001, 0.02), losses), stacked)[0] == first
    assert names(alone, way("VotingEnsemble", scores(-0.01, 0.002), loss=0.1), stacked)[0] == "StackEnsemble"


@pytest.mark.parametrize("ensemble", ["StackEnsemble", "VotingEnsemble"])
def test_the_best_child_alone_goes_before_an_ensemble_only_if_it_is_better_by_far(ensemble):
    together = way(ensemble, scores(0.0), loss=0.4)
    for gap, first in ((0.003, ensemble), (0.004, "LightGBM")):  # 2.6 and 3.5 standard errors
        assert names(way("LightGBM", scores(gap, 0.002), loss=0.3), together)[0] == first


@pytest.mark.parametrize(("gap", "first"), [(-0.001, "StackEnsemble"), (0.001, "VotingEnsemble")])
def test_of_a_single_hold_out_the_better_ensemble_goes_first(gap, first):
    alone = way("LightGBM", [0.95], loss=0.2)  # chosen on these rows
    voting, stacked = way("VotingEnsemble", [0.9 + gap], loss=0.3), way("StackEnsemble", [0.9], loss=0.3)
    assert names(alone, voting, stacked)[0] == first
    assert names(alone, voting) == ["VotingEnsemble", "LightGBM"]


def test_folds_without_a_score_are_left_out_of_the_comparison():
    alone = way("LightGBM", [0.9, math.nan, 0.91], loss=0.5)
    assert names(alone, way("VotingEnsemble", [0.8, math.nan, 0.8], loss=0.4)) == ["LightGBM", "VotingEnsemble"]


def test_all_ways_are_kept():
    ways = [
        way("LightGBM", scores(0), 0.3),
        way("VotingEnsemble", scores(0), 0.2),
        way("StackEnsemble", scores(0), 0.1),
    ]
    assert sorted(names(*ways)) == ["LightGBM", "StackEnsemble", "VotingEnsemble"]
    assert names(ways[0]) == ["LightGBM"]
    assert set(names(ways[0], ways[1])) == {"LightGBM", "VotingEnsemble"}


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_each_member_of_a_stack_has_its_own_coefficients(table, task):
    X, label, value = table
    y, metric = (label, "AUC_weighted") if task == "classification" else (value, "r2_score")
    result = run(X, y, task, pool=Scripted(), iterations=9, primary_metric=metric)
    settings = check_settings(task, FAST | {"primary_metric": metric})
    transformer, data = prepare(X, y, settings)
    child = result.children[-1]
    members = [result.children[iteration] for iteration in child.weights]  # the heaviest first
    assert members != sorted(members, key=lambda member: member.iteration)
    fitted = {member.iteration: made_up_model(data, member) for member in members}
    last = joined(child, members, fitted, transformer, data, settings)[-1]
    strength = np.abs(last.meta_learner.coef_).ravel()
    found = dict(zip([int(name) for name, _ in last.base_learners], strength / strength.sum(), strict=True))
    assert found == pytest.approx(child.weights)


def test_a_stack_of_one_member_keeps_its_meta_learner(table):
    X, y, _ = table
    result = run(X, y, pool=Scripted(), iterations=9)
    settings = check_settings("classification", FAST)
    transformer, data = prepare(X, y, settings)
    stack, voting = result.children[-1], result.children[-2]
    member = result.children[next(iter(stack.weights))]
    fitted = {member.iteration: made_up_model(data, member)}
    for child, name in ((stack, "stackensembleclassifier"), (voting, member.algorithm.lower())):
        alone = replace(child, weights={member.iteration: 1.0})
        model = joined(alone, [member], fitted, transformer, data, settings)
        assert model.steps[-1][0] == name
