from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from nbhelpers.automl.settings import check_settings
from nbhelpers.errors import ConfigException


def test_defaults_are_azure_ml_s():
    settings = check_settings("classification", {})
    assert (settings.primary_metric, settings.iterations, settings.featurization) == ("accuracy", 1000, "auto")
    assert settings.experiment_timeout_minutes is None
    assert check_settings("regression", {}).primary_metric == "normalized_root_mean_squared_error"


def test_all_problems_are_told_at_once():
    wrong = {
        "experiment_timeout_minute": 16,
        "primary_metric": "AUC_weigthed",
        "iterations": 0,
        "n_cross_validations": 2.5,
        "enable_early_stopping": "yes",
        "validation_size": 0.2,
        "allowed_models": ["LightGBM", "XGBoostClassifier"],
        "blocked_models": ["RandomForst"],
    }
    with pytest.raises(ConfigException) as caught:
        check_settings("classification", wrong)
    problem = caught.value.problem
    assert "Did you mean 'experiment_timeout_minutes'?" in problem
    assert "Did you mean 'AUC_weighted'?" in problem
    assert "iterations=0 must be a whole number from 1 to 1,000" in problem
    assert "n_cross_validations=2.5" in problem
    assert "enable_early_stopping='yes' must be True or False" in problem
    assert "validation_size=0.2 works on Azure ML only" in problem
    assert "'XGBoostClassifier', which is not trained here" in problem
    assert "Did you mean 'RandomForest'?" in problem
    assert problem.count("\n- ") == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("experiment_timeout_minutes", 0),
        ("experiment_timeout_minutes", True),
        ("experiment_timeout_minutes", "16"),
        ("experiment_timeout_hours", 9000),
        ("iteration_timeout_minutes", -1),
        ("iterations", "10"),
        ("iterations", None),
        ("n_cross_validations", 1),
        ("n_cross_validations", "auto"),
        ("max_cores_per_iteration", 0),
        ("featurization", None),
        ("featurization", "on"),
        ("experiment_exit_score", float("nan")),
        ("allowed_models", []),
        ("allowed_models", "LightGBM"),
        ("blocked_models", ["LightGBM", "RandomForest", "LogisticRegression"]),
        ("primary_metric", "r2_score"),
        ("seed", -1),
        ("enable_stack_ensemble", True),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(ConfigException, match=name):
        check_settings("classification", {name: value})


@pytest.mark.parametrize("task", ["forecasting", None, ["classification"]])
def test_an_unknown_task_is_refused(task):
    with pytest.raises(ConfigException, match=re.escape(f"task={task!r}")):
        check_settings(task, {})


def test_values_that_ask_for_nothing_pass():
    check_settings(
        "classification",
        {"enable_stack_ensemble": False, "validation_size": None, "path": ".", "debug_log": "a.log", "verbosity": 20},
    )
    assert check_settings("classification", {"blocked_models": ["KNN"]}).algorithms[0] == "LightGBM"


def test_minutes_win_over_hours_and_may_be_short():
    assert check_settings("classification", {"experiment_timeout_hours": 0.5}).experiment_timeout_minutes == 30
    both = {"experiment_timeout_hours": 1, "experiment_timeout_minutes": 0.2}
    assert check_settings("classification", both).experiment_timeout_minutes == 0.2


def test_settings_are_json_able():
    settings = check_settings("regression", {"allowed_models": ["ElasticNet"], "featurization": "OFF", "seed": 3})
    assert settings.algorithms == ("ElasticNet",)
    again = json.loads(json.dumps(settings.to_dict()))
    assert (again["allowed_models"], again["featurization"], again["seed"]) == (["ElasticNet"], "off", 3)


@pytest.mark.parametrize("name", ["validation_data", "test_data", "X", "y"])
def test_a_table_given_as_a_setting_is_refused_by_its_type(name):
    with pytest.raises(ConfigException, match=rf"{name}=\(DataFrame\) works on Azure ML only"):
        check_settings("classification", {name: pd.DataFrame({"a": [1, 2]})})
