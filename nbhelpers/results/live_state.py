"""The state of a run that may be at work, read so that a slow service is asked little."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from nbhelpers.errors import UserErrorException
from nbhelpers.metrics import greater_is_better
from nbhelpers.results.runs import FINISHED, number, taken_over
from nbhelpers.results.tables import pipeline_name

#: States of runs, steps and children that change no more.
ENDED = (*FINISHED, "Failed", "Canceled", "PartiallyExecuted", "Bypassed")
#: After so many failed attempts in a row, a second or more apart, a run is no longer asked.
ATTEMPTS = 60


@dataclass(frozen=True)
class Child:
    """A child run; its score is NaN while there is none."""

    id: str
    iteration: int
    algorithm: str
    pipeline: str
    status: str
    score: float
    started: datetime | None
    ended: datetime | None
    taken_over: bool

    @property
    def has_score(self) -> bool:
        """Whether there is a score."""
        return not math.isnan(self.score)


@dataclass(frozen=True)
class Step:
    """A step run; `planned` is the most children that it may have, `reused` the run that its results come from.

    `chosen` is the id of the best child, if the run has named one.
    """

    name: str
    status: str
    reused: str | None
    planned: int | None
    metric: str
    higher_is_better: bool
    children: tuple[Child, ...]
    chosen: str | None = None

    @property
    def scored(self) -> list[Child]:
        """The children that have a score, by iteration."""
        return [child for child in self.children if child.has_score]

    @property
    def ended(self) -> int:
        """The number of children that have ended."""
        return sum(child.status in ENDED for child in self.children)

    @property
    def best(self) -> Child | None:
        """The child that the run has chosen, else the one with the best score, the first one of several as good."""
        sign = 1 if self.higher_is_better else -1
        leader = max(self.scored, key=lambda child: sign * child.score, default=None)
        return next((child for child in self.scored if child.id == self.chosen), leader)


@dataclass(frozen=True)
class State:
    """A run at the moment `time`.

    `continues` and `waits_for` are the ids of other runs; `reason` says why it failed, `trouble` what keeps the reader
    from knowing more. `over` is true if it will not change any more, or is no longer asked.
    """

    title: str
    time: datetime
    status: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    continues: str | None = None
    waits_for: str | None = None
    reason: str = ""
    steps: tuple[Step, ...] = ()
    trouble: str = ""
    over: bool = False

    @property
    def shown_step(self) -> Step | None:
        """The step whose children are shown: the last one that has any, else the first that may get some."""
        searches = [step for step in self.steps if step.metric]
        return next((step for step in reversed(searches) if step.children), searches[0] if searches else None)


class Reader:
    """Reads the state of a run again and again; what has ended is not asked again.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
    clock : callable
        Gives the time; for tests.

    Raises
    ------
    UserErrorException
        `run` has neither steps nor children.

    Attributes
    ----------
    run : PipelineRun or AutoMLRun
    state : State
        What was read last.
    seconds : float
        How long that took.
    """

    def __init__(self, run: Any, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        if not hasattr(run, "get_children"):
            raise UserErrorException(
                f"A {type(run).__name__} has no children to watch.", "give a pipeline run, or the run of an AutoML step"
            )
        self.state = State(title=f"{type(run).__name__} {run.id}", time=clock())
        self.run = run
        self._clock = clock
        self._steps: dict[str, Step] = {}
        self._children: dict[str, Child] = {}
        self._failures = 0
        self.seconds = 0.0

    def read(self) -> State:
        """The state now; where the run cannot be read, the last one that was, with the trouble."""
        began = monotonic()
        try:
            self.state = self._read()
            self._failures = 0
        except Exception as error:  # each backend has its own; a view that fails would hide a run that goes on
            self._failures += 1
            over = self._failures >= ATTEMPTS
            problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
            trouble = f"The run could not be read: {problem.rstrip('.')}; {'gave up' if over else 'trying again'}."
            self.state = replace(self.state, time=self._clock(), trouble=trouble, over=over)
        self.seconds = monotonic() - began
        return self.state

    def _read(self) -> State:
        # The status comes first: when it says that the run has ended, all that is read after it is final.
        status = self.run.get_status()
        steps = self.run.get_steps() if hasattr(self.run, "get_steps") else [self.run]
        found = tuple(map(self._step, steps))
        details = self.run.get_details()
        facts = details["properties"]
        return State(
            title=self.state.title,
            time=self._clock(),
            status=status,
            started=_time(details.get("startTimeUtc")),
            ended=_time(details.get("endTimeUtc")),
            continues=facts.get("nbhelpers.continues"),
            waits_for=facts.get("nbhelpers.waits_for"),
            reason=_message(details.get("error")),
            steps=found,
            over=status in ENDED,
        )

    def _step(self, step: Any) -> Step:
        if step.id in self._steps:
            return self._steps[step.id]
        status, facts = step.get_status(), step.properties
        planned, metric = facts.get("num_iterations"), facts.get("primary_metric") or ""
        children = filter(None, map(self._child, step.get_children()))
        found = Step(
            name=step.name,
            status=status,
            reused=facts.get("azureml.reusedpipeline") or facts.get("azureml.reusedrunid"),
            planned=None if planned is None else int(planned),
            metric=metric,
            higher_is_better=not metric or greater_is_better(metric),
            children=tuple(sorted(children, key=lambda child: child.iteration)),
            chosen=(getattr(step, "tags", None) or {}).get("automl_best_child_run_id"),
        )
        if status in ENDED:
            self._steps[step.id] = found
        return found

    def _child(self, child: Any) -> Child | None:
        """None for a run that tries no pipeline, such as that of the set-up."""
        if child.id in self._children:
            return self._children[child.id]
        if not str(child.properties.get("iteration", "")).isdigit():
            return None
        details = child.get_details()
        facts, status = details["properties"], details["status"]
        found = Child(
            id=child.id,
            iteration=int(facts["iteration"]),
            algorithm=facts.get("run_algorithm", ""),
            pipeline=pipeline_name(facts),
            status=status,
            score=number(facts.get("score")) if status == "Completed" else float("nan"),
            started=_time(details.get("startTimeUtc")),
            ended=_time(details.get("endTimeUtc")),
            taken_over=taken_over(child),
        )
        if status in ENDED:
            self._children[child.id] = found
        return found


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _message(error: Any) -> str:
    """The innermost message of an error: the SDK nests {"error": {"message": ...}}."""
    while isinstance(error, Mapping):
        error = error.get("error") or error.get("message")
    return str(error or "").strip()
