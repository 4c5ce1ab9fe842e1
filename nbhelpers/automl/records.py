"""What goes into a search and comes out of it: the pool, the children and the result."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from sklearn.pipeline import Pipeline


#: Child k is decided on the results of children up to k minus this, so no more children than this are in work at once.
LAG = 4


class Pool(Protocol):
    """Where a search has its work done.

    The functions that a search submits are module-level, and they and their arguments can be pickled. The first
    argument is the same `TrainingData` each time: a pool of processes may keep a copy where its workers are. A pool
    that can stop a running task should do so when the task's future is cancelled. A task whose process died ends with
    a `TaskLostError`. Where tasks wait for each other, futures tell when they `began`, by `time.monotonic`, or None.
    """

    @property
    def slots(self) -> int:
        """How many tasks run at a time."""
        ...

    @property
    def queued_seconds(self) -> float:
        """How long so far all tasks of the search had to wait for others' work; limits of time leave it out."""
        ...

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Run a function soon, and give the future of its value."""
        ...


class SerialPool:
    """A pool of one slot in this process: `submit` returns when the task is done."""

    slots = 1
    queued_seconds = 0.0

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Run a function now; an exception goes into the future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class TaskLostError(Exception):
    """The process of a task died: it crashed, or was killed, as a system does for want of memory."""


@dataclass(frozen=True)
class Child:
    """One model that was tried.

    Attributes
    ----------
    iteration : int
        Its number in the search, from 0.
    algorithm, preprocessor : str
        Azure ML's name of the algorithm, and what its pipeline does before it (empty for nothing).
    fitted : str
        What was fitted, in scikit-learn's names.
    parameters : dict
        JSON-able arguments of the estimator. ``rounds`` is the mean over the folds of the number of trees or epochs
        that early stopping chose.
    status : "Completed", "Failed" or "Canceled"
    score : float or None
        The primary metric, None unless completed.
    metrics : dict of str to float
        Means over the folds that could compute the metric.
    fold_scores : list of float
        The primary metric of each fold.
    tables : dict of str to dict
        ``confusion_matrix`` and ``accuracy_table``, or ``residuals`` and ``predicted_true``, summed over the folds.
    fit_seconds, predict_seconds : float
        Sums over the folds.
    error : str or None
        Why it failed or was canceled.
    lost : bool
        It failed since its process died. A search that is continued tries it again.
    raced : bool
        It was canceled since its first folds were too far behind the best child's.
    predictions : array or None
        Out-of-fold: probabilities of shape (m, C), or values of shape (m,), for the rows that `TrainingData` calls
        scored. Of an ensemble, those of each fold are made without it.
    weights : dict of int to float
        The members of an ensemble by iteration; empty otherwise.
    """

    iteration: int
    algorithm: str
    preprocessor: str
    parameters: dict[str, Any]
    status: str
    score: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    fold_scores: list[float] = field(default_factory=list)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    error: str | None = None
    lost: bool = False
    raced: bool = False
    fitted: str = ""
    predictions: npt.NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    weights: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """What is known before the first child starts.

    Attributes
    ----------
    guardrails : list of dict
        See `nbhelpers.automl.guardrails`.
    rows : (m,) array of int
        For each of a child's predictions, the position of its row in the training table; those of given validation
        data are counted on from its end.
    folds : (m,) array of int
        The fold in which the row is judged.
    """

    guardrails: list[dict[str, Any]]
    rows: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]


@dataclass
class Result:
    """What a search found.

    Attributes
    ----------
    children : list of Child
        By iteration.
    best : Child or None
        The child whose model generalises best (see `selection`); None if the search was canceled before one completed.
    model : Pipeline or None
        The best child's model, fitted on all rows; it takes a raw data frame. None if the search was canceled.
    ended_by : "iterations", "experiment_timeout", "early_stopping", "exit_score" or "canceled"
    guardrails : list of dict
        See `nbhelpers.automl.guardrails`.
    classes : list or None
        The sorted labels of a classification.
    n_folds : int
    selection : list of dict
        How the best model was chosen: for each ``way`` to a model, the best first, its ``iteration``, and its ``score``
        and ``loss`` on rows that had no part in it.
    importance : list of dict
        See `nbhelpers.automl.importance`, of the heaviest member of the best model; empty if there was no time for it.
    """

    children: list[Child]
    best: Child | None
    model: Pipeline | None
    ended_by: str
    guardrails: list[dict[str, Any]]
    classes: list[Any] | None
    n_folds: int
    selection: list[dict[str, Any]] = field(default_factory=list)
    importance: list[dict[str, Any]] = field(default_factory=list)
