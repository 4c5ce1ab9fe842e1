"""What is done to a stored table before it is used: lazy steps, read batch by batch.

A step is a dictionary that the store can keep as JSON:

========================================================== ================================================
``{"step": "take", "count": n}``, ``{"step": "skip", …}``  the first n rows; all but the first n
``{"step": "sample", "probability": p, "seed": s, …}``     each row with a probability; ``"rest": true``: the others
``{"step": "filter", "test": …}``                          the rows for which an `Expression` holds
========================================================== ================================================
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nbhelpers.errors import DataError, UserErrorException
from nbhelpers.local.files import open_parquet, read_batches

if TYPE_CHECKING:
    import pandas as pd

Step = dict[str, Any]

_COMPARE = {
    ">": pc.greater,
    ">=": pc.greater_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    "==": pc.equal,
    "!=": pc.not_equal,
}

# What datetime64[ns] can hold, in whole days.
_FIRST_DATE, _LAST_DATE = dt.datetime(1677, 9, 22), dt.datetime(2262, 4, 11)


class Expression:
    """A test of each row, such as ``dataset["age"] > 30``; join several with ``&``, ``|`` and ``~``.

    A comparison with a missing value does not hold, and neither does its opposite.

    Parameters
    ----------
    form : list
        The test as JSON: ``[comparison, column, value]``, ``["&" | "|", test, test]`` or ``["~", test]``.
    """

    def __init__(self, form: list[Any]) -> None:
        self.form = form

    def __and__(self, other: object) -> Expression:
        return Expression(["&", self.form, _test(other).form])

    def __or__(self, other: object) -> Expression:
        return Expression(["|", self.form, _test(other).form])

    def __invert__(self) -> Expression:
        return Expression(["~", self.form])

    def __bool__(self) -> bool:
        raise UserErrorException(
            "A test of rows is neither true nor false by itself.",
            "Join tests with & | ~ in place of and, or, not, each in brackets: (ds['a'] > 1) & (ds['b'] == 'x'); "
            "write 1 < a < 2 as two tests.",
        )

    def __repr__(self) -> str:
        return f"Expression({self.form!r})"


class Column:
    """A column to compare with a value; ``dataset["name"]`` gives one.

    Parameters
    ----------
    name : str
    kind : pyarrow.DataType
        The type of its values.
    """

    __hash__ = None  # type: ignore[assignment]  # == makes an expression

    def __init__(self, name: str, kind: pa.DataType) -> None:
        self._name = name
        self._kind = kind

    def __gt__(self, value: object) -> Expression:
        return self._compared(">", value)

    def __ge__(self, value: object) -> Expression:
        return self._compared(">=", value)

    def __lt__(self, value: object) -> Expression:
        return self._compared("<", value)

    def __le__(self, value: object) -> Expression:
        return self._compared("<=", value)

    def __eq__(self, value: object) -> Expression:  # type: ignore[override]
        return self._compared("==", value)

    def __ne__(self, value: object) -> Expression:  # type: ignore[override]
        return self._compared("!=", value)

    def __bool__(self) -> bool:
        raise UserErrorException(
            f"The column {self._name!r} alone is no test of rows.", f"Compare it, as in ds[{self._name!r}] == True."
        )

    def _compared(self, comparison: str, value: Any) -> Expression:
        value = value.item() if isinstance(value, np.generic) else value
        if pa.types.is_timestamp(self._kind):
            moment = _moment(value)
            fits, value = moment is not None, moment or value
        elif pa.types.is_boolean(self._kind):
            fits = isinstance(value, bool)
        elif pa.types.is_string(self._kind):
            fits = isinstance(value, str)
        else:
            whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
            fits = whole or (isinstance(value, float) and not math.isnan(value))
        if not fits:
            raise UserErrorException(
                f"The column {self._name!r} holds {self._kind}; it cannot be compared with {value!r}.",
                "Give a value of the column's type.",
            )
        return Expression([comparison, self._name, value])


def _moment(value: Any) -> str | None:
    """A date or time as ISO 8601, in UTC if it has a zone; None if it is neither."""
    try:
        moment = dt.datetime.fromisoformat(value if isinstance(value, str) else value.isoformat())
    except (AttributeError, TypeError, ValueError):
        return None
    return (moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()


def _test(other: object) -> Expression:
    if not isinstance(other, Expression):
        raise UserErrorException(
            f"{other!r} is no test of rows.", "Put each test in brackets: (ds['a'] > 1) & (ds['b'] == 'x')."
        )
    return other


def columns_of(form: list[Any]) -> set[str]:
    """The columns that a test reads."""
    if form[0] in _COMPARE:
        return {form[1]}
    return set().union(*(columns_of(part) for part in form[1:]))


def evaluate(path: Path, columns: Sequence[str], steps: Sequence[Step]) -> Iterator[pa.RecordBatch]:
    """The rows of a stored table after some steps, in the order of the file.

    Only the columns and the row groups that are needed are read, and no more batches than the taker asks for.

    Parameters
    ----------
    path : Path
        The Parquet file.
    columns : sequence of str
        The columns to give; filters may use others.
    steps : sequence of Step
    """
    file = open_parquet(path)
    read = dict.fromkeys(columns)
    for step in steps:
        if step["step"] == "filter":
            read |= dict.fromkeys(sorted(columns_of(step["test"])))
    groups, steps = _without_skipped_groups(file.metadata, steps)
    batches = read_batches(file, path.name, columns=list(read), row_groups=groups)
    for number, step in enumerate(steps):
        batches = _after(batches, step, number)
    for batch in batches:
        yield batch.select(list(columns))


def to_frame(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, columns: Sequence[str], *, refuse_dates: bool
) -> pd.DataFrame:
    """The rows as a data frame with plain numpy columns; dates beyond its range are missing, or refused."""
    table = pa.Table.from_batches(batches, schema=pa.schema([schema.field(column) for column in columns]))
    for position, (name, column) in enumerate(zip(columns, table.columns, strict=True)):
        if not pa.types.is_timestamp(column.type):
            continue
        beyond = pc.or_(pc.less(column, _FIRST_DATE), pc.greater(column, _LAST_DATE))
        if refuse_dates and pc.any(beyond).as_py():
            value = column.filter(beyond)[0].as_py()
            raise DataError(
                f"The column {name!r} has the date {value}, which pandas cannot hold.",
                "Correct it, or pass out_of_range_datetime='null' to have it missing.",
            )
        table = table.set_column(position, name, pc.if_else(beyond, pa.scalar(None, column.type), column))
    frame: pd.DataFrame = table.to_pandas(coerce_temporal_nanoseconds=True)
    return frame


def _without_skipped_groups(metadata: Any, steps: Sequence[Step]) -> tuple[list[int], list[Step]]:
    """The row groups to read, and the steps on them: a skip that comes first leaves out whole groups."""
    groups, rest = list(range(metadata.num_row_groups)), list(steps)
    if rest and rest[0]["step"] == "skip":
        left = rest[0]["count"]
        while groups and metadata.row_group(groups[0]).num_rows <= left:
            left -= metadata.row_group(groups.pop(0)).num_rows
        rest[0] = {"step": "skip", "count": left}
    return groups, rest


def _after(batches: Iterator[pa.RecordBatch], step: Step, number: int) -> Iterator[pa.RecordBatch]:
    """The batches after one step."""
    if step["step"] == "take":
        left = step["count"]
        while left > 0 and (batch := next(batches, None)) is not None:
            yield batch.slice(0, left)
            left -= batch.num_rows
    elif step["step"] == "skip":
        left = step["count"]
        for batch in batches:
            yield batch.slice(min(left, batch.num_rows))
            left = max(left - batch.num_rows, 0)
    elif step["step"] == "sample":
        # One draw a row, whatever the batches; the number of the step keeps several samples independent.
        generator = np.random.default_rng([step["seed"], number])
        for batch in batches:
            drawn = generator.random(batch.num_rows) < step["probability"]
            yield batch.filter(pa.array(~drawn if step.get("rest") else drawn))
    else:
        for batch in batches:
            yield batch.filter(_holds(step["test"], batch))


def _holds(form: list[Any], batch: pa.RecordBatch) -> pa.Array:
    operation, *parts = form
    if operation == "~":
        return pc.invert(_holds(parts[0], batch))
    if operation == "&":
        return pc.and_kleene(_holds(parts[0], batch), _holds(parts[1], batch))
    if operation == "|":
        return pc.or_kleene(_holds(parts[0], batch), _holds(parts[1], batch))
    column = batch.column(parts[0])
    value = parts[1]
    if pa.types.is_timestamp(column.type):
        value = pa.scalar(dt.datetime.fromisoformat(value), column.type)
    return _COMPARE[operation](column, value)
