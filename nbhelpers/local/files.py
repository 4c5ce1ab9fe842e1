"""Stored tables: typed Parquet files in the data folder of a store, each named by the digest of its content.

A table may be read from separated text, Parquet or a data frame; it is stored in one form, so that the same content
has the same digest whatever it was read from. The column types there are:

=============== ============================================ =======================
stored          from                                         as numpy
=============== ============================================ =======================
int64           all whole numbers                            int64; float64 if any is missing
double          all other numbers (decimals, too)            float64, missing is NaN
bool            true and false                               bool; object if any is missing
string          text and categories                          object, missing is None
timestamp[us]   dates and times; those with a zone in UTC    datetime64[ns], missing is NaT
=============== ============================================ =======================
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nbhelpers.errors import DataError
from nbhelpers.local.sources import display_name, local_file, working_folder
from nbhelpers.local.store import Store

if TYPE_CHECKING:
    import pandas as pd

#: Rows of the smallest batch.
MIN_ROWS = 2**11

_FRAME = "pandas DataFrame"
_GROUP_ROWS, _GROUP_BYTES = 2**16, 2**25


def batch_rows(columns: int) -> int:
    """Rows of a batch, which is what is in memory at once, for a table with so many columns."""
    return max(MIN_ROWS, min(2**13, 2**22 // max(columns, 1)))


def stored_path(store: Store, digest: str) -> Path:
    """The file of a stored table.

    Raises
    ------
    DataError
        It is not there.
    """
    path = store.data_folder / f"{digest}.parquet"
    if not path.is_file():
        raise DataError(
            f"The stored table {digest[:12]}… is no longer in the data folder of the workspace.",
            "Read the data from its source and register it again.",
        )
    return path


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file for reading.

    Raises
    ------
    DataError
        It is not one, or it is damaged.
    """
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path.name} is not a Parquet file, or it is damaged.",
            "Read separated text with Dataset.Tabular.from_delimited_files; if it is Parquet, write it again.",
        ) from error


def read_batches(file: pq.ParquetFile, name: str, **options: Any) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file batch by batch; `options` are those of `ParquetFile.iter_batches`.

    Raises
    ------
    DataError
        The file is damaged.
    """
    try:
        yield from file.iter_batches(batch_rows(len(file.schema_arrow)), **options)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is damaged: {error}.", "Write the file again, or read the data anew.") from error


def store_table(schema: pa.Schema, batches: Iterable[pa.RecordBatch], store: Store, name: str) -> str:
    """Store a table, read batch by batch, and return its digest.

    The file is made in a folder of its own and put in place whole.

    Parameters
    ----------
    schema : pyarrow.Schema
        Names and types of the columns, the latter of any type that can be stored.
    batches : iterable of pyarrow.RecordBatch
        The rows, with the columns of `schema`.
    store : Store
        Where to.
    name : str
        What the table is called in messages.

    Raises
    ------
    DataError
        A column cannot be stored, or there are no rows.
    StoreError
        The data folder cannot be written.
    """
    names = column_names(schema.names, name)
    wanted = pa.schema([pa.field(new, _stored_type(field, name)) for new, field in zip(names, schema, strict=True)])
    digest = _ContentDigest(wanted)
    with working_folder(store.data_folder) as work:
        texts = [field.name for field in wanted if pa.types.is_string(field.type)]
        with pq.ParquetWriter(work / "table.parquet", wanted, compression="zstd", use_dictionary=texts) as writer:
            for table in _row_groups(_cast(batch, wanted, name) for batch in batches):
                digest.update(table)
                writer.write_table(table, row_group_size=table.num_rows)
        if digest.rows == 0:
            raise DataError(f"{name} has no rows.", "Give data with at least one row below the column names.")
        key = digest.hexdigest()
        (work / "table.parquet").replace(store.data_folder / f"{key}.parquet")
    return key


def store_parquet(sources: Sequence[str | Path], store: Store, *, include_path: bool = False) -> str:
    """Store the rows of Parquet files with the same columns, one file after the other; returns the digest."""
    with working_folder(store.data_folder) as work:
        files = []
        for index, source in enumerate(sources):
            (folder := work / str(index)).mkdir()
            files.append((source, open_parquet(local_file(source, folder))))
        first = files[0][1].schema_arrow
        for source, file in files:
            if file.schema_arrow.names != first.names or file.schema_arrow.types != first.types:
                raise DataError(
                    f"{display_name(source)} has other columns or types than {display_name(sources[0])}.",
                    "Give files with the same columns, or read each as a data set of its own.",
                )
        schema = first.insert(0, pa.field("Path", pa.string())) if include_path else first

        def batches() -> Iterator[pa.RecordBatch]:
            for source, file in files:
                for batch in read_batches(file, display_name(source)):
                    columns = [pa.repeat(display_name(source), batch.num_rows)] if include_path else []
                    yield pa.RecordBatch.from_arrays([*columns, *batch.columns], schema=schema)

        return store_table(schema, batches(), store, display_name(sources[0]))


def store_frame(frame: pd.DataFrame, store: Store) -> str:
    """Store a data frame, without its index; returns the digest.

    Raises
    ------
    DataError
        A column has values of several types, or of a type that cannot be stored.
    """
    names = column_names([str(column) for column in frame.columns], _FRAME)
    columns = []
    for position, name in enumerate(names):
        series = frame.iloc[:, position]
        _refuse_mixed(series, name)
        try:
            columns.append(pa.Array.from_pandas(series))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise _unsupported(name, str(series.dtype), _FRAME) from error
    table = pa.table(
        [column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]) for column in columns],
        names=names,
    )
    return store_table(table.schema, table.to_batches(batch_rows(len(names))), store, _FRAME)


def column_names(names: Sequence[str], source: str) -> list[str]:
    """The names of the columns of a table: without blanks around them, ``Column<position>`` where there is none.

    Raises
    ------
    DataError
        Two columns have the same name.
    """
    stripped = [name.strip() or f"Column{position}" for position, name in enumerate(names, start=1)]
    twice = [name for name, times in Counter(stripped).items() if times > 1]
    if twice:
        raise DataError(
            f"{source} has several columns of the same name: {', '.join(map(repr, twice))}.",
            "Give every column a name of its own.",
        )
    if not stripped:
        raise DataError(f"{source} has no columns.", "Give data with named columns.")
    return stripped


def _refuse_mixed(series: pd.Series, name: str) -> None:
    from pandas.api.types import infer_dtype

    if series.dtype != object or infer_dtype(series, skipna=True) not in ("mixed", "mixed-integer"):
        return
    kinds = list(dict.fromkeys(type(value).__name__ for value in series.dropna()))
    if len(kinds) > 1:
        raise DataError(
            f"The column {name!r} of the DataFrame has values of several types: {kinds[0]} and {kinds[1]}.",
            f"Give it one type, as in frame[{name!r}].astype(str).",
        )


def _unsupported(column: str, kind: str, source: str) -> DataError:
    return DataError(
        f"The column {column!r} of {source} has the type {kind}, which cannot be stored.",
        "Make it numbers, text, true/false or dates, or drop the column.",
    )


def _stored_type(field: pa.Field, source: str) -> pa.DataType:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    checks = pa.types
    if checks.is_boolean(kind):
        return pa.bool_()
    if checks.is_integer(kind):
        return pa.int64()
    if checks.is_floating(kind) or checks.is_decimal(kind):
        return pa.float64()
    if checks.is_date(kind) or checks.is_timestamp(kind):
        return pa.timestamp("us")
    if checks.is_string(kind) or checks.is_large_string(kind) or checks.is_string_view(kind) or checks.is_null(kind):
        return pa.string()
    raise _unsupported(field.name, str(field.type), source)


def _cast(batch: pa.RecordBatch, schema: pa.Schema, source: str) -> pa.RecordBatch:
    columns = []
    for field, column in zip(schema, batch.columns, strict=True):
        try:
            # Decimals and large whole numbers may lose digits as doubles; everything else is kept exactly.
            columns.append(column.cast(field.type, safe=not pa.types.is_floating(field.type)))
        except pa.ArrowInvalid as error:
            raise DataError(
                f"The column {field.name!r} of {source} does not fit {field.type}: {error}.",
                "Round times to microseconds; write whole numbers beyond 64 bits as text or as floats.",
            ) from error
    columns = [_nan_as_missing(column) for column in columns]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _nan_as_missing(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches joined to tables that are large enough for a row group."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows:
            waiting.append(batch)
        rows, size = sum(each.num_rows for each in waiting), sum(each.nbytes for each in waiting)
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


class _ContentDigest:
    """SHA-256 of a table's schema and values; not of how the file is laid out, or who wrote it."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = [[field.name, str(field.type)] for field in schema]
        # Three streams a column, so that the digest does not depend on where batches end.
        self._streams = [[hashlib.sha256() for _ in range(3)] for _ in schema]

    def update(self, table: pa.Table) -> None:
        self.rows += table.num_rows
        for streams, column in zip(self._streams, table.columns, strict=True):
            for chunk in column.chunks:
                for stream, part in zip(streams, _parts(chunk), strict=False):
                    stream.update(part)

    def hexdigest(self) -> str:
        columns = [[stream.hexdigest() for stream in streams] for streams in self._streams]
        return hashlib.sha256(json.dumps([self._schema, self.rows, columns]).encode()).hexdigest()


def _parts(array: pa.Array) -> tuple[Any, ...]:
    """An array as bytes: which values are there, the values (a fixed one for missing), and of text the lengths."""
    there = pc.is_valid(array).to_numpy(zero_copy_only=False)
    if not pa.types.is_string(array.type):
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.int8())
        elif pa.types.is_timestamp(array.type):
            array = array.cast(pa.int64())
        return there, pc.fill_null(array, 0).to_numpy()
    text = pc.fill_null(array, "")
    _, offsets, data = text.buffers()
    bounds = pa.Array.from_buffers(pa.int32(), len(text) + 1, [None, offsets], offset=text.offset).to_numpy()
    lengths = bounds[1:] - bounds[:-1]
    return there, lengths, (data or pa.py_buffer(b"")).slice(int(bounds[0]), int(bounds[-1] - bounds[0]))
