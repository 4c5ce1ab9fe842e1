"""What follows when someone acts on a model: tables from arrays; `TestReport` has the rows and calls them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nbhelpers.results.frames import SentenceFrame
from nbhelpers.results.models import Array

_SHARES = (0.5, 0.8, 0.9, 0.95)


def threshold_table(positive: Array, probabilities: Array, miss_cost: float) -> pd.DataFrame:
    """A threshold of 0.5, the one with the best F1 and the one with the least cost; see `TestReport.thresholds`.

    Parameters
    ----------
    positive : array of bool, shape (n,)
    probabilities : array of float, shape (n,)
        Of being positive.
    miss_cost : float
        What a missed positive costs, as a multiple of a false alarm.
    """
    # A candidate for each probability that occurs, the highest first, and before them one that no row reaches.
    given = pd.DataFrame({"rows": 1, "hits": positive}).groupby(-probabilities).sum().cumsum()
    thresholds = np.array([np.inf, *-given.index])
    alarms, hits = np.array([0, *given["rows"]]), np.array([0, *given["hits"]])
    positives = int(positive.sum())
    table = SentenceFrame(
        {
            "threshold": thresholds,
            "alarms": alarms,
            "precision": hits / np.maximum(alarms, 1),
            "recall": hits / max(positives, 1),
            "f1": 2 * hits / np.maximum(alarms + positives, 1),
            "misses": positives - hits,
            "false_alarms": alarms - hits,
        }
    )
    table["cost"] = miss_cost * table["misses"] + table["false_alarms"]
    default = table[thresholds >= 0.5].iloc[-1:].assign(threshold=0.5)
    chosen = pd.concat([default, table.loc[[table["f1"].idxmax()]], table.loc[[table["cost"].idxmin()]]])
    return chosen.set_axis(["default", "best F1", "least cost"])


def limits_table(truth: Array, predictions: Array) -> pd.DataFrame:
    """The absolute error that a share of the rows stays within; see `TestReport.error_limits`."""
    errors = {"model": np.abs(truth - predictions), "always the mean": np.abs(truth - truth.mean())}
    index = pd.Index([f"{share:.0%}" for share in _SHARES], name="share of rows")
    return SentenceFrame({name: np.quantile(error, _SHARES) for name, error in errors.items()}, index=index)
