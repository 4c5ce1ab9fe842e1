from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl import check_settings
from nbhelpers.automl.data import prepare
from nbhelpers.automl.importance import permutation_importance
from nbhelpers.automl.pipelines import Candidate
from nbhelpers.automl.validation import Split
from tests.automl.searches import run

LINE = {
    "classification": Candidate("LogisticRegression", "StandardScalerWrapper", {"C": 1.0}),
    "regression": Candidate("ElasticNet", "StandardScalerWrapper", {"alpha": 0.001, "l1_ratio": 0.5}),
}
METRICS = {"classification": "AUC_weighted", "regression": "normalized_root_mean_squared_error"}


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_the_label_is_made_of_is_important_and_noise_is_not(task):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 3)), columns=["noise", "much", "little"])
    value = 3 * X["much"] + X["little"] + rng.normal(scale=0.5, size=600)
    y = (value > 0).map({True: "yes", False: "no"}) if task == "classification" else value
    _, data = prepare(X, y, check_settings(task, {"n_cross_validations": 3, "primary_metric": METRICS[task]}))
    columns = {name: [place] for place, name in enumerate(X)}
    found = permutation_importance(data, LINE[task], columns)
    assert [entry["column"] for entry in found] == ["much", "little", "noise"]
    assert found[0]["importance"] > 3 * found[1]["importance"] > 0
    assert abs(found[2]["importance"]) < 0.02
    assert all(entry["std"] > 0 for entry in found)
    assert found == permutation_importance(data, LINE[task], columns)


def test_what_was_made_of_a_column_is_shuffled_together():
    rng = np.random.default_rng(0)
    half = rng.normal(size=600)
    X = pd.DataFrame({"half": half, "other half": half, "noise": rng.normal(size=600)})
    _, data = prepare(X, pd.Series(half > 0), check_settings("classification", {"n_cross_validations": 3}))
    line = LINE["classification"]
    apart = permutation_importance(data, line, {"half": [0], "other half": [1], "noise": [2]})
    together = permutation_importance(data, line, {"both": [0, 1], "noise": [2]})
    assert together[0]["importance"] > 1.5 * apart[0]["importance"]


def test_a_search_tells_the_importance_of_each_column_of_the_table(table):
    X, y, _ = table
    settings = {"iterations": 2, "allowed_models": ["LogisticRegression"], "model_explainability": True}
    found = run(X, y, **settings).importance
    assert found[0]["column"] == "amount"
    assert {entry["column"] for entry in found} == set(X.columns)
    assert run(X, y, **settings | {"model_explainability": False}).importance == []


def test_there_are_none_where_the_metric_cannot_be_computed():
    X = pd.DataFrame({"x": np.arange(60.0)})
    y = pd.Series(["no"] * 50 + ["yes"] * 10)
    _, data = prepare(
        X, y, check_settings("classification", {"n_cross_validations": 3, "primary_metric": "AUC_weighted"})
    )
    only_no = Split(data.splits[0].train, np.arange(5))
    data = replace(data, splits=[only_no, *data.splits[1:]])
    assert permutation_importance(data, LINE["classification"], {"x": [0]}) == []
