from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LinearRegression, LogisticRegression

from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.ensemble import PreFittedSoftVotingClassifier, PreFittedVotingRegressor, select_members
from nbhelpers.automl.records import Child
from nbhelpers.errors import ModelError

RNG = np.random.default_rng(0)
TARGET = RNG.integers(0, 2, 400)
VALUES = RNG.normal(size=400)


def data_of(target, classes, metric):
    return TrainingData(np.zeros((400, 1)), target, target, classes, np.arange(400) % 5, [], metric, 1)


def child(iteration, predictions, score, algorithm="LightGBM"):
    return Child(iteration, algorithm, "", {}, "Completed", score=score, predictions=predictions)


def opinion(seed, strength, scale=1.0):
    """Probabilities from a score that knows the target with some noise of its own."""
    logits = scale * (strength * (2 * TARGET - 1) + np.random.default_rng(seed).normal(size=400))
    p = 1 / (1 + np.exp(-2 * logits))
    return np.column_stack([1 - p, p])


def test_independent_members_vote_better_than_each_alone():
    children = [child(k, opinion(k, 0.5), 0.7) for k in range(4)]
    weights = select_members(children, data_of(TARGET, np.array([0, 1]), "AUC_weighted"), 15)
    assert sum(weights.values()) == pytest.approx(1)
    assert len(weights) > 1
    votes = sum(weight * children[k].predictions for k, weight in weights.items())
    assert sk.log_loss(TARGET, votes) < min(sk.log_loss(TARGET, each.predictions) for each in children)


def test_weights_are_shares_of_at_most_so_many_picks():
    children = [child(k, opinion(k, 0.3 + 0.2 * k), 0.7 + 0.01 * k) for k in range(4)]
    weights = select_members(children, data_of(TARGET, np.array([0, 1]), "AUC_weighted"), 6)
    assert any(
        all(abs(size * weight - round(size * weight)) < 1e-9 for weight in weights.values()) for size in range(1, 7)
    )


def test_useless_children_do_not_vote():
    good, noise = child(0, opinion(0, 3), 0.99), child(1, opinion(1, 0.0), 0.5, "RandomForest")
    assert 1 not in select_members([noise, good], data_of(TARGET, np.array([0, 1]), "AUC_weighted"), 15)


@pytest.mark.parametrize(
    "metric", ["AUC_weighted", "average_precision_score_weighted", "norm_macro_recall", "accuracy"]
)
def test_the_ensemble_is_not_worse_than_the_best_child_in_the_primary_metric(metric):
    # The best child ranks and decides best, with a log loss so bad that it would be voted down.
    best, mild = child(0, opinion(0, 1.2, scale=40), 0.9), child(1, opinion(1, 0.6), 0.8)
    weights = select_members([best, mild], data_of(TARGET, np.array([0, 1]), metric), 10)
    votes = sum(weight * (best, mild)[k].predictions for k, weight in weights.items())
    score = {
        "AUC_weighted": lambda p: sk.roc_auc_score(TARGET, p[:, 1]),
        "average_precision_score_weighted": lambda p: np.average(
            [sk.average_precision_score(c == TARGET, p[:, c]) for c in (0, 1)], weights=np.bincount(TARGET)
        ),
        "norm_macro_recall": lambda p: sk.balanced_accuracy_score(TARGET, p.argmax(axis=1)),
        "accuracy": lambda p: sk.accuracy_score(TARGET, p.argmax(axis=1)),
    }[metric]
    assert score(votes) >= score(best.predictions)


@pytest.mark.parametrize("metric", ["normalized_root_mean_squared_error", "r2_score", "spearman_correlation"])
def test_regressors_are_averaged(metric):
    children = [child(k, VALUES + np.random.default_rng(k).normal(size=400), 0.5) for k in range(3)]
    weights = select_members(children, data_of(VALUES, None, metric), 15)
    assert set(weights) == {0, 1, 2}


def test_the_fitted_vote_is_the_weighted_mean_of_its_members():
    X = np.column_stack([TARGET + RNG.normal(size=400), VALUES])
    labels = np.array(["no", "yes"])[TARGET]
    members = [("0", LogisticRegression(C=0.01).fit(X, labels)), ("7", LogisticRegression().fit(X, labels))]
    vote = PreFittedSoftVotingClassifier(members, [0.25, 0.75])
    expected = 0.25 * members[0][1].predict_proba(X) + 0.75 * members[1][1].predict_proba(X)
    assert vote.predict_proba(X) == pytest.approx(expected)
    assert (vote.predict(X) == vote.classes_[expected.argmax(axis=1)]).all()
    assert vote.score(X, labels) > 0.6
    lines = [("0", LinearRegression().fit(X, VALUES)), ("1", LinearRegression().fit(X, -VALUES))]
    assert PreFittedVotingRegressor(lines, [0.5, 0.5]).predict(X) == pytest.approx(0, abs=1e-9)


def test_a_vote_is_not_fitted_again():
    with pytest.raises(ModelError, match="not fitted again"):
        PreFittedVotingRegressor([], []).fit([[1]], [1])
