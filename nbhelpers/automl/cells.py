"""What a column holds: its values as plain arrays of numbers, of points in time, or as texts."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from nbhelpers.automl import styles
from nbhelpers.errors import DataError

#: Numbers are kept below this, and above its inverse: forests compute in float32, whose sums then stay finite.
LARGEST = 1e30

#: What pandas calls the objects in a column that are numbers.
_NUMBERS = ("boolean", "integer", "floating", "mixed-integer-float", "decimal")
#: Up to so many rows plain Python is quicker than pandas' own operations; a model is mostly asked for a few rows.
_FEW = 200
#: Whole numbers below this are exact as floats.
_EXACT = 2**53


class Texts(NamedTuple):
    """The values of a column of texts: each different one once, and which of them a row has.

    Attributes
    ----------
    codes : (n,) array of int
        Position among the levels; -1 for what is missing or blank.
    levels : list of str
        In order of appearance.
    """

    codes: npt.NDArray[np.intp]
    levels: list[str]

    def take(self, values: npt.NDArray[Any], missing: Any) -> npt.NDArray[Any]:
        """For each row what `values` has for its level."""
        return np.append(values, np.array([missing], dtype=values.dtype))[self.codes]


#: The values of a column: float for "number", datetime64[us] for "datetime".
Values = npt.NDArray[Any] | Texts


def kind_of(column: pd.Series[Any]) -> str:
    """How the values of a column are read: "number", "datetime" or "string"; see `discover`."""
    return discover(column)[0]


def discover(column: pd.Series[Any]) -> tuple[str, str, Values]:
    """How the values of a column are read, and those values.

    Truth values, durations, times of day, intervals (their middle) and texts that all stand for numbers are numbers;
    texts that are all dates, written in one unambiguous way, are points in time. A blank text is missing, and so are
    words such as ``NA`` where all others are numbers or dates.

    Returns
    -------
    kind : "number", "datetime" or "string"
    style : str
        How texts are written that stand for numbers or points in time.
    values : array or Texts
        As `read` gives them.

    Raises
    ------
    DataError
        Complex numbers, or lists and the like.
    """
    column = _plain(column)
    kind = _kind_of_type(column)
    if kind:
        return kind, "", read(column, kind, "")
    texts = texts_of(column)
    # Categories that are dates stay categories.
    kind, style = styles.style_of(texts.levels, dates=not isinstance(column.dtype, pd.CategoricalDtype))
    return kind, style, texts if kind == "string" else _read_texts(column, texts, kind, style, gaps=True)


@overload
def read(column: pd.Series[Any], kind: Literal["number"], style: str | None = None) -> npt.NDArray[np.float64]: ...
@overload
def read(column: pd.Series[Any], kind: str, style: str | None = None) -> Values: ...
def read(column: pd.Series[Any], kind: str, style: str | None = None) -> Values:
    """The values of a column as its kind says: float64 for "number", datetime64[us] for "datetime", else `Texts`.

    Infinite numbers are missing, numbers beyond `LARGEST` are clipped to it, and those below its inverse are zero.

    Parameters
    ----------
    column : Series
    kind : "number", "datetime" or "string"
    style : str, optional
        How texts among the values are written. Without one, they must be plain numbers or ISO 8601 dates, and words
        for missing values are refused.

    Raises
    ------
    DataError
        A value that is not of that kind.
    """
    dtype: Any = column.dtype
    if kind == "number" and isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return _within_limits(column.to_numpy(dtype=float, copy=True))
    column = _plain(column)
    dtype = column.dtype
    if kind == "string":
        return texts_of(column)
    if kind == "datetime":
        if isinstance(dtype, pd.PeriodDtype):
            column = pd.Series(column.dt.to_timestamp())
        if types.is_datetime64_any_dtype(column.dtype):
            if column.dt.tz is not None:
                column = column.dt.tz_convert(None)  # UTC, as points in time with a zone are read from other cells
            return column.to_numpy(dtype="datetime64[us]")
        texts = texts_of(column)
        return _read_texts(column, texts, kind, style or styles.ISO, gaps=style is not None)
    numbers = _numbers(column)
    if numbers is None:
        texts = texts_of(column)
        numbers = _read_texts(column, texts, kind, style or "", gaps=style is not None)
    return _within_limits(numbers)


def texts_of(column: pd.Series[Any]) -> Texts:
    """The values of a column as texts.

    A whole float is written like the int that it was before a missing value made the column one of floats.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = [*map(_text, column.cat.categories), ""]
        codes, values = pd.factorize(column.cat.codes.to_numpy())
        texts = [categories[value] for value in values]
    elif len(column) > _FEW and types.infer_dtype(column, skipna=True) == "string":
        codes, values = pd.factorize(column.to_numpy(dtype=object))
        texts = [str(value) for value in values]
    else:
        codes, objects = np.arange(len(column)), column.to_numpy(dtype=object)
        texts = ["" if gap else _text(value) for value, gap in zip(objects, pd.isna(objects), strict=True)]
    levels: dict[str, int] = {}
    positions = [levels.setdefault(text, len(levels)) if text and not text.isspace() else -1 for text in texts]
    return Texts(np.array([*positions, -1], dtype=np.intp)[codes], list(levels))


def strings(column: pd.Series[Any]) -> pd.Series[Any]:
    """The values as str objects, with None for what is missing or blank; see `texts_of`."""
    texts = texts_of(_plain(column))
    values = texts.take(np.array(texts.levels, dtype=object), None)
    return pd.Series(values, index=column.index, name=column.name, dtype=object)


def _kind_of_type(column: pd.Series[Any]) -> str:
    """The kind of a column as its type says; empty where that depends on the texts in it."""
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kind = _kind_of_type(pd.Series(dtype.categories))
        # An order says more than the numbers between which intervals lie.
        return "number" if kind == "number" and not isinstance(dtype.categories.dtype, pd.IntervalDtype) else ""
    if types.is_complex_dtype(dtype):
        raise DataError(f"Column {column.name!r} holds complex numbers.", "Replace it by its real and imaginary parts.")
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return "datetime"
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype) or isinstance(dtype, pd.IntervalDtype):
        return "number"
    match types.infer_dtype(column, skipna=True):
        case "timedelta" | "time" | "interval":
            return "number"
        case "date" | "datetime" | "datetime64":
            return "datetime"
        case "complex":
            raise DataError(f"Column {column.name!r} holds complex numbers.", "Replace it by their parts.")
        case "mixed" | "mixed-integer":
            nested = [value for value in column if isinstance(value, list | tuple | dict | set | np.ndarray)]
            if nested:
                raise DataError(
                    f"Column {column.name!r} holds a {type(nested[0]).__name__} in {len(nested):,} cells, "
                    "and a model needs one value in each.",
                    "Make columns of what is in it, or leave the column out.",
                )
            return ""
        case "integer":
            # Longer ones are ids, which numbers cannot tell apart; the texts decide.
            return "number" if all(abs(value) < _EXACT for value in column.dropna()) else ""
        case inferred:
            return "number" if inferred in _NUMBERS else ""


def _numbers(column: Any) -> Any:
    """The numbers in a column that holds no texts; None if it does."""
    dtype: Any = column.dtype
    if types.is_datetime64_any_dtype(dtype):
        raise DataError(
            f"Column {column.name!r} holds points in time, not numbers.",
            "Give the column as it was in the training data.",
        )
    if isinstance(dtype, pd.CategoricalDtype):
        values = _numbers(pd.Series(dtype.categories, name=column.name))
        return None if values is None else np.append(values, np.nan)[column.cat.codes]
    if isinstance(dtype, pd.IntervalDtype):
        return np.asarray(column.array.mid, dtype=float)
    if types.is_timedelta64_dtype(dtype):
        return column.dt.total_seconds().to_numpy(dtype=float)
    if types.is_numeric_dtype(dtype):
        return column.to_numpy(dtype=float, na_value=np.nan, copy=True)
    inferred = types.infer_dtype(column, skipna=True)
    if inferred in _NUMBERS or inferred == "empty":
        return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if inferred == "timedelta":
        return pd.to_timedelta(column).dt.total_seconds().to_numpy(dtype=float)
    if inferred == "interval":
        return np.array([np.nan if gap else value.mid for value, gap in zip(column, column.isna(), strict=True)])
    if inferred == "time":
        return pd.to_timedelta(column.map(str, na_action="ignore"), errors="coerce").dt.total_seconds().to_numpy(float)
    return None


def _read_texts(column: pd.Series[Any], texts: Texts, kind: str, style: str, *, gaps: bool) -> npt.NDArray[Any]:
    """The numbers or points in time that texts stand for; `gaps`: whether words may say that a value is missing."""
    found: npt.NDArray[Any] = (styles.numbers if kind == "number" else styles.times)(texts.levels, style)
    known = styles.GAPS if gaps else ("nan", "nat")
    unread = pd.isna(found)
    unread[unread] = [text.strip().lower() not in known for text in np.array(texts.levels, dtype=object)[unread]]
    if unread.any():
        wrong = column[texts.take(unread, missing=False)]
        why = "is not a number" if kind == "number" else "is not a point in time"
        raise DataError(
            f"Column {column.name!r}: {wrong.iloc[0]!r} {why} ({len(wrong):,} such values).",
            "Correct the values, or leave them empty: the training data had none like them.",
        )
    return texts.take(found, np.nan if kind == "number" else "NaT")


def _within_limits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numbers as models can compute with them; changed in place."""
    values[np.isinf(values)] = np.nan
    values[np.abs(values) < 1 / LARGEST] = 0
    return np.clip(values, -LARGEST, LARGEST, out=values)


def _plain(column: Any) -> Any:
    """The column without a storage of its own: sparse ones are filled, and Arrow's dates, spans and lists objects."""
    dtype = column.dtype
    if isinstance(dtype, pd.SparseDtype):
        return column.sparse.to_dense()
    if isinstance(dtype, pd.ArrowDtype) and not (types.is_numeric_dtype(dtype) or "timestamp" in dtype.name):
        return column.astype(object)
    return column


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
