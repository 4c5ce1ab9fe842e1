from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LinearRegression, LogisticRegression

from nbhelpers.automl import ensemble
from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.ensemble import (
    PreFittedSoftVotingClassifier,
    PreFittedVotingRegressor,
    StackEnsembleClassifier,
    StackEnsembleRegressor,
    stack,
    stack_features,
    stack_predictions,
    unit,
    vote,
)
from nbhelpers.automl.records import Child
from nbhelpers.automl.settings import check_settings
from nbhelpers.automl.validation import Split
from nbhelpers.errors import ModelError

N = 400
RNG = np.random.default_rng(0)
TARGET = RNG.integers(0, 2, N)
THREE = RNG.integers(0, 3, N)
VALUES = RNG.normal(size=N)
CLASSES = np.array([0, 1])


def data_of(target: Any = TARGET, n_folds: int = 5, metric: str = "AUC_weighted", **more: Any) -> TrainingData:
    """Data whose scored rows are in the order of the rows."""
    classes = None if target.dtype == float else np.unique(target)
    rows = np.arange(len(target))
    edges = np.linspace(0, len(target), n_folds + 1).astype(int)
    splits = [Split(np.setdiff1d(rows, rows[low:high]), rows[low:high]) for low, high in pairwise(edges)]
    facts: dict[str, Any] = {
        "matrix": np.zeros((len(target), 1)),
        "target": target,
        "labels": target,
        "classes": classes,
        "splits": splits,
        "final": rows,
        "positions": rows,
        "categorical": [],
        "primary_metric": metric,
        "threads": 1,
    }
    return TrainingData(**(facts | more))


def child(iteration: int, predictions: Any, score: float = 0.8, algorithm: str = "LightGBM") -> Child:
    return Child(iteration, algorithm, "", {}, "Completed", score=score, predictions=predictions)


def opinion(seed: int, strength: float, target: Any = TARGET, n_classes: int = 2) -> Any:
    """Probabilities that know the truth as well as the strength says, with errors of their own."""
    logits = 2 * strength * np.eye(n_classes)[target] + np.random.default_rng(seed).normal(size=(N, n_classes))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def estimate(seed: int, noise: float = 1.0) -> Any:
    return VALUES + noise * np.random.default_rng(seed).normal(size=N)


def settings_of(data: TrainingData, **settings: Any) -> Any:
    return check_settings("regression" if data.classes is None else "classification", settings)


def ensembles(children: list[Child], data: TrainingData, **settings: Any) -> dict[str, ensemble.Ensemble]:
    members = [each.iteration for each in children]
    return {"vote": vote(children, data, 10), "stack": stack(children, data, settings_of(data, **settings), members)}


def kinds() -> dict[str, tuple[list[Child], Any]]:
    return {
        "two": ([child(k, opinion(k, 0.4 + 0.1 * k)) for k in range(4)], TARGET),
        "three": ([child(k, opinion(k, 0.4 + 0.1 * k, THREE, 3)) for k in range(4)], THREE),
        "values": ([child(k, estimate(k, 1 + 0.1 * k)) for k in range(4)], VALUES),
    }


def loss_of(target: Any, predictions: Any) -> float:
    if predictions.ndim == 1:
        return float(np.mean((target - predictions) ** 2))
    return float(sk.log_loss(target, predictions, labels=np.unique(target)))


@pytest.mark.parametrize("kind", ["two", "three", "values"])
@pytest.mark.parametrize("n_folds", [1, 5])
def test_independent_members_are_better_together_than_each_alone(kind, n_folds):
    children, target = kinds()[kind]
    for found in ensembles(children, data_of(target, n_folds)).values():
        assert sum(found.weights.values()) == pytest.approx(1)
        assert len(found.weights) > 1
        assert found.predictions.shape == children[0].predictions.shape
        assert loss_of(target, found.predictions) < min(loss_of(target, each.predictions) for each in children)


@pytest.mark.parametrize("kind", ["two", "three", "values"])
def test_predictions_of_a_fold_do_not_depend_on_its_truth(kind):
    children, target = kinds()[kind]
    data = data_of(target)
    for fold in (0, 3):
        lies = target.copy()
        rows = data.splits[fold].valid
        lies[rows] = -5 * target[rows] + 1 if kind == "values" else (target[rows] + 1) % len(np.unique(target))
        for name, found in ensembles(children, data_of(lies)).items():
            honest = ensembles(children, data)[name]
            np.testing.assert_allclose(found.predictions[rows], honest.predictions[rows], rtol=1e-9)
            others = np.setdiff1d(np.arange(N), rows)
            assert not np.allclose(found.predictions[others], honest.predictions[others])


def test_predictions_of_a_part_of_a_hold_out_do_not_depend_on_its_truth():
    children, _ = kinds()["values"]
    honest = ensembles(children, data_of(VALUES, n_folds=1))
    lies = VALUES.copy()
    lies[7] = 100
    for name, found in ensembles(children, data_of(lies, n_folds=1)).items():
        np.testing.assert_allclose(found.predictions[7], honest[name].predictions[7], rtol=1e-9)
        assert not np.allclose(found.predictions, honest[name].predictions)


def test_votes_are_shares_of_at_most_so_many_picks():
    children, _ = kinds()["two"]
    weights = vote(children, data_of(), 6).weights
    assert any(
        all(abs(size * weight - round(size * weight)) < 1e-9 for weight in weights.values()) for size in range(1, 7)
    )
    assert list(weights.values()) == sorted(weights.values(), reverse=True)


def test_useless_children_do_not_vote_and_hardly_count_in_a_stack():
    good, noise = child(0, opinion(0, 3), 0.99), child(1, opinion(1, 0.0), 0.5, "RandomForest")
    found = ensembles([noise, good], data_of())
    assert 1 not in found["vote"].weights
    assert found["stack"].weights[1] < 0.3


def test_a_stack_is_of_the_voters_and_the_best_of_each_algorithm():
    names = ["LightGBM", "LightGBM", "KNN", "KNN", "SVM"]
    scores = [0.9, 0.8, 0.7, 0.75, 0.6]
    children = [child(k, opinion(k, 0.5), scores[k], names[k]) for k in range(5)]
    data = data_of()
    assert set(stack(children, data, settings_of(data), [1]).weights) == {0, 1, 3, 4}
    worse_is_better = data_of(metric="log_loss")
    low = replace(worse_is_better, primary_metric="normalized_root_mean_squared_error")
    assert set(stack(children, low, settings_of(data), []).weights) == {1, 2, 4}


def test_weights_decide_who_votes_and_what_is_learned():
    half = np.arange(N) % 2 == 0
    knows_even, knows_odd = (np.where(side[:, None], opinion(k, 3), 0.5) for k, side in enumerate((half, ~half)))
    children = [child(0, knows_even), child(1, knows_odd)]
    for weights, best in ((np.where(half, 1.99, 0.01), 0), (np.where(half, 0.01, 1.99), 1)):
        data = data_of(weights=weights)
        for found in ensembles(children, data).values():
            assert max(found.weights, key=lambda k: found.weights[k]) == best
    data = data_of(weights=np.where(half, 1.99, 0.01))
    assert np.mean(ensemble.losses(data, knows_even)) < np.mean(ensemble.losses(data, knows_odd))


def test_weights_of_one_are_as_none():
    for children, target in kinds().values():
        plain, weighted = ensembles(children, data_of(target)), ensembles(children, data_of(target, weights=np.ones(N)))
        for name in plain:
            np.testing.assert_allclose(plain[name].predictions, weighted[name].predictions, rtol=1e-5)


def test_a_class_that_few_rows_have_is_no_obstacle():
    for rare in (1, 2):
        target = np.where(np.arange(N) < rare, 1, 0)
        children = [child(k, opinion(k, 0.5, target)) for k in range(3)]
        for n_folds in (1, 5):
            for found in ensembles(children, data_of(target, n_folds)).values():
                assert np.isfinite(found.predictions).all()
                np.testing.assert_allclose(found.predictions.sum(axis=1), 1)


@pytest.mark.parametrize("factor", [1e-9, 1e12])
def test_the_unit_of_a_quantity_changes_nothing(factor):
    children, _ = kinds()["values"]
    scaled = [replace(each, predictions=factor * each.predictions) for each in children]
    plain, other = ensembles(children, data_of(VALUES)), ensembles(scaled, data_of(factor * VALUES))
    for name in plain:
        np.testing.assert_allclose(other[name].predictions, factor * plain[name].predictions, rtol=1e-6)


@pytest.mark.parametrize("kind", ["two", "three"])
def test_probabilities_of_nought_do_not_ruin_a_stack(kind):
    children, target = kinds()[kind]
    sharp = np.eye(len(np.unique(target)))[(target + (RNG.random(N) < 0.2)) % len(np.unique(target))]
    found = ensembles([*children, child(9, sharp, algorithm="DecisionTree")], data_of(target))["stack"]
    assert loss_of(target, found.predictions) < loss_of(target, children[3].predictions)


def test_the_fitted_vote_is_the_weighted_mean_of_its_members():
    X = np.column_stack([TARGET + RNG.normal(size=N), VALUES])
    labels = np.array(["no", "yes"])[TARGET]
    members = [("0", LogisticRegression(C=0.01).fit(X, labels)), ("7", LogisticRegression().fit(X, labels))]
    voting = PreFittedSoftVotingClassifier(members, [0.25, 0.75])
    expected = 0.25 * members[0][1].predict_proba(X) + 0.75 * members[1][1].predict_proba(X)
    assert voting.predict_proba(X) == pytest.approx(expected)
    assert (voting.predict(X) == voting.classes_[expected.argmax(axis=1)]).all()
    assert voting.score(X, labels) > 0.6
    lines = [("0", LinearRegression().fit(X, VALUES)), ("1", LinearRegression().fit(X, -VALUES))]
    assert PreFittedVotingRegressor(lines, [0.5, 0.5]).predict(X) == pytest.approx(0, abs=1e-9)


def test_the_fitted_stack_predicts_what_was_learned_from_its_members():
    X = np.column_stack([TARGET + RNG.normal(size=N), VALUES])
    labels = np.array(["no", "yes"])[TARGET]
    members = [("0", LogisticRegression(C=0.01).fit(X, labels)), ("7", LogisticRegression().fit(X[:, ::-1], labels))]
    votes = [model.predict_proba(X) for _, model in members]
    data = data_of()
    found = stack([child(k, each) for k, each in zip((0, 7), votes, strict=True)], data, settings_of(data), [0, 7])
    fitted = StackEnsembleClassifier(members, found.meta)
    expected = stack_predictions(found.meta, stack_features(votes), np.mean(votes, axis=0), 1.0)
    assert fitted.predict_proba(X) == pytest.approx(expected)
    assert fitted.predict_proba(X).sum(axis=1) == pytest.approx(1)
    assert (fitted.predict(X) == fitted.classes_[expected.argmax(axis=1)]).all()
    lines = [("0", LinearRegression().fit(X[:, :1], VALUES)), ("1", LinearRegression().fit(X, VALUES))]
    lines = [(name, _First(line)) for name, line in lines]
    values = [line.predict(X) for _, line in lines]
    data = data_of(VALUES)
    meta = stack([child(k, each) for k, each in enumerate(values)], data, settings_of(data), [0, 1]).meta
    fitted_values = StackEnsembleRegressor(lines, meta, unit(data)).predict(X)
    assert sk.r2_score(VALUES, fitted_values) > max(sk.r2_score(VALUES, each) for each in values) - 0.05


class _First:
    """A model that takes as many of the first columns as it was fitted to."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, X: Any) -> Any:
        return self.model.predict(X[:, : self.model.n_features_in_])


@pytest.mark.parametrize(
    "model",
    [
        PreFittedVotingRegressor([], []),
        PreFittedSoftVotingClassifier([], []),
        StackEnsembleRegressor([], None),
        StackEnsembleClassifier([], None),
    ],
    ids=lambda model: type(model).__name__,
)
def test_an_ensemble_is_not_fitted_again(model):
    with pytest.raises(ModelError, match="not fitted again"):
        model.fit([[1]], [1])


@pytest.mark.parametrize("kind", ["LightGBMRegressor", "LinearRegression", None])
def test_nothing_is_learned_from_noise_when_splits_overlap(kind):
    rng = np.random.default_rng(1)
    halves = [np.sort(rng.permutation(N)[: N // 2]) for _ in range(5)]
    splits = [Split(np.setdiff1d(np.arange(N), half), half) for half in halves]
    data = data_of(VALUES, metric="r2_score", splits=splits)
    # What each member says of a row is the same in all splits, and has nothing to do with the truth.
    members = [child(i, (0.3 * rng.normal(size=N))[data.scored], algorithm=f"M{i}") for i in range(4)]
    settings = check_settings("regression", {"primary_metric": "r2_score", "stack_meta_learner_type": kind})
    chosen = stack(members, data, settings, [0, 1, 2, 3])
    assert np.mean(ensemble.losses(data, chosen.predictions)) > 0.98 * VALUES.var()
