"""The tasks of a search that run in its pool: train one fold of a candidate, or fit it on all rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from nbhelpers import metrics
from nbhelpers.automl.candidates import MOST_TREES, Candidate, steps_of
from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.folds import assign_folds

#: One row in so many of a fold's training part decides when LightGBM stops.
_STOPPING_PARTS = 7
_PATIENCE = 30
#: Trees of the final model for each tree of the folds' models, which saw about two thirds as many rows.
_MORE_TREES = 1.1


@dataclass(frozen=True)
class FoldResult:
    """What training on the other folds and predicting one gave; `trees` is LightGBM's number of trees."""

    fold: int
    predictions: npt.NDArray[np.float64]
    metrics: dict[str, float]
    tables: dict[str, dict[str, Any]]
    fit_seconds: float
    predict_seconds: float
    trees: int | None


def train_fold(data: TrainingData, candidate: Candidate, fold: int) -> FoldResult:
    """Train a candidate on all folds but one and score it on that one."""
    scored = data.folds == fold
    started = time.perf_counter()
    model = _fit(data, candidate, data.matrix[~scored], data.target[~scored])
    fitted = time.perf_counter()
    predictions = _predict(data, model, data.matrix[scored])
    predicted = time.perf_counter()
    values, tables = score(data, predictions, scored)
    trees = int(model[-1].best_iteration_) if candidate.algorithm == "LightGBM" else None
    return FoldResult(fold, predictions, values, tables, fitted - started, predicted - fitted, trees)


def refit(data: TrainingData, candidate: Candidate) -> Pipeline:
    """Fit a candidate on all rows, with the user's own labels; LightGBM with the number of trees its folds chose."""
    if candidate.algorithm == "LightGBM":
        trees = min(MOST_TREES, max(1, round(_MORE_TREES * candidate.parameters["n_estimators"])))
        candidate = Candidate(
            candidate.algorithm, candidate.preprocessor, candidate.parameters | {"n_estimators": trees}
        )
    model = Pipeline(steps_of(candidate, _task(data), data.categorical, data.threads))
    with _quiet():
        return model.fit(data.matrix, data.labels)


def score(
    data: TrainingData, predictions: npt.NDArray[np.float64], rows: npt.NDArray[np.bool_]
) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Scalar metrics and tables of predictions for some rows."""
    if data.classes is None:
        truth = data.target[rows]
        return metrics.regression_metrics(truth, predictions, data.y_range), {
            "residuals": metrics.residuals(truth, predictions, data.y_range),
            "predicted_true": metrics.predicted_true(truth, predictions, data.y_range),
        }
    labels = data.labels[rows]
    return metrics.classification_metrics(labels, predictions, data.classes), {
        "confusion_matrix": metrics.confusion_matrix(labels, predictions, data.classes),
        "accuracy_table": metrics.accuracy_table(labels, predictions, data.classes),
    }


def _fit(data: TrainingData, candidate: Candidate, X: npt.NDArray[np.float64], y: npt.NDArray[Any]) -> Pipeline:
    model = Pipeline(steps_of(candidate, _task(data), data.categorical, data.threads))
    with _quiet():
        if candidate.algorithm != "LightGBM":
            return model.fit(X, y)
        return _fit_lightgbm(model, X, y, stratify=data.classes is not None)


def _fit_lightgbm(model: Pipeline, X: npt.NDArray[np.float64], y: npt.NDArray[Any], stratify: bool) -> Pipeline:
    """Fit a pipeline that ends in LightGBM, stopping by rows held out of the training part.

    The scored fold never decides anything, so that out-of-fold predictions stay honest. Training again on all rows of
    the part with the number of trees found took twice the time and moved scores by less than their noise.
    """
    from lightgbm import early_stopping

    held_out = assign_folds(y if stratify else np.zeros(len(y)), _STOPPING_PARTS, seed=0) == 0
    if stratify:  # a class must not be held out whole
        held_out &= np.isin(y, y[~held_out])
    before = model[:-1]
    train = before.fit_transform(X[~held_out], y[~held_out]) if len(before) else X[~held_out]
    test = before.transform(X[held_out]) if len(before) else X[held_out]
    stopping = early_stopping(_PATIENCE, verbose=False)
    model[-1].fit(train, y[~held_out], eval_X=test, eval_y=y[held_out], callbacks=[stopping])
    return model


def _predict(data: TrainingData, model: Pipeline, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values of shape (n,), or probabilities of shape (n, C) with zeros for classes the model did not see."""
    if data.classes is None:
        return np.asarray(model.predict(X), dtype=float)
    probabilities = np.zeros((len(X), len(data.classes)))
    probabilities[:, model.classes_] = model.predict_proba(X)
    return probabilities


def _task(data: TrainingData) -> str:
    return "regression" if data.classes is None else "classification"


@contextmanager
def _quiet() -> Iterator[None]:
    """A linear model that has not quite converged is judged by its score like any other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
