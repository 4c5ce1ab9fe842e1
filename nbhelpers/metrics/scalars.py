"""The scalar metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nbhelpers.errors import DataError
from nbhelpers.metrics.inputs import encode, pair, weighted
from nbhelpers.metrics.names import BINARY_METRICS, CLASSIFICATION_METRICS, RANKING, REGRESSION_METRICS

#: Probabilities are kept so far from 0 and 1 before their logarithm, as in scikit-learn.
_LEAST_PROBABILITY = float(np.finfo(float).eps)


def classification_metrics(
    y_true: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    classes: npt.ArrayLike,
    ranking: Sequence[str] = RANKING,
    *,
    sample_weight: npt.ArrayLike | None = None,
    positive_label: Any = None,
) -> dict[str, float]:
    """The 21 scalar metrics of a classification.

    Parameters
    ----------
    y_true : (n,) array of original labels
        A label outside `classes` counts as a class that was given no probability.
    probabilities : (n, C) array
        Column c holds the probability of ``classes[c]``.
    classes : (C,) array of sorted labels
    ranking : sequence out of "AUC" and "average_precision_score", by default both
        The ranking metrics to compute; they take most of the time where there are many classes.
    sample_weight : (n,) array, optional
        How much each row counts: a row of weight 3 counts like three rows, one of weight 0 like none.
    positive_label : one of `classes`, optional
        Adds `BINARY_METRICS`, of this class against the rest.

    Returns
    -------
    dict of str to float
        Keys are `CLASSIFICATION_METRICS`, without those of `ranking` that were not asked for. AUC and average precision
        are one against the rest, over the classes that occur in `y_true`; precision, recall and F1 are scikit-learn's
        with ``zero_division=0``; the balanced accuracy is the mean recall of the classes that occur;
        ``norm_macro_recall`` = max(0, (R - 1/C) / (1 - 1/C)) with R the balanced accuracy; ``weighted_accuracy``
        weights each row by the share of its class.

    Raises
    ------
    DataError
        No rows, the shapes do not fit, a weight is negative or no number, or there is no such positive label.
    """
    truth, p, labels = encode(y_true, probabilities, classes)
    kept, weights = weighted(sample_weight, len(truth))
    truth, p = truth[kept], p[kept]
    n_classes = p.shape[1]
    predicted = p.argmax(axis=1)
    # Weights of rows by true class and predicted class, of which all but the ranking metrics and the log loss are made.
    matrix = np.bincount(truth * n_classes + predicted, weights, n_classes**2).reshape(n_classes, n_classes)
    hits, true, guessed = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    total, present = matrix.sum(), np.flatnonzero(true)
    recall, precision, f1 = _ratio(hits, true), _ratio(hits, guessed), _ratio(2 * hits, true + guessed)
    balanced = float(recall[present].mean())
    p_true = np.clip(p[np.arange(len(p)), truth], _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    values = {
        "accuracy": float(hits.sum() / total),
        "weighted_accuracy": float(hits @ true / (true @ true)),
        "balanced_accuracy": balanced,
        "norm_macro_recall": max(0.0, (balanced - 1 / n_classes) / (1 - 1 / n_classes)) if n_classes > 1 else math.nan,
        "log_loss": -float(np.average(np.log(p_true), weights=weights)) if n_classes > 1 else math.nan,
        "matthews_correlation": _matthews(hits, true, guessed),
    }
    occurring = np.flatnonzero(true + guessed)
    for stem, by_class in (("precision_score", precision), ("recall_score", recall), ("f1_score", f1)):
        values[f"{stem}_macro"] = float(by_class[occurring].mean())
        values[f"{stem}_micro"] = values["accuracy"]
        values[f"{stem}_weighted"] = float(np.average(by_class, weights=true))
    if ranking:
        one_hot = truth[:, np.newaxis] == np.arange(n_classes)
        areas = np.array([_areas(one_hot[:, c], p[:, c], weights) for c in range(n_classes)])
        micro = _areas(one_hot.ravel(), p.ravel(), np.repeat(weights, n_classes))
        for i, stem in enumerate(RANKING):
            values[f"{stem}_macro"] = float(areas[present, i].mean())
            values[f"{stem}_micro"] = micro[i] if len(present) > 1 else math.nan  # as of the other averages
            values[f"{stem}_weighted"] = float(np.average(areas[present, i], weights=true[present]))
    if positive_label is not None:
        c = _position(positive_label, labels)
        values |= {"f1_score_binary": f1[c], "precision_score_binary": precision[c], "recall_score_binary": recall[c]}
        values |= {f"{stem}_binary": areas[c, i] for i, stem in enumerate(RANKING) if ranking}
    asked = [name for name in CLASSIFICATION_METRICS + BINARY_METRICS if name in values]
    return {
        name: float(values[name]) for name in asked if not name.startswith(RANKING) or name.startswith(tuple(ranking))
    }


def regression_metrics(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    y_range: tuple[float, float] | None = None,
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """The 12 scalar metrics of a regression.

    Parameters
    ----------
    y_true, y_pred : (n,) arrays, in the unit of the target
    y_range : (least, greatest) value of the target, by default of `y_true`
        The normalized errors are divided by the difference, and clipped at 1.
    sample_weight : (n,) array, optional
        How much each row counts: a row of weight 3 counts like three rows, one of weight 0 like none.

    Returns
    -------
    dict of str to float
        Keys are `REGRESSION_METRICS`. ``r2_score`` is clipped to [-1, 1]; ``spearman_correlation`` is -1 if a series is
        constant; the logarithmic errors are NaN if a value is negative; ``mean_absolute_percentage_error`` is in
        per cent, over the rows whose target is not 0.

    Raises
    ------
    DataError
        No rows, the shapes do not fit, or a weight is negative or no number.
    """
    from sklearn import metrics as sk

    truth, predicted = pair(y_true, y_pred)
    low, high = y_range or (float(truth.min()), float(truth.max()))
    kept, weights = weighted(sample_weight, len(truth))
    truth, predicted = truth[kept], predicted[kept]
    several, varied = len(truth) > 1, np.ptp(truth) > 0 and np.ptp(predicted) > 0
    positive = truth.min() >= 0 and predicted.min() >= 0
    nonzero = truth != 0
    relative = np.abs((truth - predicted)[nonzero] / truth[nonzero])

    def by(function: Any) -> float:
        return float(function(truth, predicted, sample_weight=None if sample_weight is None else weights))

    values = {
        "explained_variance": by(sk.explained_variance_score) if several else math.nan,
        "r2_score": float(np.clip(by(sk.r2_score), -1, 1)) if several else math.nan,
        "spearman_correlation": _spearman(truth, predicted, weights) if varied else -1.0,
        "mean_absolute_error": by(sk.mean_absolute_error),
        "median_absolute_error": by(sk.median_absolute_error),
        "root_mean_squared_error": by(sk.root_mean_squared_error),
        "root_mean_squared_log_error": by(sk.root_mean_squared_log_error) if positive else math.nan,
        "mean_absolute_percentage_error": 100 * float(np.average(relative, weights=weights[nonzero]))
        if nonzero.any()
        else math.nan,
    }
    for name in REGRESSION_METRICS:
        if name.startswith("normalized_"):
            error = values[name.removeprefix("normalized_")]
            values[name] = float(np.minimum(error / (high - low), 1)) if high > low else math.nan
    return {name: values[name] for name in REGRESSION_METRICS}


def _position(label: Any, labels: list[str]) -> int:
    """The column of a label."""
    if str(label) not in labels:
        raise DataError(f"There is no class {label!r}.", f"Use one of {', '.join(map(repr, labels))}.")
    return labels.index(str(label))


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The quotient, 0 where nothing is divided."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


def _matthews(hits: npt.NDArray[Any], true: npt.NDArray[Any], guessed: npt.NDArray[Any]) -> float:
    """The correlation of true and predicted classes; 0 where one of them does not vary, as in scikit-learn."""
    if min(np.count_nonzero(true), np.count_nonzero(guessed)) < 2:
        return 0.0
    squared = true.sum() ** 2
    covariance = hits.sum() * true.sum() - true @ guessed
    return float(covariance / np.sqrt((squared - true @ true) * (squared - guessed @ guessed)))


def _areas(positive: npt.NDArray[np.bool_], scores: npt.NDArray[Any], weights: npt.NDArray[Any]) -> tuple[float, float]:
    """The ROC area and the average precision of scores; NaN unless there are positive and other rows."""
    if positive.all() or not positive.any():
        return math.nan, math.nan
    order = np.argsort(-scores)
    last_of_equals = np.flatnonzero(np.append(np.diff(scores[order]), 1))
    hits = np.cumsum(np.where(positive, weights, 0)[order])[last_of_equals]
    others = np.cumsum(np.where(positive, 0, weights)[order])[last_of_equals]
    recall, fall_out = hits / hits[-1], others / others[-1]
    area = np.trapezoid(np.append(0, recall), np.append(0, fall_out))
    return float(area), float(np.diff(recall, prepend=0) @ (hits / (hits + others)))


def _spearman(truth: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: npt.NDArray[Any]) -> float:
    """The correlation of ranks, where equal values share the mean of their ranks."""
    ranks = []
    for values in (truth, predicted):
        _, group = np.unique(values, return_inverse=True)
        sizes = np.bincount(group, weights)
        rank = (np.cumsum(sizes) - sizes / 2)[group]
        ranks.append(rank - np.average(rank, weights=weights))
    one, other = ranks
    return float((weights * one) @ other / np.sqrt(((weights * one) @ one) * ((weights * other) @ other)))
