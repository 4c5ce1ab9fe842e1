"""What replaces the missing values of a column, once for all candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nbhelpers.automl import styles
from nbhelpers.automl.cells import LARGEST, Texts
from nbhelpers.automl.columns import Column
from nbhelpers.errors import DataError


def numbers_of(column: Column, values: Any) -> npt.NDArray[np.float64]:
    """Numbers, or the codes of categories; NaN for what is missing or unknown."""
    if not isinstance(values, Texts):
        return np.asarray(values)
    codes = {category: code for code, category in enumerate(column.categories)}
    return values.take(np.array([codes.get(text, np.nan) for text in values.levels], dtype=float), np.nan)


def impute(column: Column, values: Any, params: Mapping[str, Any], *, named: bool) -> None:
    """Take down what replaces missing values, unless an Imputer for all columns does not apply to this one."""
    strategy, fill = params["strategy"], params.get("fill_value")
    try:
        if column.purpose == "Text":
            raise ValueError("a missing text is an empty one")
        column.fill = replacement(column, values, strategy, fill)
        column.imputer = strategy
    except ValueError as error:
        if named:
            shown = f"the fill_value {fill!r}" if strategy == "constant" else f"the strategy {strategy!r}"
            raise DataError(
                f"Column {column.name!r}: an Imputer with {shown} does not fit its purpose {column.purpose}: {error}.",
                "Use another strategy or fill_value, or leave the column out of the Imputer's columns.",
            ) from None


def replacement(column: Column, values: Any, strategy: str, constant: Any = None) -> float:
    """What replaces missing values in the form of `Column.fill`; ValueError says why a strategy does not apply."""
    if strategy == "constant":
        return _constant(column, constant)
    if isinstance(values, Texts) and strategy != "most_frequent":
        raise ValueError("its values are texts")
    numbers = values.astype(np.int64) if column.purpose == "DateTime" else numbers_of(column, values)
    present = numbers[~np.isnat(values) if column.purpose == "DateTime" else ~np.isnan(numbers)]
    if strategy == "most_frequent":
        different, counts = np.unique(present, return_counts=True)
        return float(different[counts.argmax()])
    return float(present.mean() if strategy == "mean" else np.median(present))


def _constant(column: Column, value: Any) -> float:
    if column.kind == "string":
        if str(value) not in column.categories:
            column.categories.append(str(value))
        return float(column.categories.index(str(value)))
    if column.kind == "datetime":
        time = styles.times([str(value)], column.style or styles.ISO)[0]
        if np.isnat(time):
            raise ValueError("it is not a point in time")
        return float(time.astype(np.int64))
    if abs(float(value)) >= LARGEST:
        raise ValueError(f"models cannot compute with numbers beyond {LARGEST:g}")
    return float(value)
