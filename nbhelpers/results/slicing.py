"""How well a model does in groups of rows: a table from arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from nbhelpers.metrics import classification_metrics
from nbhelpers.results.columns import readable
from nbhelpers.results.frames import SentenceFrame, require_column
from nbhelpers.results.models import Array

#: A group of fewer rows says little.
_FEW = 30
_MISSING = "(missing)"


def slice_table(
    features: pd.DataFrame, truth: Array, output: Array, column: str | None = None, top: int = 10
) -> pd.DataFrame:
    """How well a model does in groups of rows, surely bad ones first.

    Parameters
    ----------
    features : DataFrame
        n rows.
    truth : (n,) array
        Positions of the true classes, or true values.
    output : array
        Probabilities of shape (n, C), or predicted values of shape (n,).
    column : str, optional
        The column whose values make the groups: categories, or quarters of the rows by a number; default: each column
        in turn. A group of all rows is left out, as is one of the same rows as another before it.
    top : int
        Number of groups.

    Returns
    -------
    DataFrame
        First a line for all rows, then one for each group: column, group, rows, share, then for classification
        accuracy, AUC_weighted and log_loss, for regression bias (mean of true minus predicted),
        root_mean_squared_error and mean_absolute_error; low and high, the ends of the 95 % interval of the last of
        these; and flag: "few rows" below 30, else "worse" where the whole interval is worse than the value of all rows.
        Groups are in the order of ``low``, the greatest first, those with few rows last.

    Raises
    ------
    DataError
        There is no such column.
    """
    if column is not None:
        require_column(features, column)
    losses = np.abs(truth - output) if output.ndim == 1 else _log_losses(truth, output)
    everything = np.ones(len(truth), dtype=bool)
    known, ranked = {hash(bytes(everything))}, list[tuple[bool, float, str, str, Array]]()
    for name in features.columns if column is None else [column]:
        for group, rows in _groups(features[name].reset_index(drop=True)):
            if hash(bytes(rows)) not in known:
                known.add(hash(bytes(rows)))
                low = float(np.nan_to_num(_interval(losses[rows])[0]))
                ranked.append((bool(rows.sum() < _FEW), -low, str(name), group, rows))
        ranked = sorted(ranked, key=lambda found: found[:2])[:top]  # of all groups, the metrics would take long
    shown = [("", "all rows", everything), *(found[2:] for found in ranked)]
    table = pd.DataFrame(
        [{"column": name, "group": group, **_figures(truth, output, losses, rows)} for name, group, rows in shown]
    )
    worse = table["low"] > losses.mean()
    table["flag"] = np.where(table["rows"] < _FEW, "few rows", np.where(worse, "worse", ""))
    return SentenceFrame(table)


def _groups(column: pd.Series[Any]) -> Iterator[tuple[str, Array]]:
    """The rows, as bools, of each value, or of each quarter of the rows by a number."""
    values = readable(column)
    if is_numeric_dtype(values):
        quarters = pd.qcut(values, 4, labels=False, duplicates="drop")
        for quarter, part in values.groupby(quarters):
            yield f"{_short(part.min())} to {_short(part.max())}", (quarters == quarter).to_numpy()
        if values.isna().any():
            yield _MISSING, values.isna().to_numpy()
        return
    for name in values.cat.categories:
        yield str(name), (values == name).to_numpy()


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _figures(truth: Array, output: Array, losses: Array, rows: Array) -> dict[str, float]:
    truth, output, losses = truth[rows], output[rows], losses[rows]
    mean = float(losses.mean())
    figures: dict[str, float] = {"rows": len(losses), "share": len(losses) / len(rows)}
    if output.ndim == 1:
        errors = truth - output
        figures |= {"bias": errors.mean(), "root_mean_squared_error": (errors**2).mean() ** 0.5}
        figures["mean_absolute_error"] = mean
    else:
        metrics = classification_metrics(truth, output, np.arange(output.shape[1]), ["AUC"])
        figures |= {name: metrics[name] for name in ("accuracy", "AUC_weighted")}
        figures["log_loss"] = mean
    low, high = _interval(losses)
    return figures | {"low": low, "high": high}


def _interval(losses: Array) -> tuple[float, float]:
    """The 95 % interval of their mean, by the normal approximation; losses are never below zero."""
    mean = float(losses.mean())
    spread = 1.96 * float(losses.std(ddof=1)) / len(losses) ** 0.5 if len(losses) > 1 else float("nan")
    return max(mean - spread, 0.0), mean + spread


def _log_losses(truth: Array, probabilities: Array) -> Array:
    """The log loss of each row, as of `nbhelpers.metrics`."""
    least = np.finfo(float).eps
    losses: Array = -np.log(np.clip(probabilities[np.arange(len(truth)), truth], least, 1 - least))
    return losses
