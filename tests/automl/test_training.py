from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn import metrics as sk
from sklearn.pipeline import Pipeline

from nbhelpers.automl import TRUSTED_TYPES
from nbhelpers.automl.candidates import Candidate, propose
from nbhelpers.automl.data import prepare
from nbhelpers.automl.settings import check_settings
from nbhelpers.automl.training import refit, train_fold

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("iteration", range(8))
def test_each_of_the_portfolio_learns_from_a_table_with_gaps(table, task, iteration):
    frame, label, value = table
    settings = check_settings(task, {"n_cross_validations": 3})
    _, data = prepare(frame, label if task == "classification" else value, settings)
    result = train_fold(data, propose(iteration, settings, len(frame), []), 1)
    assert len(result.predictions) == (data.folds == 1).sum()
    if task == "classification":
        assert result.predictions.sum(axis=1) == pytest.approx(1)
        assert result.metrics["AUC_weighted"] > 0.75
    else:
        assert result.metrics["r2_score"] > 0.2


def test_the_scored_fold_has_no_say_in_the_model(table):
    frame, label, _ = table
    settings = check_settings("classification", {"n_cross_validations": 3})
    _, data = prepare(frame, label, settings)
    _, lied = prepare(frame, label, settings)
    scored = data.folds == 0
    lied.target[scored] = 1 - lied.target[scored]
    candidate = propose(0, settings, len(frame), [])
    honest, other = train_fold(data, candidate, 0), train_fold(lied, candidate, 0)
    np.testing.assert_array_equal(honest.predictions, other.predictions)
    assert honest.trees == other.trees


def test_a_class_missing_from_the_training_part_gets_probability_zero():
    X = pd.DataFrame({"x": np.arange(90.0), "z": np.arange(90.0) % 4})
    y = pd.Series(["a", "b"] * 44 + ["c", "b"], name="y")
    settings = check_settings("classification", {"n_cross_validations": 3})
    _, data = prepare(X, y, settings)
    fold = int(data.folds[data.target == 2][0])
    for iteration in (0, 2, 3):
        result = train_fold(data, propose(iteration, settings, 90, []), fold)
        assert result.predictions.shape == (30, 3)
        assert (result.predictions[:, 2] == 0).all()
        assert result.metrics["accuracy"] >= 0


def test_refit_learns_from_all_rows_and_gives_the_user_s_labels(table):
    frame, label, _ = table
    settings = check_settings("classification", {})
    _, data = prepare(frame, label, settings)
    proposal = propose(0, settings, len(frame), [])
    model = refit(data, Candidate("LightGBM", "", proposal.parameters | {"n_estimators": 20}))
    assert model.classes_.tolist() == ["no", "yes"]
    assert model[-1].n_estimators == 22
    assert sk.roc_auc_score(label == "yes", model.predict_proba(data.matrix)[:, 1]) > 0.9


@pytest.mark.parametrize(
    ("task", "algorithm", "preprocessor", "parameters"),
    [
        *(
            (task, "LightGBM", name, {"n_estimators": 5})
            for task in ("classification", "regression")
            for name in ("", "OneHotEncoder", "TargetEncoder")
        ),
        *((task, "RandomForest", "", {"n_estimators": 5}) for task in ("classification", "regression")),
        *(
            (task, algorithm, name, {})
            for task, algorithm in (("classification", "LogisticRegression"), ("regression", "ElasticNet"))
            for name in ("StandardScalerWrapper", "MaxAbsScaler", "SplineTransformer")
        ),
    ],
)
def test_every_kind_of_pipeline_can_be_stored_and_loaded(table, task, algorithm, preprocessor, parameters):
    frame, label, value = table
    frame = frame.assign(
        day=pd.date_range("2020-01-01", periods=len(frame)).astype(str),
        note=[f"a few words and the number {row} of {row % 17}" for row in range(len(frame))],
    )
    settings = check_settings(task, {})
    transformer, data = prepare(frame, label if task == "classification" else value, settings)
    steps = refit(data, Candidate(algorithm, preprocessor, parameters)).steps
    model = Pipeline([("datatransformer", transformer), *steps])
    loaded = skops.io.loads(skops.io.dumps(model), trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
