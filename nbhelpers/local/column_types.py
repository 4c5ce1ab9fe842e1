"""What the columns of separated text hold, decided over all their values and never over a sample.

- An empty field, or one of blanks only, is missing. Words such as ``NA``, ``?`` or ``unknown`` are text.
- true/false (any case); whole numbers of up to 18 digits; numbers with a decimal point or an exponent; dates and
  times: ISO 8601 (to UTC, where a zone is given), or one of `DATE_FORMATS` if exactly one of them fits the column.
- A column with a leading zero, as in the postal code ``00123``, or with longer numbers is text, so nothing is lost.
- Numbers with a decimal comma, if the comma is not the separator; but a column that may be one of thousands
  (``1,234``) only if no other column has a decimal point.
- Anything else is text, as it stands in the file.

The fields are in the DuckDB view ``fields``, as text, in columns ``c0``, ``c1`` …
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbhelpers.errors import DataError, UserErrorException, nearest

if TYPE_CHECKING:
    import duckdb

#: Formats of dates besides ISO 8601, each also with a time of day.
DATE_FORMATS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d")

_FIRST_ROWS = 2_000


@dataclass(frozen=True)
class DataType:
    """The type to give a column, for ``set_column_types``; made with the methods below, which are the SDK's."""

    kind: str
    formats: tuple[str, ...] = ()

    @staticmethod
    def to_string() -> DataType:
        """Text, as it stands in the file."""
        return DataType("text")

    @staticmethod
    def to_long() -> DataType:
        """Whole numbers, also with leading zeros."""
        return DataType("whole number")

    @staticmethod
    def to_float(decimal_mark: str = ".") -> DataType:
        """Numbers, with ``.`` or ``,`` as the decimal mark."""
        if decimal_mark not in (".", ","):
            raise UserErrorException(f"decimal_mark={decimal_mark!r} is no decimal mark.", "Use '.' or ','.")
        return DataType("number" if decimal_mark == "." else "number with a decimal comma")

    @staticmethod
    def to_bool() -> DataType:
        """True and false."""
        return DataType("true or false")

    @staticmethod
    def to_datetime(formats: str | Sequence[str] | None = None) -> DataType:
        """Dates and times in one of the formats (as for ``strptime``); by default ISO 8601."""
        listed = [formats] if isinstance(formats, str) else formats or []
        if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
            raise UserErrorException(f"formats={formats!r} are no formats of dates.", "Give one such as '%d.%m.%Y'.")
        return DataType("date", tuple(listed))


@dataclass(frozen=True)
class Kind:
    """What a column may hold: the SQL of a test of a field, and of its value; ``@`` stands for the field."""

    test: str
    value: str

    def tested(self, column: int) -> str:
        """The test of a column's field; never NULL."""
        return f"coalesce({self.test.replace('@', f'c{column}')}, false)"

    def of(self, column: int) -> str:
        """The value of a column's field."""
        return self.value.replace("@", f"c{column}")


def _dates(*formats: str) -> Kind:
    listed = ", ".join(sql_text(each) for each in formats)
    reading = f"try_strptime(trim(@), [{listed}])"
    return Kind(f"year({reading}) >= 1000", reading)


def sql_text(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


_DECIMAL = r"[+-]?((0|[1-9]\d{0,17})(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
_ISO = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?"

TEXT = Kind("true", "@")
_BOOLEAN = Kind("lower(trim(@)) IN ('true', 'false')", "CAST(trim(@) AS BOOLEAN)")
_INTEGER = Kind(r"regexp_full_match(trim(@), '[+-]?(0|[1-9]\d{0,17})')", "CAST(@ AS BIGINT)")
_NUMBER = Kind(f"regexp_full_match(trim(@), '{_DECIMAL}') AND isfinite(TRY_CAST(@ AS DOUBLE))", "CAST(@ AS DOUBLE)")
_DATETIME = Kind(
    f"regexp_full_match(trim(@), '{_ISO}') AND TRY_CAST(@ AS TIMESTAMPTZ) IS NOT NULL",
    "make_timestamp(epoch_us(CAST(@ AS TIMESTAMPTZ)))",  # in UTC, the time zone of the connection
)
_POINTED = "replace(@, ',', '.')"
_COMMA_NUMBER = Kind(
    f"NOT contains(@, '.') AND {_NUMBER.test.replace('@', _POINTED)}",
    _NUMBER.value.replace("@", _POINTED),
)
_THOUSANDS = Kind(r"regexp_full_match(trim(@), '[+-]?\d{1,3}(,\d{3})*')", "NULL")
_PLAIN = (_BOOLEAN, _INTEGER, _NUMBER, _DATETIME)
_DATE_LIKE = Kind(r"regexp_full_match(trim(@), '\d{1,4}[./]\d{1,2}[./]\d{1,4}( .*)?')", "NULL")
_DATES = tuple(_dates(each, f"{each} %H:%M", f"{each} %H:%M:%S") for each in DATE_FORMATS)

_GIVEN = {
    "text": TEXT,
    "whole number": Kind(r"regexp_full_match(trim(@), '[+-]?\d{1,18}')", _INTEGER.value),
    "number": Kind("isfinite(TRY_CAST(@ AS DOUBLE))", _NUMBER.value),
    "number with a decimal comma": _COMMA_NUMBER,
    "true or false": _BOOLEAN,
    "date": _DATETIME,
}


def given_kinds(
    database: duckdb.DuckDBPyConnection, names: Sequence[str], types: Mapping[str, DataType], source: str
) -> dict[int, Kind]:
    """The kinds of the columns that the caller gave a type; every value must fit.

    Raises
    ------
    DataError
        There is no such column, or a value does not fit its type.
    UserErrorException
        A format of dates is wrong.
    """
    import duckdb

    kinds = {}
    for name, wanted in types.items():
        if name not in names:
            near = nearest(name, names)
            raise DataError(
                f"set_column_types names the column {name!r}, which {source} does not have.",
                f"Name {near!r} instead." if near else f"Name one of its columns: {', '.join(names)}.",
            )
        column = names.index(name)
        kind = kinds[column] = _dates(*wanted.formats) if wanted.formats else _GIVEN[wanted.kind]
        try:
            wrong = database.execute(
                f"SELECT row, c{column} FROM (SELECT row_number() OVER () AS row, c{column} FROM fields) "  # noqa: S608
                f"WHERE c{column} IS NOT NULL AND NOT {kind.tested(column)} LIMIT 1"
            ).fetchall()
        except duckdb.InvalidInputException as error:
            raise UserErrorException(
                f"The formats {', '.join(wanted.formats)} of the column {name!r} cannot be used: {error}.",
                "Write them as for strptime, as in '%d.%m.%Y'.",
            ) from error
        if wrong:
            row, value = wrong[0]
            raise DataError(
                f"The column {name!r} of {source} cannot be read as a {wanted.kind}: row {row} has {value!r}.",
                "Correct the value, or leave the column out of set_column_types.",
            )
    return kinds


def inferred_kinds(
    database: duckdb.DuckDBPyConnection, columns: Iterable[int], *, decimal_comma: bool
) -> dict[int, Kind]:
    """The kinds of columns that are not text; `decimal_comma`: whether numbers may be written with one."""
    cheap = (*_PLAIN, _DATE_LIKE, *((_COMMA_NUMBER, _THOUSANDS) if decimal_comma else ()))
    # A few rows rule out most kinds, so that only the likely ones are tried on all rows.
    database.execute(f"CREATE TEMP TABLE first_rows AS FROM fields LIMIT {_FIRST_ROWS}")
    possible = all_values(database, "first_rows", [(column, kind) for column in columns for kind in cheap])
    likely = [pair for pair, fits in possible.items() if fits is not False]
    likely += [(column, date) for column, kind in likely if kind is _DATE_LIKE for date in _DATES]
    fitting = all_values(database, "fields", likely)
    fitting = {pair: fits for pair, fits in fitting.items() if fits}
    kinds: dict[int, Kind] = {}
    for column, kind in fitting:
        if kind in _PLAIN:
            kinds.setdefault(column, kind)
    points = _NUMBER in kinds.values()
    for column in {column for column, _ in fitting} - kinds.keys():
        dates = [kind for kind in _DATES if (column, kind) in fitting]
        if len(dates) == 1:  # 01/02/2024 fits two: nobody knows which part is the month
            kinds[column] = dates[0]
        elif (column, _COMMA_NUMBER) in fitting and not (points and (column, _THOUSANDS) in fitting):
            kinds[column] = _COMMA_NUMBER
    return kinds


def all_values(
    database: duckdb.DuckDBPyConnection, rows: str, pairs: Sequence[tuple[int, Kind]]
) -> dict[tuple[int, Kind], bool | None]:
    """Whether all values of a column are of a kind, for pairs of both; None if the column has no values."""
    verdicts: dict[tuple[int, Kind], bool | None] = {}
    # DuckDB plans a query in time that grows with the square of its expressions.
    for start in range(0, len(pairs), 100):
        block = pairs[start : start + 100]
        tests = ", ".join(f"bool_and({kind.tested(c)}) FILTER (c{c} IS NOT NULL)" for c, kind in block)
        row = database.execute(f"SELECT {tests} FROM {rows}").fetchall()[0]  # noqa: S608
        verdicts |= dict(zip(block, row, strict=True))
    return verdicts


def is_number(text: str) -> bool:
    """Whether a text spells a number, as ``float`` reads it."""
    try:
        float(text)
    except ValueError:
        return False
    return True
