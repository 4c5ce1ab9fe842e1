"""The search for a model: children are proposed, trained fold by fold, and joined into one fitted pipeline.

The outcome depends on the data, the settings and the seed alone, not on the slots of the pool: what to try as child k,
whether to, and when to give it up is decided on the results of children up to k - 4, taken in order of k. So at most
four children are in work at a time, however many slots there are. Only a limit of time can make two searches differ.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nbhelpers.automl import ensemble
from nbhelpers.automl.data import prepare
from nbhelpers.automl.final_fit import SAVING, FinalFit, importance_seconds, refit_seconds
from nbhelpers.automl.guardrails import check_data
from nbhelpers.automl.importance import REPEATS
from nbhelpers.automl.pipelines import BOOSTED, Candidate, described
from nbhelpers.automl.proposals import propose
from nbhelpers.automl.racing import is_behind
from nbhelpers.automl.records import LAG, Child, Pool, Prepared, Result, TaskLostError
from nbhelpers.automl.selection import Way, by_preference, leader, summary, ways_to_model
from nbhelpers.automl.settings import Settings
from nbhelpers.automl.training import FoldResult, train_fold
from nbhelpers.errors import TrainingError

#: Early stopping leaves so many children alone.
_LANDMARKS = 20
#: A search of fewer iterations than this and the number of its ensembles has none.
_LEAST_BESIDE_ENSEMBLES = 2
#: Members that time is kept for, the best of each algorithm aside: ensembles seldom have more.
_MEMBERS = 6
#: At most this share of the whole time is kept for fitting and saving members, except the one of the best child.
_MOST_FOR_MEMBERS = 0.5
#: Seconds kept for what follows the search, and for each probability that ensembles are chosen and judged by.
_CLOSING, _CLOSING_OF_EACH = 1.0, 2.5e-5
#: At most this share of the whole time is kept for measuring importance.
_MOST_FOR_IMPORTANCE = 0.05
#: A child is given up that would take more than this share of the whole time, once there is another; if it is boosted,
#: once there is another boosted one, as these are the best most often.
_MOST_OF_TIME = 0.4
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
    validation: tuple[pd.DataFrame, pd.Series[Any]] | None = None,
    pool: Pool,
    finished: Sequence[Child] = (),
    on_prepared: Callable[[Prepared], None] = lambda prepared: None,  # noqa: ARG005
    on_start: Callable[[int, str, str], None] = lambda iteration, algorithm, preprocessor: None,  # noqa: ARG005
    on_child: Callable[[Child], None] = lambda child: None,  # noqa: ARG005
    should_stop: Callable[[], bool] = lambda: False,
    elapsed: float = 0.0,
) -> Result:
    """Search for the best model of a table.

    Parameters
    ----------
    X : DataFrame of shape (n, features)
    y : Series of length n
        The label, in the order of the rows of `X`.
    settings : Settings
        The columns that they name are columns of `X`.
    validation : DataFrame and Series, optional
        Features, in a table with the columns of `X`, and labels of rows to judge models by, on which none is trained.
    pool : Pool
        Where folds are trained; at most ``pool.slots`` tasks are in it at a time.
    finished : sequence of Child
        Children of an earlier, interrupted search with the same settings and data. They are not trained again.
    on_prepared : function of a Prepared
        Called in this thread when the data is known to be good, before the first child.
    on_start : function of an iteration, an algorithm and a preprocessor
        Called in this thread when the training of a child begins.
    on_child : function of a Child
        Called in this thread as soon as a child has ended, so with several slots not always in order of iteration;
        also for those taken from `finished`.
    should_stop : function that returns True to cancel
        Asked between folds, and every 0.2 s while waiting for a pool that works elsewhere.
    elapsed : float
        Seconds of the experiment's time that were over before the call.

    Returns
    -------
    Result
        Without a model if `should_stop` said so.

    Raises
    ------
    ConfigException
        There is validation data, and a setting asks for another validation.
    DataError
        The table, the label, a column that a setting names or the validation data cannot be used.
    TrainingError
        No child completed: all failed, or the time was too short for a single one.
    """
    hooks = on_prepared, on_start, on_child, should_stop
    return _Search(X, y, settings, validation, pool, finished, *hooks, time.monotonic() - elapsed).run()


@dataclass
class _Active:
    """A child in work."""

    candidate: Candidate
    future: Future[FoldResult]
    since: float
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
        validation: tuple[pd.DataFrame, pd.Series[Any]] | None,
        pool: Pool,
        finished: Sequence[Child],
        on_prepared: Callable[[Prepared], None],
        on_start: Callable[[int, str, str], None],
        on_child: Callable[[Child], None],
        should_stop: Callable[[], bool],
        began: float,
    ) -> None:
        self.minutes = settings.experiment_timeout_minutes or _SIX_DAYS
        self.began = began
        self.settings, self.pool, self.should_stop = settings, pool, should_stop
        self.on_start, self.on_child = on_start, on_child
        self.transformer, self.data = prepare(X, y, settings, validation)
        self.n_columns = len(set(self.transformer.sources()))
        self.guardrails = check_data(self.transformer, self.data, settings)
        rows = self.data.positions[self.data.scored]
        on_prepared(Prepared(self.guardrails, rows, self.data.parts))
        self.finished = {child.iteration: child for child in finished}
        self.planned = self._planned_ensembles()
        self.n_candidates = settings.iterations - len(self.planned)
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
        completed = self._completed()
        if not completed and self.ended_by != _CANCELED:
            raise self._no_model()
        best = leader(completed, self.data.sign) if completed else None
        ways: list[Way] = []
        final = FinalFit(self.data, self.settings, self.transformer, self.pool, self._seconds_left, self.should_stop)
        if completed and self.ended_by != _CANCELED:
            ways, made = ways_to_model(completed, self.data, self.settings, self.planned, len(self.children))
            for child in made:
                self.children.append(child)
                self.on_child(child)
            ways = by_preference(ways, self.data.sign)
            best = final.fit(ways, completed)
            self.ended_by = _CANCELED if final.canceled else self.ended_by
        return Result(
            children=self.children,
            best=best,
            model=final.model,
            ended_by=self.ended_by or "iterations",
            guardrails=self.guardrails,
            classes=None if self.data.classes is None else self.data.classes.tolist(),
            n_folds=len(self.data.splits),
            selection=[way.evidence() for way in ways],
            importance=[] if best is None or final.model is None else final.importance(best, completed),
        )

    def _planned_ensembles(self) -> list[str]:
        """The ensembles that the last children are: they are judged on other rows than they are chosen on."""
        if len(self.data.scored) < 2:
            return []
        names = ["VotingEnsemble"] * self.settings.enable_voting_ensemble
        if ensemble.can_stack(self.data):
            names += ["StackEnsemble"] * self.settings.enable_stack_ensemble
        return names if self.settings.iterations >= _LEAST_BESIDE_ENSEMBLES + len(names) else []

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
        return 60 * self.minutes - self._clock()

    def _look_at_limits(self) -> None:
        if self.ended_by == _CANCELED or self.should_stop():
            self._cancel_all(_CANCELED, "The search was canceled.")
        elif any(active.future.done() for active in self.active.values()):
            return  # what is done counts, however late it is
        elif self._is_work_left() and self._seconds_left() <= self._reserve():
            self._cancel_all(_TIME_OUT, "The time of the experiment was over.")

    def _is_work_left(self) -> bool:
        return bool(self.active) or (self.ended_by is None and self.started < self.n_candidates)

    def _cancel_all(self, ended_by: str, why: str) -> None:
        self.ended_by = ended_by if ended_by == _CANCELED else self.ended_by or ended_by
        for iteration, active in self.active.items():
            active.future.cancel()
            self._end(self._unfinished(iteration, active, "Canceled", why))
        self.active.clear()
        self._take()

    def _may_start(self) -> bool:
        """Whether the next child may be started now; sets `ended_by` when there will be none."""
        if self.ended_by or self.started - len(self.children) >= LAG or len(self.active) >= self.pool.slots:
            return False
        if self.started >= self.n_candidates:
            return False
        self.ended_by = self._stop_reason(self._known(self.started))
        # What is in work may still be finished.
        if self.ended_by is None and self._seconds_left() - self._reserve() < self._least_seconds():
            self.ended_by = _TIME_OUT
        return self.ended_by is None

    def _least_seconds(self) -> float:
        """The time of the fastest child so far: the next one may be as fast, and is given up if it is not."""
        return min((child.fit_seconds + child.predict_seconds for child in self._completed()), default=0.0)

    def _known(self, iteration: int) -> list[Child]:
        """The children whose results may decide about the one of an iteration."""
        return self.children[: max(0, iteration - LAG + 1)]

    def _stop_reason(self, known: list[Child]) -> str | None:
        scores = [self.data.sign * child.score if child.score is not None else -np.inf for child in known]
        target, window = self.settings.experiment_exit_score, self.settings.early_stopping_n_iters
        if target is not None and max(scores, default=-np.inf) >= self.data.sign * target:
            return "exit_score"
        if self.settings.enable_early_stopping and len(scores) > max(_LANDMARKS, window):
            return "early_stopping" if max(scores[-window:]) <= max(scores[:-window]) else None
        return None

    def _start(self) -> None:
        iteration = self.started
        candidate = propose(iteration, self.settings, self.data, self._known(iteration))
        self.started += 1
        old = self.finished.get(iteration)
        if old is not None and self._is_result_of(old, candidate):
            self._end(old)
        else:
            self.on_start(iteration, candidate.algorithm, candidate.preprocessor)
            future = self.pool.submit(train_fold, self.data, candidate, 0)
            self.active[iteration] = _Active(candidate, future, time.monotonic())

    def _is_result_of(self, child: Child, candidate: Candidate) -> bool:
        """Whether a finished child answers for a candidate; its number of rounds is a result, not a setting."""
        settings = {name: value for name, value in child.parameters.items() if name != "rounds"}
        same = Candidate(child.algorithm, child.preprocessor, settings) == candidate
        judged = child.predictions is not None and len(child.predictions) == len(self.data.scored)
        ended = (child.status == "Failed" and not child.lost) or child.raced
        return same and (ended or (child.status == "Completed" and judged))

    def _collect(self) -> None:
        """Wait for a fold, or for the next look at the limits; go on with the child or record it."""
        wait([active.future for active in self.active.values()], _POLL, FIRST_COMPLETED)
        limit = 60 * (self.settings.iteration_timeout_minutes or math.inf)
        for iteration, active in list(self.active.items()):
            began = getattr(active.future, "began", active.since)
            running = 0.0 if began is None else time.monotonic() - began
            if not active.future.done() and active.seconds + running > limit:
                active.future.cancel()
                del self.active[iteration]
                self._end(self._unfinished(iteration, active, "Failed", self._too_long(active)))
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
            return self._unfinished(iteration, active, "Failed", why, lost=lost)
        fold, n_folds = len(active.folds), len(self.data.splits)
        if fold == n_folds:
            return self._record(iteration, active)
        limit = self.settings.iteration_timeout_minutes
        if limit and active.seconds > 60 * limit:
            return self._unfinished(iteration, active, "Failed", self._too_long(active))
        if self.ended_by == _CANCELED or self.should_stop():
            self.ended_by = _CANCELED
            return self._unfinished(iteration, active, "Canceled", "The search was canceled.")
        if self._seconds_left() <= 0:
            return self._unfinished(iteration, active, "Canceled", "The time of the experiment was over.")
        scores = [fold.metrics[self.settings.primary_metric] for fold in active.folds]
        if behind := is_behind(scores, active.candidate.algorithm, self._known(iteration), self.data.sign):
            why = f"Raced: after {fold} of {n_folds} folds it was {behind:.4f} behind the best child."
            return self._unfinished(iteration, active, "Canceled", why, raced=True, fold_scores=scores)
        per_fold = active.seconds / fold
        if self._completed():
            if per_fold * (n_folds - fold) > self._seconds_left() - self._reserve():
                why = "The time of the experiment was too short to finish it."
                return self._unfinished(iteration, active, "Canceled", why)
            known = [child.algorithm in BOOSTED for child in self._completed()]
            spared = active.candidate.algorithm in BOOSTED and not any(known)
            if per_fold * n_folds > _MOST_OF_TIME * 60 * self.minutes and not spared:
                why = f"It would have taken more than {_MOST_OF_TIME:.0%} of the experiment's time."
                return self._unfinished(iteration, active, "Canceled", why)
        active.since = time.monotonic()
        active.future = self.pool.submit(train_fold, self.data, active.candidate, fold)
        return None

    def _unfinished(self, iteration: int, active: _Active, status: str, why: str, **facts: Any) -> Child:
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
            fitted=described(candidate, self.data),
            **facts,
        )

    def _too_long(self, active: _Active) -> str:
        done, limit = f"{len(active.folds)} of {len(self.data.splits)}", self.settings.iteration_timeout_minutes
        return f"It took longer than iteration_timeout_minutes={limit:g} (after {done} folds)."

    def _clock(self) -> float:
        """Seconds of the search so far, without those in which all its work had to wait for slots."""
        return time.monotonic() - self.began - self.pool.queued_seconds

    def _record(self, iteration: int, active: _Active) -> Child:
        """The child of a candidate whose folds are all trained."""
        folds, candidate = active.folds, active.candidate
        predictions = np.concatenate([fold.predictions for fold in sorted(folds, key=lambda fold: fold.fold)])
        parameters = dict(candidate.parameters)
        if rounds := [fold.rounds for fold in folds if fold.rounds is not None]:
            parameters["rounds"] = round(float(np.mean(rounds)))
        judged = summary(self.data, [(fold.metrics, fold.tables) for fold in folds])
        if math.isnan(judged["score"]):
            why = f"{self.settings.primary_metric} cannot be computed on any fold."
            return self._unfinished(iteration, active, "Failed", why)
        return Child(
            iteration,
            candidate.algorithm,
            candidate.preprocessor,
            parameters,
            "Completed",
            fit_seconds=sum(fold.fit_seconds for fold in folds),
            predict_seconds=sum(fold.predict_seconds for fold in folds),
            predictions=predictions,
            fitted=described(candidate, self.data),
            **judged,
        )

    def _completed(self) -> list[Child]:
        return [child for child in (*self.children, *self.done.values()) if child.status == "Completed"]

    def _reserve(self) -> float:
        """Seconds that ensembles, fitting members of the final model on all rows, saving and explaining it may take."""
        ranked = sorted(self._completed(), key=lambda child: -self.data.sign * (child.score or 0.0))
        if not ranked:
            return 0.0
        members, closing = ranked[:1], _CLOSING
        if self.planned:
            closing += _CLOSING_OF_EACH * self.data.n_predictions
            best_of = {child.algorithm: child for child in reversed(ranked)}
            members = list({child.iteration: child for child in (*ranked[:_MEMBERS], *best_of.values())}.values())
        seconds = sorted((refit_seconds(child, self.data) for child in members), reverse=True)
        loads = [0.0] * self.pool.slots
        for each in seconds:
            loads[loads.index(min(loads))] += each
        most = max(_MOST_FOR_MEMBERS * 60 * self.minutes, refit_seconds(ranked[0], self.data))
        return min(max(loads) + SAVING * len(members), most) + closing + self._kept_for_importance(ranked[0])

    def _kept_for_importance(self, child: Child) -> float:
        """Seconds that measuring importance may take; none where one shuffle of each column takes too long."""
        most = _MOST_FOR_IMPORTANCE * 60 * self.minutes
        if not self.settings.model_explainability:
            return 0.0
        once, often = (importance_seconds(child, self.data, self.n_columns, repeats) for repeats in (1, REPEATS))
        return min(often, most) if once <= most else 0.0

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
