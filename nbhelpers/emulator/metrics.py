"""Metrics of runs: numbers, and references to tables among a run's files."""

from __future__ import annotations

import math
import re
import uuid
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Body, Request

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import WORKSPACE_ID
from nbhelpers.emulator.records import find, original, utc
from nbhelpers.emulator.state import State
from nbhelpers.local.processes import log_file
from nbhelpers.local.store import runs

#: The second version of the service, and the query of the first, which widgets ask and which is a part of run history.
router, history_router = APIRouter(), APIRouter()

#: The names of metrics that hold, one after the other, the phases of an AutoML run.
PHASES = ("experiment_status", "experiment_status_description")
#: The kinds of tables by the names of metrics.
_TABLES = {
    "confusion_matrix": "azureml.v2.confusion_matrix",
    "accuracy_table": "azureml.v2.accuracy_table",
    "residuals": "azureml.v2.residuals",
    "predicted_true": "azureml.v2.predictions",
}
_SCALAR = "azureml.v1.scalar"
_PHASE = re.compile(r"^\S+ \S+ Current status: (\w+)\. ?(.*)$", re.MULTILINE)

Json = dict[str, Any]


@router.post("/runs/{run_id}/list")
def list_names(request: Request, run_id: str) -> Json:
    """The names of a run's metrics."""
    cloud: State = request.app.state.cloud
    metrics = metrics_of(cloud, find(cloud, run_id))
    found = [{"metricKey": {"name": name}, "columns": {name: _type(values)}} for name, values in metrics.items()]
    return {"value": found, "continuationToken": None}


@router.post("/runs/{run_id}/full")
def get_metric(request: Request, run_id: str, body: Json) -> Json:
    """All values of a metric."""
    cloud: State = request.app.state.cloud
    row, name = find(cloud, run_id), str(body.get("metricName"))
    values = metrics_of(cloud, row).get(name)
    if values is None:
        raise CloudError(404, "ResourceNotFound", f"Run {run_id} has no metric {name!r}.")
    return {
        "dataContainerId": f"dcid.{original(row)}",
        "name": name,
        "columns": {name: _type(values)},
        "value": [
            {"metricId": _id(run_id, name), "createdUtc": _time(row), "step": step, "data": {name: value}}
            for step, value in enumerate(values)
        ],
        "continuationToken": None,
        "properties": {"uxMetricType": _kind(name, values)},
    }


@history_router.post("/experiments/{experiment}/metrics:query")
def query(request: Request, body: Annotated[Json | None, Body()] = None) -> Json:
    """The metrics of several runs."""
    cloud: State = request.app.state.cloud
    # The SDK joins its comparisons without brackets, so that they have to be read one by one.
    asked = re.findall(r"(\w+) (?:eq|gt) ([^\s()]+)", str((body or {}).get("filter") or ""))
    ids, kinds, names, times = (
        [value for name, value in asked if name.lower() == wanted]
        for wanted in ("runid", "metrictype", "name", "createdutc")
    )
    found = []
    for row in (find(cloud, run_id) for run_id in ids):
        for name, values in metrics_of(cloud, row).items():
            kind = _kind(name, values)
            wanted = kind in (kinds or [kind]) and name in (names or [name])
            if wanted and all(_time(row) > time for time in times):
                found.append(_run_metric(row, name, values, kind))
    return {"value": found, "continuationToken": None}


def metrics_of(cloud: State, row: sa.RowMapping) -> dict[str, list[Any]]:
    """The values of a run's metrics; an AutoML run has those of its best child, and its phases.

    Parameters
    ----------
    cloud : State
    row : RowMapping
        The row of the run.
    """
    metrics = row["metrics"]
    phases: dict[str, list[Any]] = {}
    if row["kind"] == "step":
        store = cloud.workspace.store
        best = store.one(sa.select(runs.c.metrics).where(runs.c.id == row["tags"].get("automl_best_child_run_id")))
        metrics = best["metrics"] if best is not None else {}
        log = log_file(store, original(row))
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        phases = dict(zip(PHASES, map(list, zip(*_PHASE.findall(text), strict=True)), strict=False))
    # JSON has no numbers that are not finite: the service writes them as texts, too.
    plain = {name: [value if not _is_odd(value) else str(value)] for name, value in metrics.items()}
    return plain | phases


def _run_metric(row: sa.RowMapping, name: str, values: list[Any], kind: str) -> Json:
    table = kind in _TABLES.values()
    return {
        "runId": row["id"],
        "metricId": _id(row["id"], name),
        "metricType": kind,
        "createdUtc": _time(row),
        "name": name,
        "description": "",
        "label": None,
        "numCells": len(values),
        "dataLocation": values[0] if table else None,
        "cells": [{name: None if table else value} for value in values],
        "schema": {
            "numProperties": 1,
            "properties": [{"propertyId": name, "name": name, "type": "none" if table else _type(values)}],
        },
    }


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _type(values: list[Any]) -> str:
    if str(values[0]).startswith("aml://"):
        return "Artifact"
    return "double" if isinstance(values[0], float) or values[0] in ("nan", "inf", "-inf") else "string"


def _kind(name: str, values: list[Any]) -> str:
    return _TABLES.get(name, _SCALAR) if _type(values) == "Artifact" else _SCALAR


def _id(run_id: str, name: str) -> str:
    return str(uuid.uuid5(uuid.UUID(WORKSPACE_ID), f"{run_id}/{name}"))


def _time(row: sa.RowMapping) -> str:
    return utc(row["ended"] or row["created"]) or ""
