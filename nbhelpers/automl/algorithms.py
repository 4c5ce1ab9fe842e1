"""The algorithms that a search may try, under Azure ML's names, and what is wrong with lists of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbhelpers.automl.pipelines import WITHOUT_WEIGHTS
from nbhelpers.errors import nearest

#: What the engine can train, by task, under Azure ML's names.
ALGORITHMS: dict[str, tuple[str, ...]] = {
    "classification": (
        "LightGBM",
        "XGBoostClassifier",
        "GradientBoosting",
        "RandomForest",
        "ExtremeRandomTrees",
        "LogisticRegression",
        "TensorFlowDNN",
        "KNN",
        "SVM",
        "DecisionTree",
        "BernoulliNaiveBayes",
        "MultinomialNaiveBayes",
        "LinearSVM",
        "SGD",
        "AveragedPerceptronClassifier",
    ),
    "regression": (
        "LightGBM",
        "XGBoostRegressor",
        "GradientBoosting",
        "RandomForest",
        "ExtremeRandomTrees",
        "ElasticNet",
        "TensorFlowDNN",
        "KNN",
        "DecisionTree",
        "LassoLars",
        "SGD",
        "FastLinearRegressor",
        "OnlineGradientDescentRegressor",
    ),
}

#: Azure ML's other models: they may be blocked, and cannot be asked for.
_AZURE_ALGORITHMS = ("TabnetClassifier", "TabnetRegressor", "TensorFlowLinearClassifier", "TensorFlowLinearRegressor")


def usable(task: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The algorithms that settings leave to try: those allowed and not blocked that can do what else is asked for."""
    left_out = {*(settings.get("blocked_models") or ())}
    if settings.get("weight_column_name") is not None:
        left_out |= {*WITHOUT_WEIGHTS}
    if settings.get("enable_dnn") is False:
        left_out.add("TensorFlowDNN")
    allowed = settings.get("allowed_models")
    return tuple(name for name in ALGORITHMS[task] if (allowed is None or name in allowed) and name not in left_out)


def model_problems(task: str, settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``allowed_models`` and ``blocked_models``; empty if nothing is."""
    here = ALGORITHMS[task]
    known = {*ALGORITHMS["classification"], *ALGORITHMS["regression"], *_AZURE_ALGORITHMS}
    problems = []
    for setting in ("allowed_models", "blocked_models"):
        models = settings.get(setting)
        if models is None:
            continue
        if not isinstance(models, list | tuple) or not all(isinstance(model, str) for model in models):
            problems.append(f"{setting}={models!r} must be a list of model names, out of {_listed(here)}.")
            continue
        for model in models:
            if model not in known:
                near = nearest(model, here) or nearest(model, known)
                hint = f"Did you mean {near!r}?" if near else f"Use {_listed(here)}."
                problems.append(f"{setting} names the unknown model {model!r}. {hint}")
            elif setting == "allowed_models" and model not in here:
                why = "not trained here" if model in _AZURE_ALGORITHMS else f"not for {task}"
                problems.append(f"allowed_models names {model!r}, which is {why}: use {_listed(here)}.")
    if problems or usable(task, settings):
        return problems
    about = "allowed_models", "blocked_models", "weight_column_name", "enable_dnn"
    named = " with ".join(f"{name}={settings[name]!r}" for name in about if settings.get(name) is not None)
    weighted = f" {' and '.join(WITHOUT_WEIGHTS)} cannot weight rows." if settings.get("weight_column_name") else ""
    return [f"{named} leaves no model to try.{weighted}"]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))
