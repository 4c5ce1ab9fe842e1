"""What the columns of a table are for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from nbhelpers.automl.cells import Texts, Values, discover, read
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
        Of a categorical string column: the values, sorted or in the order that they were given, whose positions are
        its codes.
    parts : list of str
        Of a DateTime column: the `DATE_PARTS` that vary.
    fill : float
        What stands for a missing value (and an unknown category), or NaN if models are to see that it is missing; of a
        DateTime column in microseconds since 1970.
    style : str
        How texts that stand for numbers or points in time are written; see `nbhelpers.automl.styles`.
    imputer : str
        The strategy by which the user has missing values replaced, if any.
    """

    name: str
    purpose: str
    kind: str
    missing: int
    categories: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    fill: float = float("nan")
    style: str = ""
    imputer: str = ""


def unique_names(names: Iterable[Any]) -> list[str]:
    """Names as text; of equal ones the second becomes ``name.1`` and so on, as when pandas reads a CSV file."""
    found: list[str] = []
    seen: set[str] = set()
    listed = [str(name) for name in names]
    taken = set(listed)
    for name in listed:
        number = 0
        unique = name
        while unique in seen or (number and unique in taken):
            number += 1
            unique = f"{name}.{number}"
        seen.add(unique)
        found.append(unique)
    return found


def with_names(X: Any) -> pd.DataFrame:
    """The table with a name of its own for each column; its values are not copied."""
    if not isinstance(X, pd.DataFrame):
        raise DataError(f"A {type(X).__name__} is not a table with named columns.", "Give a pandas DataFrame.")
    frame = X.copy(deep=False)
    frame.columns = pd.Index(unique_names(X.columns), dtype=object)
    return frame


def purpose_of(values: Values, dtype: Any) -> str:
    """The purpose of a column of the training table, by Azure ML's rules on its number of rows and of unique values.

    Some rules differ, as Azure ML's lose what can be learned from, or learn from what cannot be:

    - Whole numbers with few values are Categorical as there, but keep their order and size.
    - A single value is Categorical, not left out, if it is missing elsewhere: it is a mark.
    - Texts with 10,000 different values or more are CategoricalHash if each occurs in ten rows on average.
    - A pandas category whose values hardly ever repeat is judged like other texts or numbers.

    Parameters
    ----------
    values : array or Texts
        Of one of the three kinds, see `discover`.
    dtype : dtype
        Of the column.
    """
    if isinstance(values, Texts):
        return _purpose_of_texts(values, dtype)
    present = values[~pd.isna(values)]
    if not len(present):
        return "AllNan"
    if values.dtype.kind == "M":
        return "DateTime"
    if present.min() == present.max():
        return _purpose_of_one(len(values) - len(present))
    if types.is_bool_dtype(dtype):
        return "Categorical"
    given = isinstance(dtype, pd.CategoricalDtype)
    most = 0.9 * len(values) if given else min(50, 0.05 * len(values))
    if not given and not (present == np.floor(present)).all():
        return "Numeric"
    if pd.unique(present[:1000]).size > most:
        return "Numeric"
    unique = pd.unique(present).size
    return "Categorical" if unique <= most and (given or unique < 0.05 * len(values)) else "Numeric"


def _purpose_of_one(missing: int) -> str:
    """The purpose of a column with a single value."""
    return "Categorical" if missing else "Ignore"


def _purpose_of_texts(texts: Texts, dtype: Any) -> str:
    n_rows, unique = len(texts.codes), len(texts.levels)
    if unique < 2:
        return _purpose_of_one(int((texts.codes < 0).sum())) if unique else "AllNan"
    share = unique / n_rows
    if unique < min(200, 0.05 * n_rows) or (isinstance(dtype, pd.CategoricalDtype) and share <= 0.9):
        return "Categorical"
    counts = np.bincount(texts.codes[texts.codes >= 0], minlength=unique)
    spaces = np.average([text.count(" ") for text in texts.levels], weights=counts)
    if share > 0.85 and spaces > 1:
        return "Text"
    if share < 0.7 and (unique < 10_000 or share <= 0.1):
        return "CategoricalHash"
    if spaces > 1:
        return "Text"
    return "Hashes" if share > 0.9 else "Ignore"


def check_rows(train: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Refuse rows that a model trained on a table could not read; they have its columns.

    Raises
    ------
    DataError
        The first column with a value of another kind, or the table has no column that a model can use.
    """
    train, rows = with_names(train), with_names(rows)
    used = []
    for name in train.columns:
        kind, style, values = discover(train[name])
        if purpose_of(values, train[name].dtype) in USED:
            used.append((name, kind, style))
    require_used(used)
    for name, kind, style in used:
        if kind != "string":  # anything can be read as text
            read(rows[name], kind, style)


def require_used(columns: Collection[Any]) -> None:
    """Refuse to go on without a column that a model can use."""
    if not columns:
        raise DataError(
            "No column can be learned from: each is empty, constant, text that hardly ever repeats, or left out.",
            "Add columns that vary from row to row and have values that repeat or are numbers.",
        )


def date_parts(times: npt.NDArray[Any], parts: list[str]) -> npt.NDArray[np.float64]:
    """The parts of points in time, in columns; NaN where there is no time."""
    days, months, years = (times.astype(f"datetime64[{unit}]") for unit in "DMY")
    month = months.astype(int) % 12 + 1
    day = (days - months.astype("datetime64[D]")).astype(int) + 1
    second = (times - days).astype("timedelta64[s]").astype(int)
    columns = {
        "year": years.astype(int) + 1970,
        "month": month,
        "day": day,
        "day_of_week": (days.astype(int) + 3) % 7,  # 1970 began on a Thursday, and weeks begin on Mondays
        "day_of_year": (days - years.astype("datetime64[D]")).astype(int) + 1,
        "quarter": (month - 1) // 3 + 1,
        "week_of_month": (day - 1) // 7 + 1,
        "hour": second // 3600,
        "minute": second // 60 % 60,
        "second": second % 60,
    }
    values = np.column_stack([columns[part] for part in parts]).astype(float)
    values[np.isnat(times)] = np.nan
    return values
