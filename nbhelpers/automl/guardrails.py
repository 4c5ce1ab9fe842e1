"""Azure ML's checks of the training data, in the form of its ``verifier_results``.

Each is a dict with the keys ``type``, ``result`` (Passed, Alerted or Done), ``parameters``, and for the reader
``friendly_type``, ``friendly_result``, ``friendly_parameters`` (rows of a table), ``friendly_learn_more`` and
``friendly_parameter_preface``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nbhelpers.automl.columns import USED
from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.featurize import DataTransformer
from nbhelpers.automl.settings import Settings

#: A smallest class of at most this share of the largest one is alerted.
_BALANCED_FROM = 0.2
_IMPUTATION = {"Categorical": "Category of its own", "CategoricalHash": "Category of its own", "Text": "Empty text"}
_DOCUMENTATION = "https://learn.microsoft.com/azure/machine-learning/v1/how-to-configure-auto-features"


def check_data(transformer: DataTransformer, data: TrainingData, settings: Settings) -> list[dict[str, Any]]:
    """All checks that apply, in Azure ML's order."""
    guardrails = [] if data.classes is None else [_class_balance(data)]
    if settings.featurization == "auto":
        guardrails += [_missing_values(transformer), _high_cardinality(transformer)]
    if settings.n_cross_validations is None:
        guardrails.append(_cross_validation(data))
    return guardrails


def _class_balance(data: TrainingData) -> dict[str, Any]:
    assert data.classes is not None  # noqa: S101 - told by the caller, and mypy has to know
    counts = np.bincount(data.target)
    smallest = int(counts.argmin())
    if counts[smallest] > _BALANCED_FROM * counts.max():
        return _guardrail("ClassBalancing", "Class balancing detection", "Passed", "All classes are well represented.")
    return _guardrail(
        "ClassBalancing",
        "Class balancing detection",
        "Alerted",
        "The classes are unbalanced, so a model can look accurate by neglecting the smallest one.",
        [
            {
                "Size of the smallest class": int(counts[smallest]),
                "Name/Label of the smallest class": str(data.classes[smallest]),
                "Number of samples in the training data": len(data.target),
            }
        ],
        "Judge the model by measures that give each class its share, such as AUC_weighted or the confusion matrix.",
    )


def _missing_values(transformer: DataTransformer) -> dict[str, Any]:
    names = "MissingValues", "Missing feature values imputation"
    rows = [
        {
            "Column name": column.name,
            "Missing value count": column.missing,
            "Imputation type": _IMPUTATION.get(column.purpose, "Mean"),
        }
        for column in transformer.columns_
        if column.missing and column.purpose in USED
    ]
    if not rows:
        return _guardrail(*names, "Passed", "No missing values were found in the features.")
    return _guardrail(
        *names,
        "Done",
        "Missing values were found in the features and are treated.",
        rows,
        "Tree models treat a missing value as such; the others see the imputation below.",
    )


def _high_cardinality(transformer: DataTransformer) -> dict[str, Any]:
    names = "HighCardinality", "High cardinality feature detection"
    rows = [
        {"Column name": column.name, "Column Content Type": column.purpose}
        for column in transformer.columns_
        if column.purpose == "Hashes"
    ]
    if not rows:
        return _guardrail(*names, "Passed", "No feature with values that hardly ever repeat was found.")
    return _guardrail(*names, "Done", "Features with values that hardly ever repeat were left out of training.", rows)


def _cross_validation(data: TrainingData) -> dict[str, Any]:
    return _guardrail(
        "CrossValidation",
        "Cross validation",
        "Done",
        "No number of folds was given, so it was chosen by the number of rows.",
        [{"Number of folds": data.n_folds}],
    )


def _guardrail(
    kind: str, name: str, result: str, text: str, rows: list[dict[str, Any]] | None = None, preface: str = ""
) -> dict[str, Any]:
    return {
        "type": kind,
        "result": result,
        "parameters": rows or [],
        "friendly_type": name,
        "friendly_result": text,
        "friendly_parameters": rows or [],
        "friendly_learn_more": _DOCUMENTATION,
        "friendly_parameter_preface": preface,
    }
