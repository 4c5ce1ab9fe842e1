from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline

from nbhelpers.automl import TRUSTED_TYPES, pipelines
from nbhelpers.automl.algorithms import ALGORITHMS
from nbhelpers.automl.data import TrainingData, prepare
from nbhelpers.automl.featurize import DataTransformer
from nbhelpers.automl.pipelines import IN_ROUNDS, WITHOUT_WEIGHTS, Candidate, bag_size, seeded, steps_of
from nbhelpers.automl.proposals import propose
from nbhelpers.automl.settings import check_settings
from nbhelpers.automl.training import refit, train_fold

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("small_models")]

EVERY = [pytest.param(task, name, id=f"{task}-{name}") for task, names in ALGORITHMS.items() for name in names]
#: Classifiers that are given probabilities by cross validation, for which each class needs several rows.
CALIBRATED = ("SVM", "LinearSVM", "SGD", "AveragedPerceptronClassifier")


def prepared(X: pd.DataFrame, y: Any, task: str, **settings: Any) -> tuple[DataTransformer, TrainingData]:
    return prepare(X, y, check_settings(task, {"n_cross_validations": 3} | settings))


def first_of(name: str, task: str, data: TrainingData) -> Candidate:
    """The first candidate of an algorithm."""
    candidate = propose(0, check_settings(task, {"allowed_models": [name]}), data, [])
    assert candidate.algorithm == name
    return candidate


def fitted(data: TrainingData, candidate: Candidate) -> Pipeline:
    rounds = {"rounds": 5} if candidate.algorithm in IN_ROUNDS else {}
    return refit(data, replace(candidate, parameters=candidate.parameters | rounds))


def assert_stored_model_predicts_the_same(transformer: DataTransformer, model: Pipeline, X: pd.DataFrame) -> None:
    whole = Pipeline([("datatransformer", transformer), *model.steps])
    stored = skops.io.dumps(whole)
    assert set(skops.io.get_untrusted_types(data=stored)) <= set(TRUSTED_TYPES)
    loaded = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(loaded.predict(X), whole.predict(X))
    if hasattr(whole, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(X), whole.predict_proba(X))
        assert loaded.classes_.tolist() == whole.classes_.tolist()


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_algorithm_learns_and_its_model_can_be_stored(table, task, name):
    X, label, value = table
    transformer, data = prepared(X, label if task == "classification" else value, task)
    candidate = first_of(name, task, data)
    result = train_fold(data, candidate, 1)
    assert len(result.predictions) == len(data.splits[1].valid)
    if task == "regression":
        assert result.metrics["r2_score"] > 0.2
    else:
        assert result.metrics["AUC_weighted"] > 0.65
        np.testing.assert_allclose(result.predictions.sum(axis=1), 1, rtol=1e-12)
    assert (result.rounds is not None) == (name in IN_ROUNDS)
    assert_stored_model_predicts_the_same(transformer, fitted(data, candidate), X)


@pytest.mark.parametrize("name", ALGORITHMS["classification"])
@pytest.mark.parametrize("kind", ["bool", "int"])
def test_every_classifier_gives_the_user_s_labels(table, name, kind):
    X, _, value = table
    labels = pd.Series(value > 1.2 if kind == "bool" else 5 * np.digitize(value, [0.5, 1.5]), name="y")
    transformer, data = prepared(X[["amount", "job"]], labels, "classification")
    model = fitted(data, first_of(name, "classification", data))
    assert model.classes_.tolist() == sorted(set(labels))
    assert model.predict(data.matrix).dtype == labels.dtype
    assert_stored_model_predicts_the_same(transformer, model, X[["amount", "job"]])


@pytest.mark.parametrize("name", [name for name in ALGORITHMS["classification"] if name not in CALIBRATED])
def test_every_classifier_but_calibrated_ones_copes_with_a_class_of_two_rows(table, name):
    X, label, _ = table
    _, data = prepared(X, label.where(label.index > 1, "odd"), "classification")
    for fold in range(3):
        result = train_fold(data, first_of(name, "classification", data), fold)
        assert result.predictions.shape == (len(data.splits[fold].valid), 3)
        assert np.isfinite(result.predictions).all()
    assert fitted(data, first_of(name, "classification", data)).classes_.tolist() == ["no", "odd", "yes"]


@pytest.mark.parametrize("name", ALGORITHMS["regression"])
@pytest.mark.parametrize(("factor", "offset"), [(1e-9, 0.0), (1e12, 3e12), (1.0, 1e9)])
def test_every_regressor_learns_a_target_of_any_scale(table, name, factor, offset):
    X, _, value = table
    _, plain = prepared(X[["amount", "job"]], value, "regression")
    _, data = prepared(X[["amount", "job"]], factor * value + offset, "regression")
    candidate = first_of(name, "regression", data)
    r2 = [train_fold(each, candidate, 0).metrics["r2_score"] for each in (plain, data)]
    assert r2[1] == pytest.approx(r2[0], abs=0.02)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_algorithm_that_can_use_weights_does(table, task, name):
    X, _, value = table
    _, data = prepared(X[["amount", "job"]], (value > 1.2) if task == "classification" else value, task)
    n = len(data.target)
    lies = 1 - data.target if task == "classification" else 2.4 - data.target
    labels = data.classes[lies] if task == "classification" else lies
    doubled = replace(
        data,
        matrix=np.tile(data.matrix, (2, 1)),
        target=np.concatenate([data.target, lies]),
        labels=np.concatenate([data.labels, labels]),
        final=np.arange(2 * n),
        positions=np.arange(2 * n),
        weights=np.repeat([1.9, 0.1], n),
    )
    candidate = first_of(name, task, data)
    if name in WITHOUT_WEIGHTS:
        with pytest.raises(TypeError):
            fitted(doubled, candidate)
        return
    # Each row is there once with the truth and once with a lie, which weighs little.
    agreement = fitted(doubled, candidate).score(data.matrix, data.labels)
    liar = fitted(replace(doubled, weights=np.repeat([0.1, 1.9], n)), candidate)
    assert agreement > liar.score(data.matrix, data.labels) + 0.2


@pytest.mark.parametrize(
    "name",
    [
        *("", "OneHotEncoder", "TargetEncoder", "StandardScalerWrapper", "MaxAbsScaler", "MinMaxScaler"),
        *("QuantileTransformer", "SplineTransformer"),
    ],
)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_preprocessor_can_be_stored(table, task, name):
    X, label, value = table
    transformer, data = prepared(X, label if task == "classification" else value, task)
    model = refit(data, Candidate("DecisionTree", name, {"min_samples_leaf": 20}))
    assert_stored_model_predicts_the_same(transformer, model, X)


@pytest.mark.parametrize("name", ["SplineTransformer", "QuantileTransformer", "StandardScalerWrapper", "TargetEncoder"])
@pytest.mark.parametrize("n_rows", [20, 60])
def test_every_preprocessor_copes_with_few_rows(table, name, n_rows):
    X, label, _ = table
    _, data = prepared(X.head(n_rows), label.head(n_rows), "classification", n_cross_validations=2)
    result = train_fold(data, Candidate("DecisionTree", name, {}), 0)
    assert np.isfinite(result.predictions).all()


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_algorithm_copes_with_twenty_rows(table, task, name):
    X, label, value = table
    _, data = prepared(X.head(20), (label if task == "classification" else value).head(20), task, n_cross_validations=2)
    assert np.isfinite(train_fold(data, first_of(name, task, data), 0).predictions).all()


def test_unseen_categories_and_gaps_are_no_error(table):
    X, label, _ = table
    transformer, data = prepared(X, label, "classification")
    odd = transformer.transform(X.head(3).assign(job=["pilot", None, "miner"], amount=None))
    for name in ("OneHotEncoder", "TargetEncoder", "SplineTransformer", "QuantileTransformer"):
        model = refit(data, Candidate("DecisionTree", name, {}))
        assert np.isfinite(model.predict_proba(odd)).all()


def test_a_model_of_fixed_rounds_can_be_stored(table, monkeypatch):
    X, label, value = table
    monkeypatch.setattr(pipelines, "_MOST_MODELS", 1)
    for task, y in (("classification", label), ("regression", value)):
        transformer, data = prepared(X, y, task)
        assert bag_size(data) == 1
        for name in set(IN_ROUNDS) & set(ALGORITHMS[task]):
            model = fitted(data, first_of(name, task, data))
            assert len(model[-1].models_) == 1
            assert model[-1].rounds_ >= 5
            assert_stored_model_predicts_the_same(transformer, model, X)


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_the_random_state_of_a_candidate_is_its_seed(table, task, name):
    X, label, value = table
    _, data = prepared(X, label if task == "classification" else value, task)
    bare = {key: value for key, value in first_of(name, task, data).parameters.items() if key != "random_state"}
    one = seeded(Candidate(name, "", bare), 2**31 + 7)
    assert one.parameters in (bare, bare | {"random_state": 7})
    assert json.loads(json.dumps(one.parameters)) == one.parameters
    steps = steps_of(replace(one, preprocessor="StandardScalerWrapper"), data)
    assert [step for step, _ in steps] == [type(step).__name__.lower() for _, step in steps]


@pytest.mark.parametrize(("share", "halved"), [(0.1, True), (0.9, False)])
def test_no_forest_samples_half_of_few_rows(table, share, halved):
    X, label, _ = table
    _, data = prepared(X, label, "classification", n_cross_validations=None, validation_size=share)
    candidate = Candidate("RandomForest", "", {"max_features": 0.5, "half": True})
    assert (steps_of(candidate, data)[-1][1].max_samples == 0.5) is halved


def test_no_tree_is_grown_on_more_rows_than_trees_gain_by(table, monkeypatch):
    X, y, _ = table
    monkeypatch.setattr(pipelines, "_MOST_FOR_TREE", 50)
    _, data = prepared(X, y, "classification")
    forest = Candidate("RandomForest", "", {"min_samples_leaf": 1, "max_features": 0.5})
    assert steps_of(forest, data)[-1][1].max_samples == pytest.approx(50 / 200)
    assert steps_of(forest, data, n_rows=300)[-1][1].max_samples == pytest.approx(50 / 300)
    assert fitted(data, forest)[-1].max_samples == pytest.approx(50 / 300)


def test_a_linear_model_learns_from_hundreds_of_categories():
    rng = np.random.default_rng(0)
    shop = rng.integers(200, size=4000)
    X = pd.DataFrame({"shop": [f"shop {number}" for number in shop], "noise": rng.normal(size=4000)})
    _, data = prepared(X, pd.Series(rng.random(4000) < rng.random(200)[shop]), "classification")
    candidate = Candidate("LogisticRegression", "StandardScalerWrapper", {"C": 1.0})
    assert train_fold(data, candidate, 0).metrics["AUC_weighted"] > 0.75


def test_whole_numbers_are_a_quantity_to_the_target_encoder(table):
    X, _, value = table
    candidate = Candidate("LightGBM", "TargetEncoder", {"learning_rate": 0.1, "random_state": 0})
    widths = []
    for y in (value, (10 * value).round()):
        _, data = prepared(X, y, "regression")
        assert data.categorical
        widths.append((Pipeline(steps_of(candidate, data)[:1]).fit_transform(data.matrix, data.target)).shape[1])
    assert widths == [data.matrix.shape[1]] * 2


def test_threads_are_those_of_the_settings(table):
    X, label, _ = table
    _, data = prepared(X, label, "classification", max_cores_per_iteration=2)
    for name in ("LightGBM", "XGBoostClassifier", "RandomForest", "ExtremeRandomTrees"):
        model = steps_of(first_of(name, "classification", data), data)[-1][1]
        assert (model.estimator if name in IN_ROUNDS else model).n_jobs == 2
