from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl.data import prepare
from nbhelpers.automl.guardrails import check_data
from nbhelpers.automl.settings import check_settings


def check(X: pd.DataFrame, y: Any, task: str = "classification", **settings: Any) -> dict[str, dict[str, Any]]:
    wanted = check_settings(task, settings)
    guardrails = check_data(*prepare(X, pd.Series(y, name="y"), wanted), wanted)
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


def test_a_regression_has_no_classes_to_balance():
    assert "Class balancing detection" not in check(X, np.arange(120) / 7, task="regression")


@pytest.mark.skipif("BANK_MARKETING_CSV" not in os.environ, reason="BANK_MARKETING_CSV does not name the survey's file")
def test_the_bank_marketing_table_has_azure_ml_s_findings():
    frame = pd.read_csv(os.environ["BANK_MARKETING_CSV"])
    found = check(frame.drop(columns="y"), frame.y, n_cross_validations=5)
    assert [guardrail["result"] for guardrail in found.values()] == ["Alerted", "Passed", "Passed"]
    balance = found["Class balancing detection"]["friendly_parameters"][0]
    assert list(balance.values()) == [3692, "yes", 32950]
