"""What a column holds and what it is for, and its values as plain arrays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from nbhelpers.errors import DataError

#: The purposes of columns that a model uses.
USED = ("Numeric", "Categorical", "CategoricalHash", "DateTime", "Text")

#: What becomes of a point in time.
DATE_PARTS = (
    "year",
    "month",
    "day",
    "day_of_week",
    "day_of_year",
    "quarter",
    "week_of_month",
    "hour",
    "minute",
    "second",
)

#: Numbers are kept below this, and above its inverse: forests compute in float32, whose sums then stay finite.
LARGEST = 1e30


@dataclass
class Column:
    """What was decided about a column of the training table.

    Attributes
    ----------
    name : str
    purpose : str
        One of `USED`, or "AllNan", "Ignore" or "Hashes", which are left out.
    kind : "number", "string" or "datetime"
        How its values are read.
    missing : int
        Number of rows without a value.
    categories : list of str
        Of a categorical string column: the sorted values, whose positions are its codes.
    parts : list of str
        Of a DateTime column: the `DATE_PARTS` that vary.
    fill : float
        What stands for a missing value (and an unknown category), or NaN if models are to see that it is missing.
    """

    name: str
    purpose: str
    kind: str
    missing: int
    categories: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    fill: float = float("nan")


def kind_of(column: pd.Series[Any]) -> str:
    """How the values of a column are read: "number" (also truth values and durations), "datetime" or "string".

    Strings that are all numbers count as numbers, and strings that are all ISO 8601 dates as points in time; a blank
    string is a missing value.

    Raises
    ------
    DataError
        Complex numbers.
    """
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "number" if kind_of(pd.Series(dtype.categories)) == "number" else "string"
    if types.is_complex_dtype(dtype):
        raise DataError(f"Column {column.name!r} holds complex numbers.", "Replace it by its real and imaginary parts.")
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return "number"
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return "datetime"
    match types.infer_dtype(column, skipna=True):
        case "boolean" | "integer" | "floating" | "mixed-integer-float" | "decimal" | "timedelta":
            return "number"
        case "date" | "datetime" | "datetime64":
            return "datetime"
    values = strings(column).dropna()
    if values.empty:
        return "string"
    if pd.to_numeric(values, errors="coerce").notna().all():
        return "number"
    # The pattern keeps bare numbers, which to_datetime would take for nanoseconds or years, from being dates.
    dated = values.str.match(r"\d{4}-\d{2}-\d{2}").all() and _times(values).notna().all()
    return "datetime" if dated else "string"


def purpose_of(column: pd.Series[Any], kind: str) -> str:
    """The purpose of a column of the training table, by Azure ML's rules on its number of rows and of unique values."""
    values: Any = strings(column) if kind == "string" else read(column, kind)
    present = pd.Series(values).dropna()
    n_rows, unique = len(column), present.nunique()
    threshold = min(200, 0.05 * n_rows)
    if unique < 2:
        return "Ignore" if unique else "AllNan"
    if kind == "datetime":
        return "DateTime"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "Categorical"
    if kind == "number":
        whole = bool((present == np.floor(present)).all())
        few = unique < threshold and unique <= min(50, 0.05 * n_rows)
        return "Categorical" if (whole and few) or types.is_bool_dtype(column.dtype) else "Numeric"
    if unique < threshold:
        return "Categorical"
    spaces, share = present.str.count(" ").mean(), unique / n_rows
    if share > 0.85 and spaces > 1:
        return "Text"
    if share < 0.7 and unique < 10_000:
        return "CategoricalHash"
    if spaces > 1:
        return "Text"
    return "Hashes" if share > 0.9 else "Ignore"


def read(column: pd.Series[Any], kind: str) -> npt.NDArray[Any]:
    """The values of a column as its kind says: float64 for "number", datetime64[ns] for "datetime", else objects.

    Infinite numbers are missing, numbers beyond `LARGEST` are clipped to it, and those below its inverse are zero.

    Raises
    ------
    DataError
        A value that is not of that kind.
    """
    if kind == "string":
        return strings(column).to_numpy(dtype=object)
    if kind == "datetime":
        times = _times(column)
        _refuse(column, times.isna(), "is not a point in time")
        return times.to_numpy(dtype="datetime64[ns]")
    dtype: Any = column.dtype
    if types.is_datetime64_any_dtype(dtype):
        raise DataError(
            f"Column {column.name!r} holds points in time, not numbers.",
            "Give the column as it was in the training data.",
        )
    if isinstance(dtype, pd.CategoricalDtype):
        column = column.astype(dtype.categories.dtype)
    if types.is_timedelta64_dtype(column.dtype) or types.infer_dtype(column, skipna=True) == "timedelta":
        column = pd.to_timedelta(column).dt.total_seconds()
    numbers = pd.to_numeric(column, errors="coerce")
    _refuse(column, numbers.isna(), "is not a number")
    values = numbers.to_numpy(dtype=float, na_value=np.nan).copy()
    values[np.isinf(values)] = np.nan
    values[np.abs(values) < 1 / LARGEST] = 0
    return np.clip(values, -LARGEST, LARGEST)


def check_rows(train: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Refuse rows that a model trained on a table could not read; they have its columns.

    Raises
    ------
    DataError
        The first column with a value of another kind, or the table has no column that a model can use.
    """
    kinds = {name: kind_of(train[name]) for name in train.columns}
    used = [name for name, kind in kinds.items() if purpose_of(train[name], kind) in USED]
    require_used(used)
    for name in used:
        if kinds[name] != "string":  # anything can be read as text
            read(rows[name], kinds[name])


def require_used(columns: Collection[Any]) -> None:
    """Refuse to go on without a column that a model can use."""
    if not columns:
        raise DataError(
            "No column can be learned from: each is empty, constant, or text that hardly ever repeats.",
            "Add columns that vary from row to row and have values that repeat or are numbers.",
        )


def strings(column: pd.Series[Any]) -> pd.Series[Any]:
    """The values as str objects, with None for what is missing or blank.

    A whole float is written like the int that it was before a missing value made the column one of floats.
    """
    # Plain Python: a model is mostly asked for a few rows, for which pandas' own operations take ten times as long.
    pairs = zip(column.astype(object), column.isna(), strict=True)
    texts = ("" if missing else _text(value) for value, missing in pairs)
    kept = [text if text.strip() else None for text in texts]
    return pd.Series(kept, index=column.index, name=column.name, dtype=object)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def date_parts(times: npt.NDArray[Any], parts: list[str]) -> npt.NDArray[np.float64]:
    """The parts of points in time, in columns; NaN where there is no time."""
    dates = pd.Series(times).dt
    columns = {part: getattr(dates, part.replace("day_of_", "dayof")) for part in DATE_PARTS if part != "week_of_month"}
    columns["week_of_month"] = (dates.day - 1) // 7 + 1
    return np.column_stack([columns[part].to_numpy(dtype=float) for part in parts])


def _times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Points in time without a zone (local time where the column has one); NaT for what cannot be read."""
    if isinstance(column.dtype, pd.PeriodDtype):
        return pd.Series(column.dt.to_timestamp())
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.Series(column.dt.tz_localize(None))
    if types.is_datetime64_any_dtype(column.dtype):
        return column
    return pd.to_datetime(strings(column), errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None)


def _refuse(column: pd.Series[Any], unread: pd.Series[Any], why: str) -> None:
    """Refuse a column with a value that is there and was not understood."""
    if not unread.any():
        return
    wrong = column[unread.to_numpy(dtype=bool) & strings(column).notna().to_numpy()]
    wrong = wrong[[str(value).lower() != "nan" for value in wrong]]
    if len(wrong):
        raise DataError(
            f"Column {column.name!r}: {wrong.iloc[0]!r} {why} ({len(wrong)} such values).",
            "Correct the values, or leave them empty: the training data had none like them.",
        )
