"""Tables that come in, and tables that go out to a reader."""

from __future__ import annotations

import html
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_float_dtype

from nbhelpers.errors import DataError, nearest
from nbhelpers.metrics import number_text

_ROWS = ("display.max_rows", 100, "display.min_rows", 60)
_SHOWN = (*_ROWS, "display.max_colwidth", None, "display.float_format", number_text)


class SentenceFrame(pd.DataFrame):
    """A data frame that a notebook shows with its sentences in full, and its numbers as in `number_text`.

    Attributes
    ----------
    note : str
        What a reader has to know of the table, shown below it; without rows, in its place.
    """

    note = ""

    @classmethod
    def without_rows(cls, note: str, columns: Iterable[str] = ()) -> SentenceFrame:
        """A table that says why it is empty."""
        table = cls(columns=list(columns))
        table.note = note
        return table

    @property
    def _constructor(self) -> type[SentenceFrame]:
        return SentenceFrame

    def __repr__(self) -> str:
        with pd.option_context(*_SHOWN):
            table = "" if self.note and self.empty else super().__repr__()
        return "\n".join(filter(None, (table, self.note)))

    def _repr_html_(self) -> str | None:
        with pd.option_context(*_SHOWN):
            table = "" if self.note and self.empty else super()._repr_html_()  # type: ignore[misc]
        return f"{table}<p>{html.escape(self.note)}</p>" if self.note else table


def as_frame(dataset: Any) -> pd.DataFrame:
    """A tabular data set, or a data frame, as a data frame."""
    frame = dataset if isinstance(dataset, pd.DataFrame) else getattr(dataset, "to_pandas_dataframe", lambda: None)()
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"{type(dataset).__name__} is neither a tabular data set nor a pandas data frame.",
            "give a registered data set (Dataset.get_by_name) or a pandas DataFrame.",
        )
    return frame


def has_value(column: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """The rows with a value; a blank text is none."""
    blank = column.map(lambda value: isinstance(value, str) and not value.strip()).astype(bool)
    return (column.notna() & ~blank).to_numpy(dtype=bool)


def plain(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column whose values can be counted: mixed, nested and categorical ones as text, missing ones as they are.

    Whole numbers that a missing value made floats are whole again.
    """
    if column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(object).map(str, na_action="ignore")
    if is_float_dtype(column) and (column.dropna() % 1 == 0).all() and (column.dropna().abs() < 2**53).all():
        return column.astype("Int64")
    return column


def require_column(frame: pd.DataFrame, name: str) -> None:
    """Refuse a column name that the table does not have, with the nearest one, or has more than once."""
    if name not in frame.columns:
        columns = [str(column) for column in frame.columns]
        near = nearest(name, columns)
        raise DataError(
            f"The table has no column {name!r}.",
            f"did you mean {near!r}?" if near else f"use one of its columns: {', '.join(islice(columns, 30))}.",
        )
    if (count := int((frame.columns == name).sum())) > 1:
        raise DataError(f"The table has {count} columns named {name!r}.", "rename or drop all but one.")
