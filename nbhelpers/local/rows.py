"""Rows in JSON: what a model expects of them, and the data frame that it is given.

A value in JSON becomes what the same value in a stored table becomes when it is read for training, so that a model
answers both alike.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from nbhelpers.errors import DataError, nearest
from nbhelpers.local.column_types import is_number
from nbhelpers.local.views import to_frame

if TYPE_CHECKING:
    import pandas as pd

    from nbhelpers.local.tabular import TabularDataset

#: So many problems are named at most.
_NAMED = 5
#: The example is made from so many rows at the beginning of the training data.
_FIRST_ROWS = 1_000


def _whole(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:  # True is an int, too
        raise ValueError
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(number := float(value)):  # type: ignore[arg-type]
        raise ValueError
    return number


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - one exception says that a value does not fit
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004
    value.encode()  # an error for half a surrogate pair, which JSON can write and no text can hold
    return value


def _moment(value: object) -> dt.datetime:
    moment = dt.datetime.fromisoformat(_text(value))
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


@dataclass(frozen=True)
class _Type:
    """A type of values: how it is stored, how JSON Schema and a message call it, and how a value in JSON is read."""

    stored: pa.DataType
    schema: dict[str, Any]
    words: str
    read: Callable[[object], Any]


_TYPES = {
    "integer": _Type(
        pa.int64(), {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, "whole numbers", _whole
    ),
    "number": _Type(pa.float64(), {"type": "number"}, "numbers", _number),
    "boolean": _Type(pa.bool_(), {"type": "boolean"}, "true or false", _truth),
    "string": _Type(pa.string(), {"type": "string"}, "texts", _text),
    "date-time": _Type(
        pa.timestamp("us"),
        {"type": "string", "format": "date-time", "description": "ISO 8601; a zone is converted to UTC."},
        "dates and times as ISO 8601 texts",
        _moment,
    ),
}


@dataclass(frozen=True)
class RowColumn:
    """A column that a row must have.

    Attributes
    ----------
    name : str
    type : {"integer", "number", "boolean", "string", "date-time"}
    examples : list of str
        Of categories: the first values of training.
    """

    name: str
    type: str
    examples: list[str]

    @property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of its values, which may be missing."""
        schema = _TYPES[self.type].schema
        examples = {"examples": self.examples} if self.examples else {}
        return {**schema, "type": [schema["type"], "null"], **examples}

    def read(self, value: object) -> Any:
        """A value in JSON as the stored table has it; a ValueError or OverflowError if it is of another type."""
        return None if value is None else _TYPES[self.type].read(value)


def training_columns(dataset: TabularDataset, label: str, categories: dict[str, list[str]]) -> list[RowColumn]:
    """The columns of training data but for the label; `categories` are the examples of some."""
    names = {kind.stored: name for name, kind in _TYPES.items()}
    stored = pq.read_schema(dataset.materialize())
    return [
        RowColumn(field.name, names[field.type], categories.get(field.name, []))
        for field in stored
        if field.name != label
    ]


def example_row(dataset: TabularDataset, columns: Sequence[RowColumn]) -> dict[str, Any]:
    """A row as JSON has it that no training row need be: each value is the most frequent one of its column.

    Whoever reaches the service may read it. So a text that is no category, which could be a name, stands as "text"
    (or "0", where training reads numbers in it).
    """
    names = [column.name for column in columns]
    first = next(pq.ParquetFile(dataset.materialize()).iter_batches(_FIRST_ROWS, columns=names)).to_pydict()
    row = {}
    for column in columns:
        counts = Counter(value for value in first[column.name] if value is not None)
        value = max(counts, key=lambda value: counts[value], default=None)
        if isinstance(value, dt.datetime):
            value = f"{value.isoformat()}Z"
        elif isinstance(value, str) and not column.examples:
            value = "0" if is_number(value) else "text"
        row[column.name] = value
    return row


def frame_of(rows: Any, columns: Sequence[RowColumn], label: str) -> pd.DataFrame:
    """Rows in JSON as a data frame with the types of the training data; null is a missing value.

    Parameters
    ----------
    rows : list of dict
        Each with all columns and no others.
    columns : sequence of RowColumn
    label : str
        The column that is predicted, for a message.

    Raises
    ------
    DataError
        There are no rows, or rows with missing or unknown columns, or with values of another type; the first of these
        are named.
    """
    if not isinstance(rows, list) or not rows:
        raise DataError("data is no list of rows.", 'send {"data": [{"column": value, …}, …]}, with at least one row')
    values = {}
    try:
        fits = all(len(row) == len(columns) for row in rows)
        for column in columns:
            values[column.name] = [column.read(row[column.name]) for row in rows]
    except (KeyError, OverflowError, TypeError, ValueError):
        fits = False
    if not fits:
        problems = _problems(rows, columns, label)
        named = "; ".join(itertools.islice(problems, _NAMED))
        raise DataError(
            f"The rows do not fit the training data: {named}{'; and more' if next(problems, None) else ''}.",
            "give each row all columns with their types, and no others; null is a missing value",
        )
    schema = pa.schema([(column.name, _TYPES[column.type].stored) for column in columns])
    batch = pa.RecordBatch.from_pydict(values, schema)
    return to_frame(iter([batch]), schema, schema.names, refuse_dates=False)


def _problems(rows: Sequence[Any], columns: Sequence[RowColumn], label: str) -> Iterator[str]:
    """What is wrong with rows, one by one."""
    known = {column.name: column for column in columns}
    for number, row in enumerate(rows):
        place = f"data[{number}]"
        if not isinstance(row, dict):
            yield f"{place} is {_shown(row)} and no object of columns and values"
            continue
        for name in known:
            if name not in row:
                yield f"{place} lacks the column {name!r}"
        for name, value in row.items():
            if name == label and name not in known:
                yield f"{place} has {_shown(name)}, which is what is predicted"
            elif name not in known:
                near = nearest(name[:100], known)
                yield f"{place} has the unknown column {_shown(name)}{f' (did you mean {near!r}?)' if near else ''}"
            else:
                try:
                    known[name].read(value)
                except (OverflowError, ValueError):
                    words = _TYPES[known[name].type].words
                    yield f"{place} has {_shown(value)} in column {name!r}, which holds {words}"


def _shown(value: object) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
