"""Why tables cannot be trained on, or be judged by: found when a search is written down, not when it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from nbhelpers import automl
from nbhelpers.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from nbhelpers.local.tabular import TabularDataset

TASKS = ("classification", "regression")
#: The settings that name columns or labels of the data.
COLUMN_SETTINGS = ("cv_split_column_names", "weight_column_name", "positive_label")


def data_problems(
    training: TabularDataset, validation: TabularDataset | None, label: Any, task: Any, settings: Mapping[str, Any]
) -> list[str]:
    """What is wrong with the data of a search, and with the columns and labels that its settings name.

    Parameters
    ----------
    training : TabularDataset
    validation : TabularDataset or None
    label : str
        The column to predict.
    task : str
    settings : mapping
        Under Azure ML's names; they need not have been checked.
    """
    columns = training.columns
    if label not in columns:
        return [f"label_column_name={label!r} is not a column of the training data. {_hint(label, columns)}"]
    problems = []
    named = _named_columns(settings)
    for name, setting in named.items():
        if name == label:
            problems.append(f"{setting} names {name!r}, which is the label.")
        elif name not in columns:
            problems.append(f"{setting} names {name!r}, which is not a column of the data. {_hint(name, columns)}")
    if not set(columns) - {label, *named}:
        others = "".join(f" and what {setting} names" for setting in dict.fromkeys(named.values()))
        problems.append(f"The training data has no column besides the label {label!r}{others}.")
    if validation is not None and (difference := _difference(columns, validation.columns)):
        problems.append(f"validation_data must have the columns of the training data: {difference}.")
    if problems or task not in TASKS:  # of a wrong task the check of the settings says more
        return problems
    try:
        _check_labels(training, validation, label, task, settings.get("positive_label"))
    except DataError as error:
        problems.append(f"{error.problem} {error.remedy}")
    return problems


def _named_columns(settings: Mapping[str, Any]) -> dict[str, str]:
    """The setting of each column that is named by one, and so is no feature."""
    splits, weight = settings.get("cv_split_column_names"), settings.get("weight_column_name")
    named = dict.fromkeys(filter(_is_name, splits if isinstance(splits, list | tuple) else ()), "cv_split_column_names")
    return named | ({weight: "weight_column_name"} if _is_name(weight) else {})


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _hint(name: Any, columns: Collection[str]) -> str:
    near = nearest(name, columns)
    return f"Did you mean {near!r}?" if near else f"It has: {', '.join(columns)}."


def _difference(columns: list[str], others: list[str]) -> str:
    """What other columns lack, and what they have besides; empty for nothing."""
    lacks, more = (
        [name for name in these if name not in those] for these, those in ((columns, others), (others, columns))
    )
    found = {"it lacks": lacks, "it also has": more}
    return ", and ".join(f"{verb} {', '.join(map(repr, names))}" for verb, names in found.items() if names)


def _check_labels(
    training: TabularDataset, validation: TabularDataset | None, label: str, task: str, positive: Any
) -> None:
    """Raise a DataError if the labels cannot be learned or judged by, or the positive one is none of them."""
    from nbhelpers.automl.labels import find_class, read_more_labels

    _, classes, _ = automl.read_label(_labels(training, label), task)
    if classes is not None and isinstance(positive, str | bool | int | float):
        find_class(positive, classes)
    if validation is not None:
        labels = _labels(validation, label)
        if labels.empty:
            raise DataError(
                f"The label {label!r} is missing in every row of validation_data.", "Give rows to judge by."
            )
        try:
            read_more_labels(labels, classes)
        except DataError as error:
            raise DataError(f"validation_data: {error.problem}", error.remedy) from None


def _labels(data: TabularDataset, label: str) -> pd.Series[Any]:
    """The labels that are there."""
    values: pd.Series[Any] = data.keep_columns([label]).to_pandas_dataframe()[label]
    return values[automl.has_label(values)]
