from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from nbhelpers.automl import pipelines
from nbhelpers.automl.data import TrainingData, prepare
from nbhelpers.automl.pipelines import IN_ROUNDS, Candidate
from nbhelpers.automl.proposals import portfolio, propose
from nbhelpers.automl.settings import check_settings
from nbhelpers.automl.training import refit, score, train_fold

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("small_models")]


def prepared(X: pd.DataFrame, y: Any, task: str = "classification", **settings: Any) -> TrainingData:
    return prepare(X, y, check_settings(task, {"n_cross_validations": 3} | settings))[1]


def first_of(name: str, task: str, data: TrainingData) -> Candidate:
    return propose(0, check_settings(task, {"allowed_models": [name]}), data, [])


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_each_of_the_portfolio_learns_from_a_table_with_gaps(table, task):
    frame, label, value = table
    settings = check_settings(task, {"n_cross_validations": 3})
    data = prepared(frame, label if task == "classification" else value, task)
    for iteration in range(len(portfolio(settings, data))):
        result = train_fold(data, propose(iteration, settings, data, []), 1)
        assert len(result.predictions) == len(data.splits[1].valid)
        if task == "classification":
            assert result.predictions.sum(axis=1) == pytest.approx(1)
            assert result.metrics["AUC_weighted"] > 0.7
        else:
            assert result.metrics["r2_score"] > 0.2
        json.dumps(result.tables)


@pytest.mark.parametrize("name", [*IN_ROUNDS, "SVM", "RandomForest"])
def test_the_scored_rows_have_no_say_in_the_model(table, name):
    frame, label, value = table
    task = "regression" if name.endswith("Regressor") else "classification"
    data = prepared(frame, label if task == "classification" else value, task)
    scored = data.splits[0].valid
    lies = data.target.copy()
    lies[scored] = 1 - lies[scored] if task == "classification" else -3 * lies[scored]
    other = replace(data, target=lies, labels=lies if task == "regression" else data.classes[lies])
    candidate = first_of(name, task, data)
    honest, lied = train_fold(data, candidate, 0), train_fold(other, candidate, 0)
    np.testing.assert_array_equal(honest.predictions, lied.predictions)
    assert honest.rounds == lied.rounds
    assert honest.metrics != lied.metrics


def test_weights_count_in_the_metrics_and_not_in_the_tables(table):
    frame, label, _ = table
    data = prepared(frame, label)
    rows = data.splits[0].valid
    p = np.random.default_rng(0).random(len(rows))
    predictions, right = np.column_stack([1 - p, p]), (p > 0.5) == data.target[rows]
    weights = np.ones(300)
    weights[rows[right]] = 3.0
    plain, plain_tables = score(data, predictions, rows)
    weighted, tables = score(replace(data, weights=weights), predictions, rows)
    assert plain["accuracy"] == pytest.approx(right.mean())
    assert weighted["accuracy"] == pytest.approx(3 * right.sum() / (3 * right.sum() + (~right).sum()))
    assert tables == plain_tables


def test_a_class_missing_from_the_training_part_gets_probability_zero():
    X = pd.DataFrame({"x": np.arange(90.0), "z": np.arange(90.0) % 4})
    y = pd.Series(["a", "b"] * 44 + ["c", "b"], name="y")
    data = prepared(X, y)
    fold = next(k for k, split in enumerate(data.splits) if 2 in data.target[split.valid])
    for name in ("LightGBM", "XGBoostClassifier", "GradientBoosting", "TensorFlowDNN", "RandomForest", "KNN"):
        result = train_fold(data, first_of(name, "classification", data), fold)
        assert result.predictions.shape == (30, 3)
        assert (result.predictions[:, 2] == 0).all()
        assert result.metrics["accuracy"] >= 0


def test_many_classes_of_two_rows_are_learned_without_a_warning():
    label = pd.Series(np.repeat(np.arange(40), 2), name="y")
    data = prepared(pd.DataFrame({"x": label + 0.0, "z": np.arange(80.0)}), label)
    assert train_fold(data, first_of("LightGBM", "classification", data), 0).predictions.shape == (27, 40)


def test_refit_learns_from_all_final_rows_and_gives_the_user_s_labels(table):
    frame, label, _ = table
    data = prepared(frame, label)
    model = refit(data, first_of("LightGBM", "classification", data))
    assert model.classes_.tolist() == ["no", "yes"]
    assert sk.roc_auc_score(label == "yes", model.predict_proba(data.matrix)[:, 1]) > 0.85
    # A tree whose leaves are single rows knows by heart what it has seen.
    tree = Candidate("DecisionTree", "", {"min_samples_leaf": 1})
    assert refit(data, tree).score(data.matrix, data.labels) == 1
    half = replace(data, final=np.arange(150))
    assert refit(half, tree).score(data.matrix[:150], data.labels[:150]) == 1
    assert refit(half, tree).score(data.matrix[150:], data.labels[150:]) < 1


def test_a_bag_stops_early_again_and_a_single_model_has_some_more_rounds_than_in_the_folds(table, monkeypatch):
    frame, label, _ = table
    data = prepared(frame, label)
    candidate = first_of("LightGBM", "classification", data)
    candidate = replace(candidate, parameters=candidate.parameters | {"rounds": 20})
    assert len(refit(data, candidate)[-1].models_) == 2
    monkeypatch.setattr(pipelines, "_MOST_MODELS", 1)
    single = refit(data, candidate)[-1]
    assert len(single.models_) == 1
    assert 20 < single.rounds_ < 40
