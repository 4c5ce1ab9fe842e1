"""The tables of predictions, in Azure ML's JSON forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nbhelpers.metrics.inputs import encode, pair

#: Number of thresholds in an accuracy table.
_THRESHOLDS = 100
#: Number of bins in the regression tables.
_BINS = 50


def confusion_matrix(y_true: npt.ArrayLike, probabilities: npt.ArrayLike, classes: npt.ArrayLike) -> dict[str, Any]:
    """The confusion matrix in Azure ML's JSON form: rows are true classes, columns predicted ones.

    Parameters are those of `classification_metrics`. Rows are counted, whatever their weights.
    """
    truth, p, labels = encode(y_true, probabilities, classes)
    n_classes = p.shape[1]
    counts = np.bincount(truth * n_classes + p.argmax(axis=1), minlength=n_classes**2)
    return _table("confusion_matrix", "1.0.0", class_labels=labels, matrix=counts.reshape(n_classes, -1).tolist())


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
    truth, p, labels = encode(y_true, probabilities, classes)
    even = np.linspace(0, 1, _THRESHOLDS)
    percentiles = np.quantile(p, even, method="nearest").astype(float)
    thresholds = np.concatenate([even, percentiles])
    counts = np.array([_counts_at(thresholds, truth == c, p[:, c]) for c in range(p.shape[1])])
    return _table(
        "accuracy_table",
        "1.0.1",
        class_labels=labels,
        probability_tables=counts[:, :_THRESHOLDS].tolist(),
        percentile_tables=counts[:, _THRESHOLDS:].tolist(),
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
    truth, predicted = pair(y_true, y_pred)
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
    truth, predicted = pair(y_true, y_pred)
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


def _counts_at(
    thresholds: npt.NDArray[Any], positive: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """[TP, FP, TN, FN] at each threshold, where a score of at least the threshold counts as positive."""
    below_positive = np.searchsorted(np.sort(scores[positive]), thresholds)
    below_negative = np.searchsorted(np.sort(scores[~positive]), thresholds)
    columns = positive.sum() - below_positive, (~positive).sum() - below_negative, below_negative, below_positive
    return np.column_stack(columns)


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
