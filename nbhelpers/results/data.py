"""A table before anything is trained on it: what its columns hold, and what may go wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_float_dtype, is_integer_dtype, is_numeric_dtype

from nbhelpers.errors import DataError, UserErrorException
from nbhelpers.results import charts
from nbhelpers.results.checks import Check, check_table, imbalance, labelled, row_keys
from nbhelpers.results.frames import SentenceFrame, as_frame, has_value, plain, require_column

#: A numeric label with more values than this is shown in ranges, if it is a quantity.
_MANY = 20
#: Numbers with at least and at most so many values may be classes or quantities.
_DOUBTFUL = (5, 100)
_RANGES = 10
#: A class with fewer rows is missing from some folds where there are ten.
_RARE_ROWS = 10
_MISSING_SHARE = 0.4
#: From this share of different values on, whole numbers and text look like ids.
_ID_SHARE = 0.95
_ID_ROWS = 50
_PLURALS = {"column": "columns", "class": "classes"}


def describe(frame: Any) -> pd.DataFrame:
    """The statistics of `pandas.DataFrame.describe`, shown with numbers of a readable length.

    Parameters
    ----------
    frame : DataFrame or TabularDataset
    """
    return SentenceFrame(as_frame(frame).describe())


def profile(frame: Any) -> pd.DataFrame:
    """What each column of a table holds.

    Parameters
    ----------
    frame : DataFrame or TabularDataset

    Returns
    -------
    DataFrame
        A row per column, in their order: column, type, missing (rows), missing_share, distinct (values), and a
        summary: least, mean and greatest value of numbers and dates, else the most common value with its share.
    """
    table = as_frame(frame)
    rows = [
        (
            str(name),
            _type(column),
            int(column.isna().sum()),
            round(float(column.isna().mean()), 4) if len(column) else 0.0,
            plain(column).nunique(),
            _summary(column.dropna()),
        )
        for name, column in table.items()
    ]
    return SentenceFrame(rows, columns=["column", "type", "missing", "missing_share", "distinct", "summary"])


def label_balance(frame: Any, label: str, task: str = "auto") -> pd.DataFrame:
    """How many rows each class has, the largest first; a numeric label with many values is cut into ten ranges.

    Far outliers do not widen these: rows below and above the ten are counted together.

    Parameters
    ----------
    frame : DataFrame or TabularDataset
    label : str
    task : {"auto", "classification", "regression"}
        Of a classification every class has a row, numbers too.

    Returns
    -------
    DataFrame
        Index: the class or range; columns rows and share (of all rows). Rows without a label come last.
    """
    table = as_frame(frame)
    require_column(table, label)
    known = has_value(table[label])
    values, missing = plain(table[label][known]), int((~known).sum())
    if task != "classification" and _is_continuous(values):
        if np.isinf(values.astype(float)).any():
            raise DataError(f"The label {label!r} holds an infinite value.", "correct or drop these rows.")
        counts = _ranges(values.astype(float))
    else:
        by_name = values.value_counts(sort=False).sort_index(key=lambda names: names.astype(str))
        counts = by_name.sort_values(ascending=False, kind="stable")
    if missing:
        counts.index = counts.index.astype(object)  # the name of this row is text, whatever the labels are
        counts.loc["(missing)"] = missing
    balance = pd.DataFrame({"rows": counts, "share": (counts / max(len(table), 1)).round(4)})
    return balance.rename_axis(label)


def plot_label(frame: Any, label: str, task: str = "auto") -> Figure:
    """A bar per class of the label (or range, see `label_balance`) with its rows and share."""
    balance = label_balance(frame, label, task)
    if balance.empty:
        raise DataError("The table has no rows.", "give a table with rows.")
    return charts.draw_shares([str(name) for name in balance.index], balance["rows"].tolist(), f"Label {label}", "rows")


def data_checks(frame: Any, label: str, task: str) -> pd.DataFrame:
    """Check a training table; these checks are this project's, Azure ML's own are the guardrails of a run.

    Parameters
    ----------
    frame : DataFrame or TabularDataset
    label : str
        The column to predict.
    task : {"classification", "regression"}

    Returns
    -------
    DataFrame
        code, check, status (passed or noticed) and finding, a sentence.
    """
    if task not in ("classification", "regression"):
        raise UserErrorException(f"There is no task {task!r}.", "use 'classification' or 'regression'.")
    table = as_frame(frame)
    require_column(table, label)
    if table.empty:
        raise DataError("The table has no rows.", "give a table with rows.")
    checks = [
        labelled("NB101", int((~has_value(table[label])).sum()), len(table)),
        *_column_checks(table.drop(columns=label)),
        _repeats(table),
        _tell_tale(table, label),
        _kind_of_label(plain(table[label][has_value(table[label])]), task),
    ]
    if task == "classification":
        counts = plain(table[label][has_value(table[label])]).value_counts().to_dict()
        checks += [imbalance("NB102", counts), _rare_classes(counts)]
    return check_table(sorted(checks, key=lambda check: check.code))


def _rare_classes(counts: dict[Any, int]) -> Check:
    rare = sorted(str(name) for name, rows in counts.items() if rows < _RARE_ROWS)
    what = f"fewer than {_RARE_ROWS} rows, too few to learn and to judge"
    return _listed("NB103", "very rare classes", rare, "class", what)


def _column_checks(features: pd.DataFrame) -> Iterator[Check]:
    columns = {str(name): column for name, column in features.items()}
    constant = [name for name, column in columns.items() if plain(column).nunique() <= 1]
    yield _listed("NB104", "constant columns", constant, "column", "one value only, or none")
    empty = [name for name, column in columns.items() if column.isna().mean() > _MISSING_SHARE]
    what = f"more than {_MISSING_SHARE:.0%} of the values missing"
    yield _listed("NB105", "missing values", empty, "column", what)
    ids = [name for name, column in columns.items() if _is_id(column)]
    yield _listed("NB106", "columns like an id", ids, "column", "another value in almost every row")


def _repeats(table: pd.DataFrame) -> Check:
    repeats = int(row_keys(table).duplicated().sum())
    finding = f"{repeats:,} of {len(table):,} rows repeat an earlier row ({repeats / len(table):.1%})."
    return Check("NB107", "repeated rows", repeats > 0, finding)


def _tell_tale(table: pd.DataFrame, label: str) -> Check:
    """Columns whose value decides the label in every row, with at least two rows per value on average.

    Of a quantity also columns of numbers that grow or fall whenever it does, as one in another unit does.
    """
    known = plain(table[label])
    features = table.drop(columns=label)
    tell = [
        str(name)
        for name, column in features.items()
        if 1 < (values := plain(column)).nunique() <= len(table) / 2 and (known.groupby(values).nunique() <= 1).all()
    ]
    if _is_continuous(known):
        alike = features.select_dtypes("number").corrwith(known.astype(float), method="spearman").abs()
        tell += [str(name) for name in alike.index[alike > 1 - 1e-9] if str(name) not in tell]
    return _listed("NB108", "columns that tell the label", tell, "column", "values that decide the label in every row")


def _kind_of_label(values: pd.Series[Any], task: str) -> Check:
    """Noticed: the values may be classes as well as quantities."""
    distinct = values.nunique()
    doubtful = is_numeric_dtype(values) and not is_bool_dtype(values) and _DOUBTFUL[0] <= distinct <= _DOUBTFUL[1]
    kind, other = ("classes", "quantities") if task == "classification" else ("quantities", "classes")
    finding = f"The label has {distinct:,} different values, taken as {kind}."
    if doubtful and distinct <= len(values) / _RARE_ROWS:
        setting = "regression" if task == "classification" else "classification"
        return Check("NB109", "task", True, f"{finding} If they are {other}, set task='{setting}'.")
    return Check("NB109", "task", False, finding)


def _listed(code: str, check: str, names: list[str], kind: str, what: str) -> Check:
    if not names:
        return Check(code, check, False, f"No {_PLURALS[kind]} with {what}.")
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    counted = f"1 {kind}" if len(names) == 1 else f"{len(names)} {_PLURALS[kind]}"
    return Check(code, check, True, f"{counted} with {what}: {shown}.")


def _is_id(column: pd.Series[Any]) -> bool:
    """Whole numbers or text with hardly a value twice; measured numbers and dates often differ by nature."""
    values = column.dropna()
    if len(values) < _ID_ROWS or is_float_dtype(values) or is_datetime64_any_dtype(values):
        return False
    return bool(plain(values).nunique() >= _ID_SHARE * len(values))


def _ranges(values: pd.Series[float]) -> pd.Series[int]:
    """The rows in ten or fewer ranges of equal width, and those below and above them: far outliers."""
    shown = values[charts.near(values)]
    low, high = shown.min(), shown.max()
    edges = np.linspace(low, high, _RANGES + 1)
    names = [f"{_number(first, 4)} to {_number(last, 4)}" for first, last in pairwise(edges)]
    if (values % 1 == 0).all():  # as many whole numbers in each
        width = -(-(high - low + 1) // _RANGES)
        edges = np.append(np.arange(low, high + 1, width), high + 1) - 0.5
        names = [f"{_number(first + 0.5, 4)} to {_number(last - 0.5, 4)}" for first, last in pairwise(edges)]
    parts = [pd.Series(np.histogram(shown, edges)[0], names)]
    if below := int((values < low).sum()):
        parts.insert(0, pd.Series({f"below {_number(low, 4)}": below}))
    if above := int((values > high).sum()):
        parts.append(pd.Series({f"above {_number(high, 4)}": above}))
    return pd.concat(parts)


def _is_continuous(values: pd.Series[Any]) -> bool:
    return is_numeric_dtype(values) and not is_bool_dtype(values) and values.nunique() > _MANY


def _type(column: pd.Series[Any]) -> str:
    if is_bool_dtype(column):
        return "boolean"
    if is_integer_dtype(column):
        return "integer"
    if is_numeric_dtype(column):
        return "number"
    return "date" if is_datetime64_any_dtype(column) else "text"


def _summary(values: pd.Series[Any]) -> str:
    if values.empty:
        return ""
    if is_datetime64_any_dtype(values):
        return f"{values.min():%Y-%m-%d} to {values.max():%Y-%m-%d}"
    if is_numeric_dtype(values) and not is_bool_dtype(values):
        return f"min {_number(values.min())}, mean {_number(values.mean())}, max {_number(values.max())}"
    counts = plain(values).value_counts(sort=False)
    common = min(counts.index, key=lambda name: (-counts[name], str(name)))
    if len(counts) > 1 and counts[common] == 1:
        return f"all different, such as {common}"
    return f"most often {common} ({counts[common] / len(values):.1%})"


def _number(value: float, digits: int = 6) -> str:
    """A number with so many significant digits, thousands separators, and no more decimals than needed."""
    return f"{float(f'{value:.{digits}g}'):,}".removesuffix(".0")
