"""The pipeline runs of a workspace at a glance, and a run by what a person types for its id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import UserErrorException, nearest
from nbhelpers.local.display import text_table
from nbhelpers.local.processes import RUNNING, settle_all
from nbhelpers.local.store import Store, experiments, runs
from nbhelpers.metrics import greater_is_better

if TYPE_CHECKING:
    from nbhelpers.local.runs import PipelineRun
    from nbhelpers.local.workspace import Workspace

#: Characters of an id that are enough to name a run, if no other id begins with them.
SHORTEST = 4


@dataclass(frozen=True)
class RunSummary:
    """A pipeline run in one line.

    Attributes
    ----------
    id, experiment, status : str
    started, ended : str or None
        ISO 8601, UTC.
    seconds : float or None
        From the start to the end, or until now.
    completed, failed : int
        Child runs; those of the original where a run was reused.
    planned : int or None
        Child runs that were asked for.
    metric : str or None
        The primary metric.
    best : float or None
        Its best value so far.
    reuses, continues : str or None
        Ids of pipeline runs.
    waits_for : str or None
        The id of the pipeline run whose result it waits for.
    cancel_requested, queued : bool
        It has been asked to stop, or waits for that run or for a free slot of its compute target.
    error : str or None
        Why it failed.
    """

    id: str
    experiment: str
    status: str
    started: str | None
    ended: str | None
    seconds: float | None
    completed: int
    failed: int
    planned: int | None
    metric: str | None
    best: float | None
    reuses: str | None
    continues: str | None
    waits_for: str | None
    cancel_requested: bool
    queued: bool
    error: str | None

    @property
    def note(self) -> str:
        """What is special about the run, in words."""
        notes = [
            f"reuses {self.reuses}" if self.reuses else "",
            f"continues {self.continues}" if self.continues else "",
            "cancel requested" if self.cancel_requested else "",
            f"waits for {self.waits_for or 'a slot'}" if self.queued else "",
            self.error or "",
        ]
        return ", ".join(filter(None, notes))


def list_runs(store: Store, experiment: str | None = None, limit: int | None = None) -> list[RunSummary]:
    """The pipeline runs, newest first. Those whose worker is gone are ended before they are listed.

    Parameters
    ----------
    store : Store
    experiment : str, optional
        Only the runs of this one.
    limit : int, optional
        At most so many.

    Raises
    ------
    UserErrorException
        There is no such experiment.
    """
    wanted = runs.c.kind == "pipeline"
    if experiment is not None:
        _check_experiment(store, experiment)
        wanted &= runs.c.experiment == experiment
    settle_all(store)
    step = runs.alias("step")
    columns = (runs, step.c.id.label("step_id"), step.c.status.label("step_status"), step.c.properties.label("facts"))
    both = sa.select(*columns).join(step, step.c.parent_id == runs.c.id).where(wanted)
    rows = store.all(both.order_by(runs.c.created.desc()).limit(limit))
    trained = {row["id"]: row["facts"].get("azureml.reusedrunid", row["step_id"]) for row in rows}
    score = runs.c.properties["score"].as_string().label("score")
    some = sa.func.json_each(json.dumps(list(trained.values()))).table_valued("value")  # however many: one parameter
    children = store.all(
        sa.select(runs.c.parent_id, runs.c.status, score).where(runs.c.parent_id.in_(sa.select(some.c.value)))
    )
    of_step: dict[str, list[sa.RowMapping]] = {}
    for child in children:
        of_step.setdefault(child["parent_id"], []).append(child)
    return [_summary(row, of_step.get(trained[row["id"]], [])) for row in rows]


def _summary(run: sa.RowMapping, children: list[sa.RowMapping]) -> RunSummary:
    facts: dict[str, Any] = run["facts"]
    planned, metric = facts.get("num_iterations"), facts.get("primary_metric")
    scores = [float(child["score"]) for child in children if child["status"] == "Completed" and child["score"]]
    pick = max if metric is None or greater_is_better(metric) else min
    running = run["status"] in RUNNING
    seconds = None
    if run["started"]:
        ended = datetime.fromisoformat(run["ended"]) if run["ended"] else datetime.now(UTC)
        seconds = (ended - datetime.fromisoformat(run["started"])).total_seconds()
    return RunSummary(
        id=run["id"],
        experiment=run["experiment"],
        status=run["status"],
        started=run["started"],
        ended=run["ended"],
        seconds=seconds,
        completed=sum(child["status"] == "Completed" for child in children),
        failed=sum(child["status"] == "Failed" for child in children),
        planned=None if planned is None else int(planned),
        metric=metric,
        best=pick((score for score in scores if score == score), default=None),
        reuses=facts.get("azureml.reusedpipeline"),
        continues=run["properties"].get("nbhelpers.continues"),
        waits_for=facts.get("nbhelpers.waits_for"),
        cancel_requested=running and run["cancel_requested"],
        queued=running and run["step_status"] == "Queued",
        error=run["error"]["message"].splitlines()[0] if run["status"] == "Failed" and run["error"] else None,
    )


def runs_table(found: Sequence[RunSummary]) -> str:
    """Runs as a table of plain text: columns two blanks apart, ``-`` for what there is not, the note last."""
    headers = ("Run", "Experiment", "Status", "Started", "Duration", "Children", "Failed", "Best", "Metric", "Note")
    rows = [
        (
            run.id,
            run.experiment,
            run.status,
            f"{run.started[:19]}Z" if run.started else "-",
            "-" if run.seconds is None else timedelta(seconds=round(run.seconds)),
            f"{run.completed}/{'-' if run.planned is None else run.planned}",
            run.failed,
            "-" if run.best is None else f"{run.best:.5f}",
            run.metric or "-",
            run.note,
        )
        for run in found
    ]
    return text_table(headers, rows)


def _check_experiment(store: Store, name: str) -> None:
    names = [row["name"] for row in store.all(sa.select(experiments.c.name).order_by(experiments.c.name))]
    if name not in names:
        near = nearest(name, names)
        raise UserErrorException(
            f"The workspace has no experiment {name!r}; it has: {', '.join(names) or 'none yet'}.",
            f"name {near!r} instead" if near else "name one of these, or leave the experiment out",
        )


def find_run(workspace: Workspace, text: str) -> tuple[str, PipelineRun]:
    """The run that a person means.

    Parameters
    ----------
    workspace : Workspace
    text : str
        The id of a pipeline, step or child run, a beginning of at least `SHORTEST` characters that no other id has,
        or ``"latest"`` for the newest pipeline run.

    Returns
    -------
    run_id : str
        The id that was meant.
    run : PipelineRun
        That run, or the pipeline run that it is part of.

    Raises
    ------
    UserErrorException
        There is no such run, or more than one.
    """
    from nbhelpers.local.experiment import Experiment
    from nbhelpers.local.runs import PipelineRun

    text = text.strip().lower()
    known = sa.select(runs.c.id, runs.c.parent_id, runs.c.experiment).order_by(runs.c.created.desc())
    if "_" not in text:  # which only the ids of child runs have; else a beginning of a step's id would mean them, too
        known = known.where(runs.c.kind != "child")
    rows = {row["id"]: row for row in workspace.store.all(known)}
    run_id = _choose(text, rows, [row["id"] for row in rows.values() if row["parent_id"] is None])
    row = rows[run_id]
    while row["parent_id"] is not None:
        row = rows[row["parent_id"]]
    return run_id, PipelineRun(Experiment(workspace, row["experiment"]), row["id"])


def _choose(text: str, known: Iterable[str], pipelines: list[str]) -> str:
    if text == "latest" and pipelines:
        return pipelines[0]
    if text in known:
        return text
    if len(text) < SHORTEST:
        raise UserErrorException(
            f"{text!r} is too short to name a run.", f"give at least {SHORTEST} characters of its id, or latest"
        )
    found = [run_id for run_id in known if run_id.startswith(text)]
    if len(found) > 1:
        more = " …" if len(found) > 10 else "."
        raise UserErrorException(
            f"{text!r} is the beginning of {len(found)} runs: {', '.join(found[:10])}{more}", "give more of the id"
        )
    if not found:
        beginnings = {run_id[: len(text)]: run_id for run_id in known}
        near = nearest(text, beginnings)
        raise UserErrorException(
            f"The workspace has no run {text!r}.",
            f"the nearest is {beginnings[near]}" if near else "see which there are with `nbhelpers runs --all`",
        )
    return found[0]
