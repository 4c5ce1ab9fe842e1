from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl import validation
from nbhelpers.automl.data import prepare
from nbhelpers.automl.guardrails import check_data
from nbhelpers.automl.settings import check_settings


def check(
    X: pd.DataFrame, y: Any, task: str = "classification", validation: Any = None, **settings: Any
) -> dict[str, dict[str, Any]]:
    wanted = check_settings(task, settings)
    guardrails = check_data(*prepare(X, pd.Series(y, name="y"), wanted, validation), wanted)
    assert json.loads(json.dumps(guardrails)) == guardrails
    return {guardrail["friendly_type"]: guardrail for guardrail in guardrails}


X = pd.DataFrame({"x": np.arange(120.0), "z": np.arange(120) % 5})


def test_clean_data_passes_and_given_folds_are_not_mentioned():
    found = check(X, ["a", "b"] * 60, n_cross_validations=5)
    assert {name: guardrail["result"] for name, guardrail in found.items()} == {
        "Class balancing detection": "Passed",
        "Missing feature values imputation": "Passed",
        "High cardinality feature detection": "Passed",
    }


def test_a_small_class_is_alerted_up_to_a_fifth_of_the_largest():
    alerted = check(X, ["no"] * 100 + ["yes"] * 20)["Class balancing detection"]
    assert alerted["result"] == "Alerted"
    assert list(alerted["friendly_parameters"][0].values()) == [20, "yes", 120]
    assert check(X, ["no"] * 99 + ["yes"] * 21)["Class balancing detection"]["result"] == "Passed"


def test_missing_values_and_keys_are_listed_by_column():
    frame = X.assign(x=X.x.where(X.x > 9), kind=["a", "b", None] * 40, key=[f"k{i}" for i in X.index])
    found = check(frame, ["a", "b"] * 60)
    rows = found["Missing feature values imputation"]["friendly_parameters"]
    assert [(row["Column name"], row["Missing value count"]) for row in rows] == [("x", 10), ("kind", 40)]
    assert found["High cardinality feature detection"]["friendly_parameters"] == [
        {"Column name": "key", "Column Content Type": "Hashes"}
    ]


def test_folds_that_were_chosen_are_told():
    assert check(X, ["a", "b"] * 60)["Cross validation"]["friendly_parameters"] == [{"Number of folds": 10}]


def test_a_hold_out_that_was_chosen_is_told():
    frame = pd.DataFrame({"x": np.arange(20_000.0), "z": np.arange(20_000) % 3})
    rows = check(frame, ["a", "b"] * 10_000)["Train-Test data split"]["friendly_parameters"]
    assert [list(row.values()) for row in rows] == [["train", 18_000, 90.0], ["test", 2000, 10.0]]
    assert "Train-Test data split" not in check(frame, ["a", "b"] * 10_000, validation_size=0.1)


def test_a_validation_that_was_given_is_not_mentioned():
    split = X.assign(cv=np.arange(120) % 3 > 0)
    for found in (
        check(X, ["a", "b"] * 60, validation_size=0.2),
        check(split, ["a", "b"] * 60, cv_split_column_names=["cv"]),
        check(X, ["a", "b"] * 60, validation=(X, pd.Series(["a", "b"] * 60))),
    ):
        assert not found.keys() & {"Cross validation", "Train-Test data split"}


def test_classes_are_not_judged_by_their_size_where_rows_have_weights():
    assert "Class balancing detection" not in check(X, ["no"] * 110 + ["yes"] * 10, weight_column_name="z")


def test_classes_are_balanced_by_the_training_rows():
    more = X.head(100), pd.Series(["yes"] * 99 + ["no"])
    balance = check(X, ["no"] * 110 + ["yes"] * 10, validation=more)["Class balancing detection"]
    assert list(balance["friendly_parameters"][0].values()) == [10, "yes", 120]


def test_a_sample_is_told(monkeypatch):
    monkeypatch.setattr(validation, "SEARCH_ROWS", 50)
    monkeypatch.setattr(validation, "_LEAST_SAMPLED", 20)
    monkeypatch.setattr(validation, "_LEAST_OF_STRATUM", 2)
    (row,) = check(X, ["a", "b"] * 60)["Subsampling"]["friendly_parameters"]
    assert list(row.values()) == [120, 50]
    assert "Subsampling" not in check(X, ["a", "b"] * 60, enable_subsampling=False)


def test_a_regression_has_no_classes_to_balance():
    assert "Class balancing detection" not in check(X, np.arange(120) / 7, task="regression")


@pytest.mark.skipif("BANK_MARKETING_CSV" not in os.environ, reason="BANK_MARKETING_CSV does not name the survey's file")
def test_the_bank_marketing_table_has_azure_ml_s_findings():
    frame = pd.read_csv(os.environ["BANK_MARKETING_CSV"])
    found = check(frame.drop(columns="y"), frame.y, n_cross_validations=5)
    assert [guardrail["result"] for guardrail in found.values()] == ["Alerted", "Passed", "Passed"]
    balance = found["Class balancing detection"]["friendly_parameters"][0]
    assert list(balance.values()) == [3692, "yes", 32950]
