"""What metrics and tables are computed of: labels, predictions and weights as arrays that fit each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nbhelpers.errors import DataError


def encode(
    y_true: npt.ArrayLike, probabilities: npt.ArrayLike, classes: npt.ArrayLike
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], list[str]]:
    """Labels as column numbers, probabilities that sum to one in each row, and the names of the columns."""
    truth, labels = np.asarray(y_true), np.asarray(classes)
    p = np.asarray(probabilities, dtype=float)
    if p.shape != (len(truth), len(labels)) or not len(truth):
        raise DataError(
            f"Probabilities of shape {p.shape} do not fit {len(truth)} labels and {len(labels)} classes.",
            "Give one row for each label and one column for each class, and at least one row.",
        )
    position = {label: c for c, label in enumerate(labels.tolist())}
    occurring, rows = np.unique(truth, return_inverse=True)
    for label in occurring.tolist():
        position.setdefault(label, len(position))
    p = np.pad(p, ((0, 0), (0, len(position) - len(labels))))
    total = p.sum(axis=1, keepdims=True)
    if not np.allclose(total, 1):
        p = np.divide(p, total, out=np.full_like(p, 1 / p.shape[1]), where=total > 0)
    return np.array([position[label] for label in occurring.tolist()])[rows], p, [str(label) for label in position]


def weighted(weights: npt.ArrayLike | None, n_rows: int) -> tuple[Any, npt.NDArray[np.float64]]:
    """The rows that count, as a mask or slice, and their weights; ones if none are given."""
    if weights is None:
        return slice(None), np.ones(n_rows)
    w = np.asarray(weights, dtype=float)
    if w.shape != (n_rows,) or not np.isfinite(w).all() or w.min() < 0 or w.max() == 0:
        raise DataError(
            f"The sample_weight of shape {w.shape} does not weight {n_rows} rows.",
            "Give one finite number for each row, none of them negative, and not all of them 0.",
        )
    return w > 0, w[w > 0]


def pair(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Targets and predictions as numbers."""
    truth, predicted = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
    if truth.shape != predicted.shape or truth.ndim != 1 or not len(truth):
        raise DataError(
            f"Predictions of shape {predicted.shape} do not fit targets of shape {truth.shape}.",
            "Give two one-dimensional arrays of the same length, with at least one row.",
        )
    return truth, predicted
