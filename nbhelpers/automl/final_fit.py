"""The end of a search: the best model is fitted on all rows, and what it relies on is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from sklearn.pipeline import Pipeline

from nbhelpers.automl import importance
from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.featurize import DataTransformer
from nbhelpers.automl.pipelines import Candidate
from nbhelpers.automl.records import Child, Pool
from nbhelpers.automl.selection import Way, joined
from nbhelpers.automl.settings import Settings
from nbhelpers.automl.training import refit
from nbhelpers.errors import TrainingError

#: Fitting on all rows, as a multiple of the time that a fold takes for as many: more rounds, and some slack.
_REFIT_FACTOR = 1.25
#: Seconds that writing a member to the model's file takes, about.
SAVING = 0.15
#: Seconds that metrics of two thousand rows take for each class (value).
_SCORING = 0.001
#: Seconds between two looks at the clock and at `should_stop`.
_POLL = 0.2


def refit_seconds(child: Child, data: TrainingData) -> float:
    """The time that fitting a child on all rows is expected to take."""
    rows = sum(len(split.train) for split in data.splits)
    return _REFIT_FACTOR * child.fit_seconds * len(data.final) / rows


def importance_seconds(child: Child, data: TrainingData, n_columns: int, repeats: int) -> float:
    """The time that measuring the importance of columns to a child is expected to take."""
    n_rows = min(importance.ROWS, len(data.splits[0].valid))
    predicting = child.predict_seconds * n_rows / len(data.scored)
    scoring = _SCORING * max(3, 0 if data.classes is None else len(data.classes))
    return child.fit_seconds / len(data.splits) + repeats * n_columns * (predicting + scoring)


class FinalFit:
    """Fits the best model in what is left of the time.

    Parameters
    ----------
    data, settings, transformer, pool
        Of the search.
    seconds_left : function
        Of the experiment's time.
    should_stop : function that returns True to cancel

    Attributes
    ----------
    model : Pipeline or None
        The fitted model.
    canceled : bool
    """

    def __init__(
        self,
        data: TrainingData,
        settings: Settings,
        transformer: DataTransformer,
        pool: Pool,
        seconds_left: Callable[[], float],
        should_stop: Callable[[], bool],
    ) -> None:
        self.model: Pipeline | None = None
        self.canceled = False
        self._data, self._settings, self._transformer, self._pool = data, settings, transformer, pool
        self._seconds_left, self._should_stop = seconds_left, should_stop

    def fit(self, ways: Sequence[Way], children: Sequence[Child]) -> Child:
        """Go the first of the ways that can be gone, and give its child.

        Members that cannot be fitted, or not in time, are left out; the next way is gone if none is left,
        and after the ways come the best children of each algorithm, of which some may need less memory.

        Parameters
        ----------
        ways : sequence of Way
        children : sequence of Child
            The completed ones.

        Raises
        ------
        TrainingError
            No child could be fitted.
        """
        reasons: list[str] = []
        fitted: dict[int, Pipeline] = {}
        of = {child.iteration: child for child in children}
        best_of: dict[str, Child] = {}
        for child in sorted(children, key=lambda child: -self._data.sign * (child.score or 0.0)):
            best_of.setdefault(child.algorithm, child)
        for goal in [*(way.child for way in ways), *best_of.values()]:
            members = [of[iteration] for iteration in goal.weights or [goal.iteration]]
            self._fit([child for child in members if child.iteration not in fitted], fitted, reasons)
            if self.canceled:
                return goal
            try:
                self.model = joined(goal, members, fitted, self._transformer, self._data, self._settings)
            except Exception as error:  # a meta learner that cannot do with the members that are left
                reasons.append(f"{type(error).__name__}: {error}")
            if self.model is not None:
                return goal
        raise TrainingError(
            f"The best model could not be fitted on all rows: {'; '.join(dict.fromkeys(reasons))}",
            "Give the search more memory or fewer rows.",
        )

    def _fit(self, members: list[Child], fitted: dict[int, Pipeline], reasons: list[str]) -> None:
        """Fit children, those with the greatest weight first, while there is time or none is fitted yet."""
        waiting = list(members)
        tasks: dict[int, Future[Pipeline]] = {}
        try:
            while waiting or tasks:
                if self._should_stop():
                    self.canceled = True
                    return
                late = self._seconds_left() <= SAVING * len(fitted)
                if late and fitted:
                    reasons.append("there was no time left")
                    return
                while waiting and len(tasks) < (1 if late else self._pool.slots):
                    child = waiting.pop(0)
                    tasks[child.iteration] = self._pool.submit(refit, self._data, Candidate.of(child))
                wait(tasks.values(), _POLL, FIRST_COMPLETED)
                for iteration in [iteration for iteration, task in tasks.items() if task.done()]:
                    try:
                        fitted[iteration] = tasks.pop(iteration).result()
                    except Exception as error:  # the other members can do without it
                        reasons.append(f"{type(error).__name__}: {error}".rstrip(": "))
        finally:
            for task in tasks.values():
                task.cancel()

    def importance(self, best: Child, children: Sequence[Child]) -> list[dict[str, Any]]:
        """The importance of columns to the heaviest member of the best model.

        Where there is little time left, columns are shuffled less often; empty if there is none for it.
        """
        if not self._settings.model_explainability or self._should_stop():
            return []
        of = {child.iteration: child for child in children}
        members = [of[iteration] for iteration in best.weights or [best.iteration]]
        child = max(members, key=lambda member: best.weights.get(member.iteration, 0.0))
        columns: dict[str, list[int]] = {}
        for position, name in enumerate(self._transformer.sources()):
            columns.setdefault(name, []).append(position)
        saving = SAVING * len(members)
        left, counts = self._seconds_left() - saving, range(importance.REPEATS, 0, -1)
        repeats = next((n for n in counts if importance_seconds(child, self._data, len(columns), n) <= left), 0)
        if not repeats:
            return []
        task = self._pool.submit(importance.permutation_importance, self._data, Candidate.of(child), columns, repeats)
        while wait([task], _POLL).not_done:
            if self._should_stop() or self._seconds_left() <= saving:
                task.cancel()
                return []
        return [] if task.exception() else list(task.result())
