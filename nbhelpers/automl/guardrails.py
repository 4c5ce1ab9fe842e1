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
    guardrails = [] if data.classes is None or data.weights is not None else [_class_balance(data)]
    if settings.featurization != "off":
        guardrails += [_missing_values(transformer), _high_cardinality(transformer)]
    if data.automatic:
        guardrails.append(_hold_out(data) if len(data.splits) == 1 else _cross_validation(data))
    if data.searched < len(data.target):
        guardrails.append(_subsampling(data))
    return guardrails


def _class_balance(data: TrainingData) -> dict[str, Any]:
    assert data.classes is not None  # noqa: S101 - told by the caller, and mypy has to know
    counts = np.bincount(data.target[data.final])
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
                "Number of samples in the training data": len(data.final),
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
            "Imputation type": column.imputer or _IMPUTATION.get(column.purpose, "Mean"),
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
        [{"Number of folds": len(data.splits)}],
    )


def _hold_out(data: TrainingData) -> dict[str, Any]:
    split = data.splits[0]
    parts = [("train", len(split.train)), ("test", len(split.valid))]
    return _guardrail(
        "TrainTestSplit",
        "Train-Test data split",
        "Done",
        "No validation was given, and there are rows enough to hold some out to judge models by.",
        [
            {"Dataset": name, "Row counts": rows, "Percentage": round(100 * rows / data.searched, 2)}
            for name, rows in parts
        ],
    )


def _subsampling(data: TrainingData) -> dict[str, Any]:
    return _guardrail(
        "Subsampling",
        "Subsampling",
        "Done",
        "The table is large, so the search trained and judged models on a random sample of its rows.",
        [{"Rows": len(data.target), "Rows of the sample": data.searched}],
        "The final model is fitted to all rows. With enable_subsampling=False the search is on all rows, too.",
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
