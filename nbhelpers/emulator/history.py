"""Run history: experiments, runs and what is known about them."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Body, Depends, Query, Request

from nbhelpers.emulator import records
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.metrics import history_router
from nbhelpers.emulator.queries import select
from nbhelpers.emulator.run_files import log_urls
from nbhelpers.emulator.state import State
from nbhelpers.local.experiment import Experiment
from nbhelpers.local.runs import PipelinePart
from nbhelpers.local.store import experiments, now

router = APIRouter()
router.include_router(history_router)

#: The kind of the documents with what the local workspace does not keep of an experiment.
EXPERIMENT = "experiment"

Json = dict[str, Any]


def _cloud(request: Request) -> State:
    cloud: State = request.app.state.cloud
    return cloud


def _experiment_of(cloud: Annotated[State, Depends(_cloud)], experiment: str) -> str:
    """The name of an experiment, given by its name or id."""
    row = _row(cloud, experiment)
    if row is None:
        raise CloudError(404, "ResourceNotFound", f"There is no experiment {experiment!r}.")
    return str(row["name"])


Cloud = Annotated[State, Depends(_cloud)]
Named = Annotated[str, Depends(_experiment_of)]


@router.get("/experiments/{experiment}")
@router.get("/experimentids/{experiment}")
def get_experiment(cloud: Cloud, name: Named) -> Json:
    """An experiment."""
    return _document(cloud, name)


@router.post("/experiments/{experiment}")
def create_experiment(cloud: Cloud, experiment: str) -> Json:
    """Create an experiment; it may be there."""
    return _document(cloud, Experiment(cloud.workspace, experiment).name)


@router.patch("/experimentids/{experiment}")
def change_experiment(cloud: Cloud, name: Named, body: Json) -> Json:
    """Archive or reactivate an experiment; add tags, or give them new values."""
    known = cloud.documents.get(EXPERIMENT, name) or {}
    if body.get("archive") is not None:
        known["archived"] = now() if body["archive"] else None
    if body.get("description") is not None:
        known["description"] = body["description"]
    cloud.documents.put(EXPERIMENT, name, known)
    if body.get("tags"):
        Experiment(cloud.workspace, name).set_tags(body["tags"])
    return _document(cloud, name)


@router.post("/experimentids/{experiment}/tags:delete")
def delete_experiment_tags(cloud: Cloud, name: Named, body: Json) -> Json:
    """Remove tags of an experiment."""
    mine = experiments.c.name == name
    with cloud.workspace.store.writing() as connection:
        tags: Json = connection.execute(sa.select(experiments.c.tags).where(mine)).scalar_one()
        kept = {key: value for key, value in tags.items() if key not in body["tags"]}
        connection.execute(experiments.update().where(mine).values(tags=kept))
    return {"errors": {}}


@router.post("/experiments:query")
def list_experiments(cloud: Cloud, body: Annotated[Json | None, Body()] = None) -> Json:
    """The experiments that pass a filter; those that are archived only where they are asked for."""
    wanted = body or {}
    view = str(wanted.get("viewType") or "ActiveOnly").lower()
    rows = cloud.workspace.store.all(sa.select(experiments).order_by(experiments.c.created))
    found = [_described(cloud, row) for row in rows]
    archived = {"activeonly": (False,), "archivedonly": (True,)}.get(view, (False, True))
    found = [one for one in found if (one["archivedTime"] is not None) in archived]
    return select(
        found, wanted.get("filter"), wanted.get("orderby"), wanted.get("top"), wanted.get("continuationToken")
    )


@router.get("/experiments/{experiment}/runs/{run_id}")
@router.get("/experimentids/{experiment}/runs/{run_id}")
def get_run(cloud: Cloud, name: Named, run_id: str) -> Json:
    """A run."""
    return records.document(cloud, records.find(cloud, run_id, name))


@router.get("/runs/{run_id}")
def get_workspace_run(cloud: Cloud, run_id: str) -> Json:
    """A run of any experiment."""
    return records.document(cloud, records.find(cloud, run_id))


@router.patch("/experiments/{experiment}/runs/{run_id}")
@router.patch("/experimentids/{experiment}/runs/{run_id}")
def change_run(cloud: Cloud, name: Named, run_id: str, body: Json) -> Json:
    """Add tags and properties to a run, or give them new values; name and describe it."""
    row = records.find(cloud, run_id, name)
    changes = records.changes_of(cloud, run_id)
    for member in ("tags", "properties"):
        changes[member] |= body.get(member) or {}
    changes |= {member: body[member] for member in ("displayName", "description") if body.get(member) is not None}
    cloud.documents.put(records.CHANGES, run_id, changes)
    return records.document(cloud, row)


@router.delete("/experiments/{experiment}/runs/{run_id}/tags")
def delete_run_tags(cloud: Cloud, name: Named, run_id: str, tags: Annotated[list[str], Body()]) -> Json:
    """Remove tags of a run."""
    return change_run(cloud, name, run_id, {"tags": dict.fromkeys(tags)})


@router.get("/experiments/{experiment}/runs/{run_id}/details")
@router.get("/experimentids/{experiment}/runs/{run_id}/details")
def get_details(cloud: Cloud, name: Named, run_id: str) -> Json:
    """A run with its error, warnings and the URLs of its logs."""
    row = records.find(cloud, run_id, name)
    return records.details(cloud, row, log_urls(cloud, row))


@router.get("/experiments/{experiment}/runs/{run_id}/children")
@router.get("/experimentids/{experiment}/runs/{run_id}/children")
def get_children(
    cloud: Cloud,
    name: Named,
    run_id: str,
    filter: Annotated[str | None, Query(alias="$filter")] = None,
    orderby: Annotated[str | None, Query(alias="$orderby")] = None,
    top: Annotated[str | None, Query(alias="$top")] = None,
    token: Annotated[str | None, Query(alias="$continuationToken")] = None,
) -> Json:
    """The parts of a run."""
    found = records.children(cloud, records.find(cloud, run_id, name))
    return select(found, filter, orderby, top, token)


@router.post("/experiments/{experiment}/runs:query")
@router.post("/experimentids/{experiment}/runs:query")
def list_runs(cloud: Cloud, name: Named, body: Annotated[Json | None, Body()] = None) -> Json:
    """The runs of an experiment, with their parts, that pass a filter."""
    wanted = body or {}
    found = records.runs_of(cloud, name)
    return select(
        found, wanted.get("filter"), wanted.get("orderby"), wanted.get("top"), wanted.get("continuationToken")
    )


@router.get("/computes/{compute}/runs")
def list_runs_by_compute(
    cloud: Cloud,
    compute: str,
    filter: Annotated[str | None, Query(alias="$filter")] = None,
    orderby: Annotated[str | None, Query(alias="$orderby")] = None,
    top: Annotated[str | None, Query(alias="$top")] = None,
    token: Annotated[str | None, Query(alias="$continuationToken")] = None,
) -> Json:
    """The runs on a compute target."""
    found = [run for run in records.runs_of(cloud) if run["target"] == compute]
    return select(found, filter, orderby, top, token)


@router.post("/experiments/{experiment}/runs/{run_id}/events")
@router.post("/experimentids/{experiment}/runs/{run_id}/events")
def post_event(cloud: Cloud, name: Named, run_id: str, body: Json) -> None:
    """Cancel a run; no other event comes from outside, since the emulated cloud runs its runs itself."""
    row = records.find(cloud, run_id, name)
    if str(body.get("name", "")).rpartition(".")[2] not in ("Canceled", "CancelRequested"):
        raise CloudError(
            501,
            "NotEmulated",
            f"The emulator takes no event {body.get('name')!r} of a run: its runs report themselves.",
        )
    cancel(cloud, row)


@router.get("/experiments/{experiment}/runs/{run_id}/metricsingest/wait")
def wait_on_ingest(name: Named, run_id: str) -> None:
    """Metrics are there as soon as they are written."""


def cancel(cloud: State, row: sa.RowMapping) -> None:
    """End the pipeline that a run is, or is a part of.

    Raises
    ------
    CloudError
        400: a child run ends only with its parent.
    """
    if row["kind"] == "child":
        raise CloudError(
            400, "UserError", f"Run {row['id']} cannot be cancelled by itself: cancel its parent, {row['parent_id']}."
        )
    run = records.pipeline_of(cloud, row)
    assert isinstance(run, PipelinePart)  # noqa: S101 - of all runs, only children are none
    run.cancel()


def _row(cloud: State, experiment: str) -> sa.RowMapping | None:
    for row in cloud.workspace.store.all(sa.select(experiments)):
        if experiment in (row["name"], records.experiment_id(row["name"])):
            return row
    return None


def _document(cloud: State, name: str) -> Json:
    row = cloud.workspace.store.one(sa.select(experiments).where(experiments.c.name == name))
    assert row is not None  # noqa: S101 - callers have looked it up
    return _described(cloud, row)


def _described(cloud: State, row: sa.RowMapping) -> Json:
    known = cloud.documents.get(EXPERIMENT, row["name"]) or {}
    return {
        "experimentId": records.experiment_id(row["name"]),
        "name": row["name"],
        "description": known.get("description"),
        "createdUtc": records.utc(row["created"]),
        "archivedTime": records.utc(known.get("archived")),
        "tags": row["tags"],
    }
