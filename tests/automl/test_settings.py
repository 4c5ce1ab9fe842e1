from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from nbhelpers.automl.algorithms import ALGORITHMS
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
        "validation_size": 1.2,
        "test_size": 0.2,
        "stack_meta_learner_type": "LogisticRegresion",
        "allowed_models": ["LightGBM", "XGBoostRegressor"],
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
    assert "validation_size=1.2 must be a share" in problem
    assert "n_cross_validations and validation_size" not in problem  # these two go together
    assert "test_size=0.2 works on Azure ML only" in problem
    assert "stack_meta_learner_type='LogisticRegresion' is not one of 'LogisticRegression'" in problem
    assert "'XGBoostRegressor', which is not for classification" in problem
    assert "Did you mean 'RandomForest'?" in problem
    assert problem.count("\n- ") == 10


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
        ("n_cross_validations", "all"),
        ("validation_size", 1),
        ("validation_size", True),
        ("cv_split_column_names", "fold"),
        ("cv_split_column_names", []),
        ("cv_split_column_names", ["fold", "Fold"]),
        ("weight_column_name", 3),
        ("weight_column_name", ""),
        ("positive_label", ["yes"]),
        ("positive_label", float("nan")),
        ("stack_meta_learner_type", "ElasticNet"),
        ("stack_meta_learner_kwargs", {"C": 1.0}),
        ("stack_meta_learner_train_percentage", 1),
        ("enable_subsampling", "no"),
        ("enable_dnn", 1),
        ("model_explainability", None),
        ("mem_in_mb", 4096),
        ("max_cores_per_iteration", 0),
        ("featurization", None),
        ("featurization", "on"),
        ("experiment_exit_score", float("nan")),
        ("allowed_models", []),
        ("allowed_models", "LightGBM"),
        ("allowed_models", ["TabnetClassifier"]),
        ("blocked_models", list(ALGORITHMS["classification"])),
        ("primary_metric", "r2_score"),
        ("seed", -1),
        ("enable_stack_ensemble", "yes"),
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


def test_a_way_of_validation_that_is_left_open_is_none():
    settings = check_settings("classification", {"n_cross_validations": "auto", "validation_size": 0.0})
    assert (settings.n_cross_validations, settings.validation_size) == (None, None)
    check_settings("classification", {"n_cross_validations": "auto", "cv_split_column_names": ["fold"]})


@pytest.mark.parametrize(
    ("given", "validation_data", "named"),
    [
        ({"n_cross_validations": 5}, True, "validation_data and n_cross_validations"),
        ({"validation_size": 0.2}, True, "validation_data and validation_size"),
        ({"cv_split_column_names": ["a"]}, True, "validation_data and cv_split_column_names"),
        ({"cv_split_column_names": ["a"], "n_cross_validations": 5}, False, "n_cross_validations and cv_split"),
        ({"cv_split_column_names": ["a"], "validation_size": 0.2}, False, "validation_size and cv_split"),
        ({"cv_split_column_names": ["a", "W"], "weight_column_name": "w"}, False, "weight_column_name='w'"),
        ({"iterations": 8, "ensemble_iterations": 9}, False, "ensemble_iterations=9 must be at most iterations=8"),
        ({"enable_dnn": False, "allowed_models": ["TensorFlowDNN"]}, False, "enable_dnn=False leaves no model"),
        ({"weight_column_name": "w", "allowed_models": ["KNN"]}, False, "KNN and LassoLars cannot weight rows"),
    ],
)
def test_settings_that_conflict_are_refused_together(given, validation_data, named):
    with pytest.raises(ConfigException, match=named):
        check_settings("classification", given, validation_data=validation_data)


def test_settings_that_go_together_pass():
    check_settings("classification", {"n_cross_validations": 5, "validation_size": 0.2})
    check_settings("classification", {"n_cross_validations": "auto"}, validation_data=True)
    check_settings("classification", {"iterations": 8, "ensemble_iterations": 8})


def test_a_regression_has_no_positive_label():
    with pytest.raises(ConfigException, match="positive_label='yes' is for classification"):
        check_settings("regression", {"positive_label": "yes"})


def test_what_else_is_asked_for_leaves_algorithms_out():
    everything = check_settings("regression", {}).algorithms
    assert set(everything) - set(check_settings("regression", {"enable_dnn": False}).algorithms) == {"TensorFlowDNN"}
    assert check_settings("regression", {"enable_dnn": True}).algorithms == everything
    weighted = check_settings("regression", {"weight_column_name": "w"}).algorithms
    assert set(everything) - set(weighted) == {"KNN", "LassoLars"}


def test_checked_settings_are_as_good_as_given_ones():
    given = {
        "iterations": 5,
        "validation_size": 0.2,
        "n_cross_validations": 3,
        "weight_column_name": "w",
        "positive_label": True,
        "stack_meta_learner_type": "LogisticRegression",
        "stack_meta_learner_kwargs": {"C": 0.5},
        "stack_meta_learner_train_percentage": 0.3,
        "blocked_models": ["TabnetClassifier"],
        "enable_subsampling": False,
        "model_explainability": False,
    }
    settings = check_settings("classification", given)
    stored = json.loads(json.dumps(settings.to_dict()))
    assert check_settings(stored.pop("task"), stored) == settings
    assert (settings.positive_label, settings.stack_meta_learner_kwargs) == (True, {"C": 0.5})
    fewer = stored | {"iterations": 2}  # as when a pipeline's parameter is changed: the default picks are no mistake
    assert check_settings("classification", fewer).iterations == 2


@pytest.mark.parametrize("name", ["validation_data", "test_data", "X", "y"])
def test_a_table_given_as_a_setting_is_refused_by_its_type(name):
    with pytest.raises(ConfigException, match=rf"{name}=\(DataFrame\) works on Azure ML only"):
        check_settings("classification", {name: pd.DataFrame({"a": [1, 2]})})
