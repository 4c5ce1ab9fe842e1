"""What follows when someone acts on a model: tables from arrays; `TestReport` has the rows and calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nbhelpers.errors import UserErrorException
from nbhelpers.results.frames import SentenceFrame
from nbhelpers.results.models import Array

_SHARES = (0.5, 0.8, 0.9, 0.95)
#: Of several classes, the thresholds are those of one with so many rows: of fewer, a table says nothing.
_ROWS_FOR_THRESHOLD = 10


def place_of(classes: list[Any], truth: Array, positive: Any = None) -> int:
    """The position of the class that is looked for.

    Parameters
    ----------
    classes : list
        Sorted labels.
    truth : (n,) array of int
        Positions in `classes`.
    positive : label, optional
        Default: the second of two; of more, the rarest one with ten rows (where none has so many, the second most
        frequent).
    """
    if positive is None and len(classes) == 2:
        return 1
    if positive is None:
        counts = np.bincount(truth, minlength=len(classes))
        rarest_first = counts.argsort(kind="stable").tolist()
        return int(next((place for place in rarest_first if counts[place] >= _ROWS_FOR_THRESHOLD), rarest_first[-2]))
    # Settings that went through JSON, and tables of labels, have a class 1 as "1".
    places = [place for place, name in enumerate(classes) if name == positive or str(name) == str(positive)]
    if not places:
        raise UserErrorException(f"There is no class {positive!r}.", f"use one of {', '.join(map(repr, classes))}.")
    return places[0]


def choose_thresholds(positive: Array, probabilities: Array, miss_cost: float) -> dict[str, float]:
    """Four rules: a half, and the thresholds with the best F1, the best balanced accuracy and the least cost.

    Parameters
    ----------
    positive : array of bool, shape (n,)
    probabilities : array of float, shape (n,)
        Of being positive.
    miss_cost : float
        What a missed positive costs, as a multiple of a false alarm.
    """
    if not miss_cost > 0:
        raise UserErrorException(f"A missed row cannot cost {miss_cost!r}.", "give a miss_cost above zero.")
    # A candidate for each probability that occurs, the highest first, and before them one that no row reaches.
    candidates = np.array([np.inf, *np.unique(probabilities)[::-1]])
    table = threshold_table(positive, probabilities, dict(enumerate(candidates)), miss_cost)
    best = {
        "best F1": table["f1"].argmax(),
        "best balanced accuracy": table["balanced_accuracy"].argmax(),
        "least cost": table["cost"].argmin(),
    }
    return {"default": 0.5, **{rule: float(candidates[place]) for rule, place in best.items()}}


def threshold_table(
    positive: Array, probabilities: Array, chosen: Mapping[Any, float], miss_cost: float
) -> pd.DataFrame:
    """What thresholds lead to.

    Parameters
    ----------
    positive, probabilities, miss_cost
        As in `choose_thresholds`.
    chosen : mapping of str to float
        Thresholds by the rule that chose them.

    Returns
    -------
    DataFrame
        By rule: threshold, flagged (share of the rows called positive), precision, recall, f1, balanced_accuracy,
        misses and false_alarms (rows), and cost (of a row in the mean, in false alarms).
    """
    thresholds = np.array(list(chosen.values()), dtype=float)
    hits, false_alarms = (
        part.sum() - np.searchsorted(np.sort(probabilities[part]), thresholds) for part in (positive, ~positive)
    )
    alarms, positives, negatives = hits + false_alarms, int(positive.sum()), int((~positive).sum())
    recall = hits / max(positives, 1)
    return SentenceFrame(
        {
            "threshold": thresholds,
            "flagged": alarms / len(positive),
            "precision": hits / np.maximum(alarms, 1),
            "recall": recall,
            "f1": 2 * hits / np.maximum(alarms + positives, 1),
            "balanced_accuracy": (recall + 1 - false_alarms / max(negatives, 1)) / 2,
            "misses": positives - hits,
            "false_alarms": false_alarms,
            "cost": (miss_cost * (positives - hits) + false_alarms) / len(positive),
        },
        index=list(chosen),
    )


def calibration_errors(truth: Array, output: Array) -> dict[str, float]:
    """How far probabilities, or predicted values, are from what is found.

    Parameters
    ----------
    truth : (n,) array
        Positions of the true classes, or true values.
    output : array
        Probabilities of shape (n, C), or predicted values of shape (n,).

    Returns
    -------
    dict of str to float
        Classification: brier_score, the mean squared distance of probability and truth (of two classes that of one of
        them, of more the sum over the classes), and expected_calibration_error: the mean distance of accuracy and
        confidence in ten bins of the confidence, weighted by their rows (Guo et al. 2017). Regression: bias, the mean
        of true minus predicted, and slope, that of the true on the predicted values: 1 if they vary as much.
    """
    if output.ndim == 1:
        moved = output - output.mean()
        slope = float(moved @ truth / (moved @ moved)) if np.ptp(output) else float("nan")
        return {"bias": float((truth - output).mean()), "slope": slope}
    squared = ((np.eye(output.shape[1])[truth] - output) ** 2).sum(axis=1).mean()
    right, confidence = output.argmax(axis=1) == truth, output.max(axis=1)
    bins = np.minimum((10 * confidence).astype(int), 9)
    distances = np.bincount(bins, right - confidence, 10)
    return {
        "brier_score": float(squared / (2 if output.shape[1] == 2 else 1)),
        "expected_calibration_error": float(np.abs(distances).sum() / len(truth)),
    }


def limits_table(truth: Array, predictions: Array) -> pd.DataFrame:
    """The absolute error that a share of the rows stays within; see `TestReport.error_limits`."""
    errors = {"model": np.abs(truth - predictions), "always the mean": np.abs(truth - truth.mean())}
    index = pd.Index([f"{share:.0%}" for share in _SHARES], name="share of rows")
    return SentenceFrame({name: np.quantile(error, _SHARES) for name, error in errors.items()}, index=index)
