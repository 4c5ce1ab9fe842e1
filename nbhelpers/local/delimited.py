"""Separated text (CSV) becomes a stored table.

DuckDB parses the text; separator and header are found here, since DuckDB's own search skips lines that do not fit and
so loses a header or rows without a word. `column_types` has the rules of what the columns hold.
"""

from __future__ import annotations

import csv
import glob
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nbhelpers.errors import DataError, StoreError
from nbhelpers.local.column_types import TEXT, DataType, all_values, given_kinds, inferred_kinds, sql_text
from nbhelpers.local.encodings import plain_text
from nbhelpers.local.files import MIN_ROWS, batch_rows, column_names, store_table
from nbhelpers.local.sources import display_name, local_file, unpacked, working_folder
from nbhelpers.local.store import Store

if TYPE_CHECKING:
    import duckdb

SEPARATORS = (",", ";", "\t", "|")

#: Excel takes the separator from such a first line, and some programs write it.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"])"?\n')
_SAMPLE_CHARACTERS = 2**20
_SAMPLE_RECORDS = 200


@dataclass(frozen=True)
class _Text:
    """One file, parsed: the names in its header, its separator, and its fields as texts in a Parquet file."""

    header: list[str]
    separator: str
    parquet: Path


@dataclass(frozen=True)
class DelimitedOptions:
    """How to read; the fields are arguments of `Dataset.Tabular.from_delimited_files`."""

    separator: str | None = ","
    header: bool = True
    encoding: str = "utf8"
    infer_column_types: bool = True
    set_column_types: Mapping[str, DataType] | None = None
    empty_as_string: bool = False
    include_path: bool = False


def store_delimited(sources: Sequence[str | Path], options: DelimitedOptions, store: Store) -> str:
    """Store the rows of text files with the same columns, one file after the other; returns the digest.

    Raises
    ------
    DataError
        A file cannot be read; the message names file, and line or column.
    """
    name = display_name(sources[0])
    with working_folder(store.data_folder) as work, _database(work) as database:
        texts = []
        for index, source in enumerate(sources):
            (folder := work / str(index)).mkdir()
            texts.append(_parse(database, source, options, folder))
            if texts[-1].header != texts[0].header:
                raise DataError(
                    f"{display_name(source)} has the columns {', '.join(texts[-1].header)}; "
                    f"{name} has {', '.join(texts[0].header)}.",
                    "Give files with the same columns, or read each as a data set of its own.",
                )
        files = ", ".join(_path(text.parquet) for text in texts)
        database.execute(f"CREATE VIEW fields AS SELECT * FROM read_parquet([{files}])")  # noqa: S608
        columns = _columns(database, texts, options, name)
        query = f"SELECT {', '.join(columns.values())} FROM fields"  # noqa: S608
        reader = database.sql(query).to_arrow_reader(batch_rows(len(columns)))
        schema = pa.schema([pa.field(column, of.type) for column, of in zip(columns, reader.schema, strict=True)])
        batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in reader)
        return store_table(schema, batches, store, name)


def _columns(
    database: duckdb.DuckDBPyConnection, texts: Sequence[_Text], options: DelimitedOptions, name: str
) -> dict[str, str]:
    """The columns of the table: the name and the SQL of each."""
    header = texts[0].header
    names = column_names(header, name)
    kinds = given_kinds(database, names, options.set_column_types or {}, name)
    if options.infer_column_types:
        free = [column for column in range(len(names)) if column not in kinds]
        kinds |= inferred_kinds(database, free, decimal_comma=all(text.separator != "," for text in texts))
    values = {}
    for column, column_name in enumerate(names):
        kind = kinds.get(column, TEXT)
        value = kind.of(column)
        values[column_name] = f"coalesce({value}, '')" if kind is TEXT and options.empty_as_string else value
    # A column without name and values comes from separators at the ends of the lines.
    unnamed = [(column, TEXT) for column, given in enumerate(header) if not given.strip()]
    for (column, _), there in all_values(database, "fields", unnamed).items():
        if there is None:
            del values[names[column]]
    if not values:
        raise DataError(f"{name} has no table: its lines are blank.", "Give another file.")
    if not options.include_path:
        return values
    column_names(["Path", *values], name)
    return {"Path": "path", **values}


@contextmanager
def _database(work: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of our own, that keeps within its memory and fetches nothing from anywhere."""
    import duckdb

    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(work),
        "threads": min(os.cpu_count() or 1, 4),  # each holds buffers of its own
    }
    with duckdb.connect(config=settings) as database:
        try:
            database.execute("SET TimeZone = 'UTC'")
            database.execute("SET enable_progress_bar = false")  # DuckDB shows one for each query in a notebook
            yield database
        except duckdb.Error as error:
            raise StoreError(
                f"The data could not be read into {work.parent}: {str(error).splitlines()[0]}",
                "Make room on the disk, or set NBHELPERS_HOME to a folder on another one; "
                "shorten texts of more than 10,000 characters.",
            ) from error


def _parse(database: duckdb.DuckDBPyConnection, source: str | Path, options: DelimitedOptions, folder: Path) -> _Text:
    """Find separator and header, and write the fields below the header, as texts, into a Parquet file."""
    import duckdb

    name = display_name(source)
    file = plain_text(unpacked(local_file(source, folder), name, folder), name, options.encoding, folder)
    header, records_above, separator = _layout(file, name, options)
    columns = [f"c{column}" for column in range(len(header))]
    fields = ", ".join(f"CASE WHEN trim({column}) = '' THEN NULL ELSE {column} END AS {column}" for column in columns)
    reading = (
        f"read_csv({_path(file)}, auto_detect = false, header = false, skip = {records_above}, "
        f"delim = {sql_text(separator)}, quote = '\"', escape = '\"', compression = 'none', strict_mode = true, "
        f"columns = {{{', '.join(f'{column}: VARCHAR' for column in columns)}}})"
    )
    # In a table of one column, an empty line cannot be told from a missing value; lines without text are skipped.
    lines = "WHERE c0 IS NOT NULL" if len(columns) == 1 else ""
    target = folder / "fields.parquet"
    # 256 MB do for any number of rows; DuckDB's buffers grow with the columns.
    database.execute(f"SET memory_limit = '{256 + len(columns) // 2}MB'")

    def write(rows: int) -> None:
        database.execute(
            f"COPY (SELECT {sql_text(name)} AS path, {fields} FROM {reading} {lines}) TO {sql_text(str(target))} "  # noqa: S608
            f"(FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {rows})"
        )

    try:
        try:
            write(batch_rows(len(columns)))
        except duckdb.OutOfMemoryException:  # long texts
            write(MIN_ROWS)
    except duckdb.InvalidInputException as error:
        raise _diagnosis(file, name, len(header), separator, records_above, error) from error
    return _Text(header, separator, target)


def _layout(file: Path, name: str, options: DelimitedOptions) -> tuple[list[str], int, str]:
    """The names in the header, the number of records up to and with it, and the separator."""
    with file.open(encoding="utf-8", newline="") as stream:
        sample, rest = stream.read(_SAMPLE_CHARACTERS), stream.read(1)
    named = _SEPARATOR_LINE.match(sample)
    sample = sample[named.end() :] if named else sample
    candidates = []
    for candidate in SEPARATORS:
        # The header tells best, since text and decimal commas seldom stand in it; the rows below should agree.
        first, *others = [len(record) for record in _records(sample, candidate, whole=not rest) if record] or [0]
        if first > 1:
            candidates.append((sum(length == first for length in others) / max(len(others), 1), first, candidate))
    likeliest = max(candidates, key=lambda found: found[:2])[2] if candidates else ","
    likeliest = named[1] if named else likeliest
    separator = likeliest if options.separator in (None, ",") else str(options.separator)
    records = _records(sample, separator, whole=not rest)
    above = next((number for number, record in enumerate(records) if record), None)
    if above is None:
        raise DataError(
            f"{name} has no table: its lines are blank, or its first line is too long.", "Give another file."
        )
    header = records[above]
    above += bool(named)
    if len(header) == 1 and candidates:
        raise DataError(
            f"{name} has no separator {separator!r} in its first line; {likeliest!r} seems to separate its fields.",
            "Leave the separator out: it is found in the file.",
        )
    if not options.header:
        return [f"Column{position}" for position in range(1, len(header) + 1)], above, separator
    return header, above + 1, separator


def _records(sample: str, separator: str, *, whole: bool) -> list[list[str]]:
    """The first records of a text; none of them cut off at the end of the sample."""
    records: list[list[str]] = []
    try:
        for record in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=separator), _SAMPLE_RECORDS):
            records.append(record)
    except csv.Error:  # an endless field; parsing the file will tell more
        return records
    return records if whole or len(records) == _SAMPLE_RECORDS else records[:-1]


def _diagnosis(file: Path, name: str, width: int, separator: str, skip: int, error: Exception) -> DataError:
    """What is wrong with a file that could not be parsed: the line where it goes wrong."""
    line = 1
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        try:
            for number, record in enumerate(reader):
                # One separator too many at the end of a line is allowed.
                if number >= skip and record and len(record) != width and record[width:] != [""]:
                    return DataError(
                        f"{name}, line {line}: {len(record)} fields instead of the {width} of the first line "
                        f"(separator {separator!r}).",
                        "Correct the line; put quotes around a text that contains the separator.",
                    )
                line = reader.line_num + 1
        except csv.Error as problem:
            return DataError(
                f"{name}, line {line}: the quotes do not match, or a text is too long ({problem}).",
                'Close the quoted text, and write a quote inside it twice: "a ""quoted"" word".',
            )
    return DataError(
        f"{name} cannot be parsed as separated text: {str(error).splitlines()[0]}",
        "Check the file, or save it anew as CSV with quotes around texts, or as Parquet.",
    )


def _path(path: Path) -> str:
    """A path for DuckDB, which takes brackets and stars in it for a pattern."""
    return sql_text(glob.escape(str(path)))
