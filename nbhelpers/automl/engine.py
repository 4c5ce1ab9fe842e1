"""The search for a model: children are proposed, trained fold by fold, and voted into one fitted pipeline.

The outcome depends on the data, the settings and the seed alone, not on the slots of the pool: what to try as child k,
and whether to, is decided on the results of children up to k - 4, taken in order of k. So at most four children are in
work at a time, however many slots there are. Only a limit of time can make two searches differ.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from nbhelpers.automl.candidates import Candidate, propose
from nbhelpers.automl.data import prepare
from nbhelpers.automl.ensemble import PreFittedSoftVotingClassifier, PreFittedVotingRegressor, select_members
from nbhelpers.automl.guardrails import check_data
from nbhelpers.automl.records import LAG, Child, Pool, Result, TaskLostError
from nbhelpers.automl.settings import Settings
from nbhelpers.automl.training import FoldResult, refit, score, train_fold
from nbhelpers.errors import TrainingError
from nbhelpers.metrics import greater_is_better, sum_tables

#: Early stopping leaves so many children alone.
_LANDMARKS = 20
#: A search of fewer iterations has no ensemble.
_LEAST_FOR_ENSEMBLE = 3
#: Members that time is kept for: ensembles seldom have more.
_MEMBERS = 6
#: Fitting on all rows, as a multiple of fitting one fold: 5/4 of the rows at 5 folds, more trees, and some slack.
_REFIT_FACTOR = 1.6
_SIX_DAYS = 8640.0
#: Seconds between two looks at the clock and at `should_stop`.
_POLL = 0.2

_TIME_OUT = "experiment_timeout"
_CANCELED = "canceled"


def search(
    X: pd.DataFrame,
    y: pd.Series[Any],
    settings: Settings,
    *,
    pool: Pool,
    finished: Sequence[Child] = (),
    on_start: Callable[[int, str, str], None] = lambda iteration, algorithm, preprocessor: None,  # noqa: ARG005
    on_child: Callable[[Child], None] = lambda child: None,  # noqa: ARG005
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Search for the best model of a table.

    Parameters
    ----------
    X : DataFrame of shape (n, features)
    y : Series of length n
        The label, in the order of the rows of `X`.
    settings : Settings
    pool : Pool
        Where folds are trained; at most ``pool.slots`` tasks are in it at a time.
    finished : sequence of Child
        Children of an earlier, interrupted search with the same settings and data. They are not trained again.
    on_start : function of an iteration, an algorithm and a preprocessor
        Called in this thread when the training of a child begins.
    on_child : function of a Child
        Called in this thread as soon as a child has ended, so with several slots not always in order of iteration;
        also for those taken from `finished`.
    should_stop : function that returns True to cancel
        Asked between folds, and every 0.2 s while waiting for a pool that works elsewhere.

    Returns
    -------
    Result
        Without a model if `should_stop` said so.

    Raises
    ------
    DataError
        The table or the label cannot be used.
    TrainingError
        No child completed: all failed, or the time was too short for a single one.
    """
    return _Search(X, y, settings, pool, finished, on_start, on_child, should_stop).run()


@dataclass
class _Active:
    """A child in work."""

    candidate: Candidate
    future: Future[FoldResult]
    folds: list[FoldResult] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(fold.fit_seconds + fold.predict_seconds for fold in self.folds)


class _Search:
    def __init__(
        self,
        X: pd.DataFrame,
        y: pd.Series[Any],
        settings: Settings,
        pool: Pool,
        finished: Sequence[Child],
        on_start: Callable[[int, str, str], None],
        on_child: Callable[[Child], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.minutes = settings.experiment_timeout_minutes or _SIX_DAYS
        self.began = time.monotonic()
        self.settings, self.pool, self.should_stop = settings, pool, should_stop
        self.on_start, self.on_child = on_start, on_child
        self.transformer, self.data = prepare(X, y, settings)
        self.finished = {child.iteration: child for child in finished}
        self.sign = 1 if greater_is_better(settings.primary_metric) else -1
        self.planned = settings.enable_voting_ensemble and settings.iterations >= _LEAST_FOR_ENSEMBLE
        self.n_candidates = settings.iterations - self.planned
        self.children: list[Child] = []  # taken, by iteration
        self.done: dict[int, Child] = {}  # not taken yet, as an earlier one is in work
        self.active: dict[int, _Active] = {}
        self.started = 0  # iterations that were started
        self.ended_by: str | None = None  # set when no more are to be started

    def run(self) -> Result:
        try:
            while self._take_and_start():
                self._collect()
        finally:
            for active in self.active.values():
                active.future.cancel()
        if self.ended_by != _CANCELED and self.planned and len(self._completed()) > 1:
            self.children.append(ensemble := self._finished_ensemble() or self._ensemble())
            self.on_child(ensemble)
        best = max(self._completed(), key=lambda child: self.sign * (child.score or 0.0), default=None)
        if best is None and self.ended_by != _CANCELED:
            raise self._no_model()
        model = None if best is None or self.ended_by == _CANCELED else self._model(best)
        return Result(
            children=self.children,
            best=best,
            model=model,
            ended_by=self.ended_by or "iterations",
            guardrails=check_data(self.transformer, self.data, self.settings),
            classes=None if self.data.classes is None else self.data.classes.tolist(),
            n_folds=self.data.n_folds,
        )

    def _take_and_start(self) -> bool:
        """Take what is done, and start children while there are slots; False when all is over."""
        while True:
            self._take()
            self._look_at_limits()
            if not self._may_start():
                return bool(self.active)
            self._start()

    def _take(self) -> None:
        """Count the children that are done, in order of iteration."""
        while len(self.children) in self.done:
            self.children.append(self.done.pop(len(self.children)))

    def _end(self, child: Child) -> None:
        """Report a child that is done, and keep it until its turn to be counted."""
        self.done[child.iteration] = child
        self.on_child(child)

    def _seconds_left(self) -> float:
        """What is left of the experiment's time, of which waiting for a slot takes nothing."""
        return 60 * self.minutes - (time.monotonic() - self.began - self.pool.queued_seconds)

    def _look_at_limits(self) -> None:
        if self.ended_by != _CANCELED and self.should_stop():
            self._cancel_all(_CANCELED, "The search was canceled.")
        elif self._is_work_left() and self._seconds_left() <= self._reserve():
            self._cancel_all(_TIME_OUT, "The time of the experiment was over.")

    def _is_work_left(self) -> bool:
        return bool(self.active) or (self.ended_by is None and self.started < self.n_candidates)

    def _cancel_all(self, ended_by: str, why: str) -> None:
        self.ended_by = ended_by if ended_by == _CANCELED else self.ended_by or ended_by
        for iteration, active in self.active.items():
            active.future.cancel()
            self._end(_unfinished(iteration, active, "Canceled", why))
        self.active.clear()
        self._take()

    def _may_start(self) -> bool:
        """Whether the next child may be started now; sets `ended_by` when there will be none."""
        if self.ended_by or self.started - len(self.children) >= LAG or len(self.active) >= self.pool.slots:
            return False
        if self.started >= self.n_candidates:
            return False
        self.ended_by = self._stop_reason(self._known())
        return self.ended_by is None

    def _known(self) -> list[Child]:
        """The children whose results may decide about the next one."""
        return self.children[: max(0, self.started - LAG + 1)]

    def _stop_reason(self, known: list[Child]) -> str | None:
        scores = [self.sign * child.score if child.score is not None else -np.inf for child in known]
        target, window = self.settings.experiment_exit_score, self.settings.early_stopping_n_iters
        if target is not None and max(scores, default=-np.inf) >= self.sign * target:
            return "exit_score"
        if self.settings.enable_early_stopping and len(scores) > max(_LANDMARKS, window):
            return "early_stopping" if max(scores[-window:]) <= max(scores[:-window]) else None
        return None

    def _start(self) -> None:
        iteration = self.started
        candidate = propose(iteration, self.settings, len(self.data.target), self._known())
        self.started += 1
        old = self.finished.get(iteration)
        if old is not None and self._is_result_of(old, candidate):
            self._end(old)
        else:
            self.on_start(iteration, candidate.algorithm, candidate.preprocessor)
            self.active[iteration] = _Active(candidate, self.pool.submit(train_fold, self.data, candidate, 0))

    def _is_result_of(self, child: Child, candidate: Candidate) -> bool:
        """Whether a finished child answers for a candidate; its number of trees is a result, not a setting."""
        settings = child.parameters | {
            key: candidate.parameters[key] for key in ("n_estimators",) if key in child.parameters
        }
        same = Candidate(child.algorithm, child.preprocessor, settings) == candidate
        judged = child.predictions is not None and len(child.predictions) == len(self.data.target)
        return same and ((child.status == "Failed" and not child.lost) or (child.status == "Completed" and judged))

    def _collect(self) -> None:
        """Wait for a fold, or for the next look at the limits; go on with the child or record it."""
        wait([active.future for active in self.active.values()], _POLL, FIRST_COMPLETED)
        for iteration in [iteration for iteration, active in self.active.items() if active.future.done()]:
            active = self.active.pop(iteration)
            child = self._advance(iteration, active)
            if child is None:
                self.active[iteration] = active
            else:
                self._end(child)

    def _advance(self, iteration: int, active: _Active) -> Child | None:
        """Start the next fold of a child, or give its record if there is none."""
        try:
            active.folds.append(active.future.result())
        except Exception as error:  # whatever a model or a worker dies of, the search goes on
            lost = isinstance(error, TaskLostError)
            why = str(error) if lost else f"{type(error).__name__}: {error}".rstrip(": ")
            return _unfinished(iteration, active, "Failed", why, lost=lost)
        fold, n_folds = len(active.folds), self.data.n_folds
        if fold == n_folds:
            return self._record(iteration, active)
        limit = self.settings.iteration_timeout_minutes
        if limit and active.seconds > 60 * limit:
            why = f"It took longer than iteration_timeout_minutes={limit:g} (after {fold} of {n_folds} folds)."
            return _unfinished(iteration, active, "Failed", why)
        left = active.seconds / fold * (n_folds - fold)
        if self._completed() and left > self._seconds_left() - self._reserve():
            self.ended_by = self.ended_by or _TIME_OUT
            return _unfinished(iteration, active, "Canceled", "The time of the experiment was too short to finish it.")
        if self.ended_by == _CANCELED or self.should_stop():
            self.ended_by = _CANCELED
            return _unfinished(iteration, active, "Canceled", "The search was canceled.")
        active.future = self.pool.submit(train_fold, self.data, active.candidate, fold)
        return None

    def _record(self, iteration: int, active: _Active) -> Child:
        """The child of a candidate whose folds are all trained."""
        folds, candidate = active.folds, active.candidate
        predictions = np.empty((len(self.data.target), *folds[0].predictions.shape[1:]))
        for fold in folds:
            predictions[self.data.folds == fold.fold] = fold.predictions
        parameters = dict(candidate.parameters)
        if trees := [fold.trees for fold in folds if fold.trees is not None]:
            parameters["n_estimators"] = round(float(np.mean(trees)))
        summary = self._summary([(fold.metrics, fold.tables) for fold in folds])
        if math.isnan(summary["score"]):
            why = f"{self.settings.primary_metric} cannot be computed on any fold."
            return _unfinished(iteration, active, "Failed", why)
        return Child(
            iteration,
            candidate.algorithm,
            candidate.preprocessor,
            parameters,
            "Completed",
            fit_seconds=sum(fold.fit_seconds for fold in folds),
            predict_seconds=sum(fold.predict_seconds for fold in folds),
            predictions=predictions,
            **summary,
        )

    def _finished_ensemble(self) -> Child | None:
        """The ensemble of an earlier search, if all its children were taken over."""
        if any(self.finished.get(child.iteration) is not child for child in self.children):
            return None
        old = self.finished.get(len(self.children))
        return old if old and old.weights and old.predictions is not None else None

    def _ensemble(self) -> Child:
        """The last child: the voting ensemble of the others."""
        started = time.perf_counter()
        children = self._completed()
        weights = select_members(children, self.data, self.settings.ensemble_iterations)
        chosen = time.perf_counter()
        of = {child.iteration: child for child in children}
        votes = [np.asarray(of[iteration].predictions) for iteration in weights]
        predictions = np.average(votes, axis=0, weights=list(weights.values()))
        parts = [score(self.data, predictions[rows], rows) for rows in self._fold_rows()]
        return Child(
            len(self.children),
            "VotingEnsemble",
            "",
            {},
            "Completed",
            fit_seconds=chosen - started,
            predict_seconds=sum(of[iteration].predict_seconds for iteration in weights),
            predictions=predictions,
            weights=weights,
            **self._summary(parts),
        )

    def _fold_rows(self) -> list[npt.NDArray[np.bool_]]:
        return [self.data.folds == fold for fold in range(self.data.n_folds)]

    def _summary(self, parts: list[tuple[dict[str, float], dict[str, dict[str, Any]]]]) -> dict[str, Any]:
        """What a `Child` says about the metrics and tables of its folds."""
        by_fold = {name: [values[name] for values, _ in parts] for name in parts[0][0]}
        means = {name: _mean(values) for name, values in by_fold.items()}
        return {
            "score": means[self.settings.primary_metric],
            "metrics": means,
            "fold_scores": by_fold[self.settings.primary_metric],
            "tables": {name: sum_tables([tables[name] for _, tables in parts]) for name in parts[0][1]},
        }

    def _completed(self) -> list[Child]:
        return [child for child in (*self.children, *self.done.values()) if child.status == "Completed"]

    def _reserve(self) -> float:
        """Seconds that fitting the members of the final model on all rows may take."""
        ranked = sorted(self._completed(), key=lambda child: -self.sign * (child.score or 0.0))
        members = ranked[: _MEMBERS if self.planned else 1]
        return _REFIT_FACTOR * sum(child.fit_seconds for child in members) / self.data.n_folds

    def _model(self, best: Child) -> Pipeline | None:
        """The pipeline of the best child, fitted on all rows; None if the search is canceled meanwhile."""
        weights = best.weights or {best.iteration: 1.0}
        members = [child for child in self.children if child.iteration in weights]
        fitted: list[Pipeline] = []
        for start in range(0, len(members), self.pool.slots):
            tasks: list[Future[Pipeline]] = []
            try:
                for child in members[start : start + self.pool.slots]:
                    candidate = Candidate(child.algorithm, child.preprocessor, child.parameters)
                    tasks.append(self.pool.submit(refit, self.data, candidate))
                for task in tasks:
                    while wait([task], _POLL).not_done or self.should_stop():
                        if self.should_stop():
                            self.ended_by = _CANCELED
                            return None
                    fitted.append(task.result())
            except Exception as error:
                raise TrainingError(
                    f"The best model could not be fitted on all rows: {type(error).__name__}: {error}",
                    "Give the search more memory or fewer rows.",
                ) from error
            finally:
                for task in tasks:
                    task.cancel()
        if not best.weights:
            return Pipeline([("datatransformer", self.transformer), *fitted[0].steps])
        estimators = [(str(child.iteration), model) for child, model in zip(members, fitted, strict=True)]
        vote = PreFittedVotingRegressor if self.data.classes is None else PreFittedSoftVotingClassifier
        voting = vote(estimators, [weights[child.iteration] for child in members])
        return Pipeline([("datatransformer", self.transformer), (vote.__name__.lower(), voting)])

    def _no_model(self) -> TrainingError:
        failed = [child for child in self.children if child.status == "Failed"]
        if failed:
            return TrainingError(
                f"None of {len(self.children)} children completed; the first to fail was {failed[0].algorithm}: "
                f"{failed[0].error}",
                "Look at this reason, and check the data and the limits of time.",
            )
        return TrainingError(
            f"experiment_timeout_minutes={self.minutes:g} ended before a first model was trained.",
            "Give more time, or fewer rows or folds.",
        )


def _unfinished(iteration: int, active: _Active, status: str, why: str, *, lost: bool = False) -> Child:
    candidate = active.candidate
    return Child(
        iteration,
        candidate.algorithm,
        candidate.preprocessor,
        candidate.parameters,
        status,
        fit_seconds=sum(fold.fit_seconds for fold in active.folds),
        predict_seconds=sum(fold.predict_seconds for fold in active.folds),
        error=why,
        lost=lost,
    )


def _mean(values: list[float]) -> float:
    """The mean of the values that are not NaN."""
    present = [value for value in values if not math.isnan(value)]
    return float(np.mean(present)) if present else math.nan
