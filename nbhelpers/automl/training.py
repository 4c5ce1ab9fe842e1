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
from threadpoolctl import threadpool_limits

from nbhelpers import metrics
from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.pipelines import BOOSTED, FORESTS, IN_ROUNDS, Candidate, bag_size, steps_of

#: Rounds of the final model for each round of the folds' models, which saw about two thirds as many rows.
_MORE_ROUNDS = 1.2
#: Models that take no more memory than the table; others see one-hot columns and splines, dense, and gain nothing by
#: more rows than this.
_SPARING = (*BOOSTED, *FORESTS)
_MOST_FOR_DENSE = 200_000


@dataclass(frozen=True)
class FoldResult:
    """What training on the other folds and predicting one gave; `rounds` is the number of trees or epochs."""

    fold: int
    predictions: npt.NDArray[np.float64]
    metrics: dict[str, float]
    tables: dict[str, dict[str, Any]]
    fit_seconds: float
    predict_seconds: float
    rounds: float | None


def train_fold(data: TrainingData, candidate: Candidate, fold: int) -> FoldResult:
    """Train a candidate on the rows of one split and score it on those that the split leaves out.

    The scored rows never decide anything, such as when to stop, so that out-of-fold predictions stay honest.
    """
    split = data.splits[fold]
    started = time.perf_counter()
    model = fitted(data, Pipeline(steps_of(candidate, data)), split.train, data.target)
    trained = time.perf_counter()
    predictions = predicted(data, model, data.matrix[split.valid])
    judged = time.perf_counter()
    values, tables = score(data, predictions, split.valid)
    rounds = float(model[-1].rounds_) if candidate.algorithm in IN_ROUNDS else None
    return FoldResult(fold, predictions, values, tables, trained - started, judged - trained, rounds)


def refit(data: TrainingData, candidate: Candidate) -> Pipeline:
    """Fit a candidate with the user's own labels on all rows that the final model may see.

    A bag of models stops early as in the folds; a single one has the number of rounds that they chose, and some more.
    """
    rounds = None
    if candidate.algorithm in IN_ROUNDS and bag_size(data) == 1:
        rounds = max(1, round(_MORE_ROUNDS * candidate.parameters["rounds"]))
    rows = data.final
    if candidate.algorithm not in _SPARING and len(rows) > _MOST_FOR_DENSE:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:_MOST_FOR_DENSE])
    return fitted(data, Pipeline(steps_of(candidate, data, rounds, len(rows))), rows, data.labels)


def score(
    data: TrainingData, predictions: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Scalar metrics and tables of predictions for some rows, which are weighted in metrics and counted in tables."""
    weights = None if data.weights is None else data.weights[rows]
    if data.classes is None:
        truth = data.target[rows]
        return metrics.regression_metrics(truth, predictions, data.y_range, sample_weight=weights), {
            "residuals": metrics.residuals(truth, predictions, data.y_range),
            "predicted_true": metrics.predicted_true(truth, predictions, data.y_range),
        }
    labels, positive = data.labels[rows], data.positive_label
    return metrics.classification_metrics(
        labels, predictions, data.classes, sample_weight=weights, positive_label=positive
    ), {
        "confusion_matrix": metrics.confusion_matrix(labels, predictions, data.classes),
        "accuracy_table": metrics.accuracy_table(labels, predictions, data.classes),
    }


def fitted(data: TrainingData, model: Pipeline, rows: npt.NDArray[np.int64], y: npt.NDArray[Any]) -> Pipeline:
    """A pipeline fitted to some rows, with their weights if there are any."""
    last = model.steps[-1][0]
    weights = {} if data.weights is None else {f"{last}__sample_weight": data.weights[rows]}
    with quiet(), _limited(data.threads):
        return model.fit(data.matrix[rows], y[rows], **weights)


def predicted(data: TrainingData, model: Pipeline, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values of shape (n,), or probabilities of shape (n, C) with zeros for classes the model did not see."""
    with _limited(data.threads):
        if data.classes is None:
            return np.asarray(model.predict(X), dtype=float)
        probabilities = np.zeros((len(X), len(data.classes)))
        probabilities[:, model.classes_] = model.predict_proba(X)
    return probabilities


def _limited(threads: int) -> threadpool_limits:
    """Keep libraries to a number of threads (-1 for all): HistGradientBoosting and NumPy take all otherwise."""
    return threadpool_limits(threads if threads > 0 else None)


@contextmanager
def quiet() -> Iterator[None]:
    """A linear model that has not quite converged is judged by its score like any other, and classes may be many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        yield
