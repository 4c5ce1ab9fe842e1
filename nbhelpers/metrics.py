"""Azure ML's metrics of automated machine learning, as functions of labels and predictions.

Names, ranges and JSON forms are Azure ML's; scikit-learn computes wherever it has the quantity. Every scalar is a
float; one that cannot be computed (the ROC area of a single class, say) is NaN, never an error or a warning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nbhelpers.errors import DataError, UserErrorException, nearest

_AVERAGES = ("macro", "micro", "weighted")
_RANKING = ("AUC", "average_precision_score")

#: The 21 scalar classification metrics.
CLASSIFICATION_METRICS: tuple[str, ...] = (
    "accuracy",
    "weighted_accuracy",
    "balanced_accuracy",
    "norm_macro_recall",
    "log_loss",
    "matthews_correlation",
    *(
        f"{stem}_{average}"
        for stem in (*_RANKING, "f1_score", "precision_score", "recall_score")
        for average in _AVERAGES
    ),
)

#: The 12 scalar regression metrics.
REGRESSION_METRICS: tuple[str, ...] = (
    "explained_variance",
    "r2_score",
    "spearman_correlation",
    "mean_absolute_error",
    "median_absolute_error",
    "root_mean_squared_error",
    "root_mean_squared_log_error",
    "mean_absolute_percentage_error",
    "normalized_mean_absolute_error",
    "normalized_median_absolute_error",
    "normalized_root_mean_squared_error",
    "normalized_root_mean_squared_log_error",
)

#: The metrics that a search can optimise, by task; the first of each is the default.
PRIMARY_METRICS: dict[str, tuple[str, ...]] = {
    "classification": (
        "accuracy",
        "AUC_weighted",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_weighted",
    ),
    "regression": (
        "normalized_root_mean_squared_error",
        "normalized_mean_absolute_error",
        "r2_score",
        "spearman_correlation",
    ),
}

#: Number of thresholds in an accuracy table.
_THRESHOLDS = 100
#: Number of bins in the regression tables.
_BINS = 50


def greater_is_better(name: str) -> bool:
    """Whether a larger value of a metric is the better one.

    Raises
    ------
    UserErrorException
        The name is not one of the metrics.
    """
    known = CLASSIFICATION_METRICS + REGRESSION_METRICS
    if name not in known:
        near = nearest(name, known)
        hint = f"Did you mean {near!r}?" if near else f"Use one of {', '.join(known)}."
        raise UserErrorException(f"There is no metric {name!r}.", hint)
    return not (name == "log_loss" or "error" in name)


def number_text(value: float) -> str:
    """A number for a reader, of any size: 12, 0.1657, 1,794.5, 3.16e-09.

    Fractions have four places, from a thousand on one; very small and very large ones have three digits.
    """
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"  # -0.0 is 0
    if 0.001 <= abs(value) < 1e9:
        return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.1f}"
    return f"{value:.3g}"


def classification_metrics(
    y_true: npt.ArrayLike, probabilities: npt.ArrayLike, classes: npt.ArrayLike, ranking: Sequence[str] = _RANKING
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
        No rows, or the shapes do not fit.
    """
    from sklearn import metrics as sk

    truth, p, _ = _encode(y_true, probabilities, classes)
    n_classes = p.shape[1]
    predicted = p.argmax(axis=1)
    counts = np.bincount(truth, minlength=n_classes)
    present = np.flatnonzero(counts)
    correct = truth == predicted
    varied = len(np.union1d(truth, predicted)) > 1
    balanced = float(sk.recall_score(truth, predicted, labels=present, average="macro"))
    values = {
        "accuracy": float(correct.mean()),
        "weighted_accuracy": float(np.average(correct, weights=counts[truth])),
        "balanced_accuracy": balanced,
        "norm_macro_recall": max(0.0, (balanced - 1 / n_classes) / (1 - 1 / n_classes)) if n_classes > 1 else math.nan,
        "log_loss": float(sk.log_loss(truth, p, labels=np.arange(n_classes))) if n_classes > 1 else math.nan,
        # Zero where all rows and all predictions are of one class, as scikit-learn has it, without its warning.
        "matthews_correlation": float(sk.matthews_corrcoef(truth, predicted)) if varied else 0.0,
    }
    one_hot = np.eye(n_classes, dtype=int)[truth]
    for stem in ranking:
        function = sk.roc_auc_score if stem == "AUC" else sk.average_precision_score
        if len(present) < 2:  # one against the rest needs a rest
            values |= {f"{stem}_{average}": math.nan for average in _AVERAGES}
            continue
        by_class = [float(function(one_hot[:, c], p[:, c])) for c in present]
        values[f"{stem}_macro"] = float(np.mean(by_class))
        values[f"{stem}_micro"] = float(function(one_hot.ravel(), p.ravel()))
        values[f"{stem}_weighted"] = float(np.average(by_class, weights=counts[present]))
    for average in _AVERAGES:
        scores = sk.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        for stem, score in zip(("precision_score", "recall_score", "f1_score"), scores[:3], strict=True):
            values[f"{stem}_{average}"] = float(score)
    return {name: values[name] for name in CLASSIFICATION_METRICS if name in values}


def regression_metrics(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, y_range: tuple[float, float] | None = None
) -> dict[str, float]:
    """The 12 scalar metrics of a regression.

    Parameters
    ----------
    y_true, y_pred : (n,) arrays, in the unit of the target
    y_range : (least, greatest) value of the target, by default of `y_true`
        The normalized errors are divided by the difference, and clipped at 1.

    Returns
    -------
    dict of str to float
        Keys are `REGRESSION_METRICS`. ``r2_score`` is clipped to [-1, 1]; ``spearman_correlation`` is -1 if a series is
        constant; the logarithmic errors are NaN if a value is negative; ``mean_absolute_percentage_error`` is in
        per cent, over the rows whose target is not 0.

    Raises
    ------
    DataError
        No rows, or the shapes do not fit.
    """
    from scipy.stats import spearmanr
    from sklearn import metrics as sk

    truth, predicted = _pair(y_true, y_pred)
    low, high = y_range or (float(truth.min()), float(truth.max()))
    several, varied = len(truth) > 1, np.ptp(truth) > 0 and np.ptp(predicted) > 0
    positive = truth.min() >= 0 and predicted.min() >= 0
    nonzero = truth != 0
    relative = np.abs((truth - predicted)[nonzero] / truth[nonzero])
    values = {
        "explained_variance": float(sk.explained_variance_score(truth, predicted)) if several else math.nan,
        "r2_score": float(np.clip(sk.r2_score(truth, predicted), -1, 1)) if several else math.nan,
        "spearman_correlation": float(spearmanr(truth, predicted).statistic) if varied else -1.0,
        "mean_absolute_error": float(sk.mean_absolute_error(truth, predicted)),
        "median_absolute_error": float(sk.median_absolute_error(truth, predicted)),
        "root_mean_squared_error": float(sk.root_mean_squared_error(truth, predicted)),
        "root_mean_squared_log_error": float(sk.root_mean_squared_log_error(truth, predicted))
        if positive
        else math.nan,
        "mean_absolute_percentage_error": 100 * float(relative.mean()) if nonzero.any() else math.nan,
    }
    for name in REGRESSION_METRICS:
        if name.startswith("normalized_"):
            error = values[name.removeprefix("normalized_")]
            values[name] = float(np.minimum(error / (high - low), 1)) if high > low else math.nan
    return {name: values[name] for name in REGRESSION_METRICS}


def confusion_matrix(y_true: npt.ArrayLike, probabilities: npt.ArrayLike, classes: npt.ArrayLike) -> dict[str, Any]:
    """The confusion matrix in Azure ML's JSON form: rows are true classes, columns predicted ones.

    Parameters are those of `classification_metrics`.
    """
    from sklearn.metrics import confusion_matrix as matrix

    truth, p, labels = _encode(y_true, probabilities, classes)
    counts = matrix(truth, p.argmax(axis=1), labels=np.arange(p.shape[1]))
    return _table("confusion_matrix", "1.0.0", class_labels=labels, matrix=counts.tolist())


def accuracy_table(y_true: npt.ArrayLike, probabilities: npt.ArrayLike, classes: npt.ArrayLike) -> dict[str, Any]:
    """Counts at 100 thresholds for each class, in Azure ML's JSON form; the basis of ROC, lift and calibration curves.

    Parameters are those of `classification_metrics`.

    Returns
    -------
    dict
        ``probability_tables`` and ``percentile_tables`` are [class][threshold][TP, FP, TN, FN], where a row counts as
        positive if its probability is at least the threshold. Probability thresholds are evenly spaced from 0 to 1;
        percentile thresholds are evenly spaced among the sorted probabilities of all classes.
    """
    truth, p, labels = _encode(y_true, probabilities, classes)
    even = np.linspace(0, 1, _THRESHOLDS)
    percentiles = np.quantile(p, even, method="nearest").astype(float)

    def tables(thresholds: npt.NDArray[Any]) -> list[list[list[int]]]:
        return [_counts_at(thresholds, truth == c, p[:, c]) for c in range(p.shape[1])]

    return _table(
        "accuracy_table",
        "1.0.1",
        class_labels=labels,
        probability_tables=tables(even),
        percentile_tables=tables(percentiles),
        probability_thresholds=even.tolist(),
        percentile_thresholds=percentiles.tolist(),
    )


def residuals(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, y_range: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Histogram of prediction minus target, in Azure ML's JSON form.

    Parameters are those of `regression_metrics`; the bins span minus to plus the target's range, and the outer two also
    count what lies beyond. Give the same `y_range` to tables that are to be summed.
    """
    truth, predicted = _pair(y_true, y_pred)
    low, high = y_range or (float(truth.min()), float(truth.max()))
    edges = _edges(low - high, high - low)
    errors = predicted - truth
    counts, _ = np.histogram(np.clip(errors, edges[0], edges[-1]), edges)
    return _table(
        "residuals",
        "1.0.0",
        bin_edges=edges.tolist(),
        bin_counts=counts.tolist(),
        mean=float(errors.mean()),
        stddev=float(errors.std()),
        res_count=len(errors),
    )


def predicted_true(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, y_range: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Mean and standard deviation of the predictions by bins of the target, in Azure ML's JSON form.

    Parameters are those of `regression_metrics`; the bins span the target's range. A bin without rows has average and
    error 0. Give the same `y_range` to tables that are to be summed.
    """
    truth, predicted = _pair(y_true, y_pred)
    edges = _edges(*(y_range or (float(truth.min()), float(truth.max()))))
    bins = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    averages = np.bincount(bins, predicted, _BINS) / np.maximum(counts, 1)
    variances = np.bincount(bins, (predicted - averages[bins]) ** 2, _BINS) / np.maximum(counts, 1)
    return _table(
        "predictions",
        "1.0.0",
        bin_averages=averages.tolist(),
        bin_errors=np.sqrt(variances).tolist(),
        bin_counts=counts.tolist(),
        bin_edges=edges.tolist(),
    )


def sum_tables(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One table for all folds from the tables of each, which must be of one kind.

    Labels, thresholds and bin edges are those of the first table, as in Azure ML; counts are added; means and standard
    deviations are those of the union of the rows.
    """
    first = tables[0]
    data = dict(first["data"])

    def stack(key: str) -> npt.NDArray[Any]:
        return np.array([table["data"][key] for table in tables])

    match first["schema_type"]:
        case "confusion_matrix":
            summed = ["matrix"]
        case "accuracy_table":
            summed = ["probability_tables", "percentile_tables"]
        case "residuals":
            data["mean"], data["stddev"] = _pooled(stack("res_count"), stack("mean"), stack("stddev"))
            summed = ["bin_counts", "res_count"]
        case _:
            averages, errors = _pooled(stack("bin_counts"), stack("bin_averages"), stack("bin_errors"))
            data["bin_averages"], data["bin_errors"] = averages, errors
            summed = ["bin_counts"]
    data |= {key: stack(key).sum(axis=0).tolist() for key in summed}
    return first | {"data": data}


def _encode(
    y_true: npt.ArrayLike, probabilities: npt.ArrayLike, classes: npt.ArrayLike
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], list[str]]:
    """Labels as column numbers, probabilities that sum to one in each row, and the names of the columns."""
    truth, labels = np.asarray(y_true).tolist(), np.asarray(classes).tolist()
    p = np.asarray(probabilities, dtype=float)
    if p.shape != (len(truth), len(labels)) or not truth:
        raise DataError(
            f"Probabilities of shape {p.shape} do not fit {len(truth)} labels and {len(labels)} classes.",
            "Give one row for each label and one column for each class, and at least one row.",
        )
    position = {label: c for c, label in enumerate(labels)}
    for label in truth:
        position.setdefault(label, len(position))
    p = np.pad(p, ((0, 0), (0, len(position) - len(labels))))
    total = p.sum(axis=1, keepdims=True)
    if not np.allclose(total, 1):
        p = np.divide(p, total, out=np.full_like(p, 1 / p.shape[1]), where=total > 0)
    return np.array([position[label] for label in truth]), p, [str(label) for label in position]


def _pair(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    truth, predicted = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
    if truth.shape != predicted.shape or truth.ndim != 1 or not len(truth):
        raise DataError(
            f"Predictions of shape {predicted.shape} do not fit targets of shape {truth.shape}.",
            "Give two one-dimensional arrays of the same length, with at least one row.",
        )
    return truth, predicted


def _counts_at(
    thresholds: npt.NDArray[Any], positive: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
) -> list[list[int]]:
    """[TP, FP, TN, FN] at each threshold, where a score of at least the threshold counts as positive."""
    below_positive = np.searchsorted(np.sort(scores[positive]), thresholds)
    below_negative = np.searchsorted(np.sort(scores[~positive]), thresholds)
    columns = positive.sum() - below_positive, (~positive).sum() - below_negative, below_negative, below_positive
    return [[int(value) for value in row] for row in zip(*columns, strict=True)]


def _edges(low: float, high: float) -> npt.NDArray[np.float64]:
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _pooled(counts: npt.NDArray[Any], means: npt.NDArray[Any], deviations: npt.NDArray[Any]) -> tuple[Any, Any]:
    """Mean and standard deviation of a union of groups, by the law of total variance; axis 0 is the group."""
    weights = counts / np.maximum(counts.sum(axis=0), 1)
    mean = (weights * means).sum(axis=0)
    variance = (weights * (deviations**2 + (means - mean) ** 2)).sum(axis=0)
    return mean.tolist(), np.sqrt(variance).tolist()


def _table(kind: str, version: str, **data: Any) -> dict[str, Any]:
    return {"schema_type": kind, "schema_version": version, "data": data}
