from __future__ import annotations

import pytest

from nbhelpers.automl.algorithms import ALGORITHMS, model_problems, usable


@pytest.mark.parametrize(
    ("task", "models", "told"),
    [
        ("regression", ["XGBoostClassifier"], "'XGBoostClassifier', which is not for regression"),
        ("classification", ["ElasticNet"], "'ElasticNet', which is not for classification"),
        ("classification", ["TabnetClassifier"], "'TabnetClassifier', which is not trained here"),
        ("regression", ["XGBoost"], "Did you mean 'XGBoostRegressor'?"),
        ("classification", ["lightgbm_classifier_of_mine"], "Use 'LightGBM', "),
        ("classification", [7], "must be a list of model names"),
    ],
)
def test_a_name_that_cannot_be_allowed_is_told_with_the_remedy(task, models, told):
    (problem,) = model_problems(task, {"allowed_models": models})
    assert told in problem


def test_any_of_azure_ml_s_names_can_be_blocked():
    blocked = ["TabnetRegressor", "TensorFlowLinearClassifier", "ElasticNet", "KNN"]
    assert model_problems("classification", {"blocked_models": blocked}) == []
    assert set(ALGORITHMS["classification"]) - set(usable("classification", {"blocked_models": blocked})) == {"KNN"}


def test_models_that_are_allowed_and_blocked_are_blocked():
    both = {"allowed_models": ["KNN", "SVM"], "blocked_models": ["SVM"]}
    assert usable("classification", both) == ("KNN",)
    (problem,) = model_problems("classification", both | {"blocked_models": ["SVM", "KNN"]})
    assert "leaves no model to try" in problem
