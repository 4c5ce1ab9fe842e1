"""The runs of the local workspace as the run history service tells of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import CLIENT, TENANT, WORKSPACE_ID
from nbhelpers.emulator.state import State
from nbhelpers.local.config import TABLES, table_of
from nbhelpers.local.processes import RUNNING, settle
from nbhelpers.local.runs import Run
from nbhelpers.local.store import runs
from nbhelpers.metrics import greater_is_better

#: How the id of a step begins that stands for an AutoML run outside of a pipeline.
AUTOML = "AutoML_"
#: The property of the pipeline that is around such a step, and that the history does not show.
HIDDEN = "nbhelpers.hidden"
#: The kind of the documents with what a client has changed of a run, such as its tags.
CHANGES = "changes of a run"
STATUSES = {"Finished": "Completed"}
#: The file of a child that holds its model.
MODEL = "outputs/model.pkl"
_TYPES = {"pipeline": "azureml.PipelineRun", "step": "azureml.StepRun", "child": "azureml.scriptrun"}
#: The settings that the SDK knows by the same names, and does not refuse for their values.
_SAME_SETTINGS = (
    "primary_metric",
    "iterations",
    "n_cross_validations",
    "max_concurrent_iterations",
    "enable_early_stopping",
    "featurization",
    "enable_voting_ensemble",
)


def experiment_id(name: str) -> str:
    """The id of an experiment, which in the local workspace has only a name."""
    return str(uuid.uuid5(uuid.UUID(WORKSPACE_ID), name))


def find(cloud: State, run_id: str, experiment: str | None = None) -> sa.RowMapping:
    """The row of a run.

    Parameters
    ----------
    cloud : State
    run_id : str
    experiment : str, optional
        The name of the experiment that the run has to be in, or one of whose steps reuses it.

    Raises
    ------
    CloudError
        404: there is no such run.
    """
    store = cloud.workspace.store
    row = store.one(_rows().where(runs.c.id == run_id))
    if row is None or HIDDEN in row["properties"]:
        # The SDK looks for the word ResourceNotFoundException.
        raise CloudError(404, "ResourceNotFound", f"ResourceNotFoundException: there is no run {run_id[:100]!r}.")
    if experiment not in (None, row["experiment"]) and not _is_reused_in(cloud, str(experiment), row):
        raise CloudError(
            404,
            "ResourceNotFound",
            f"ResourceNotFoundException: experiment {experiment!r} has no run {run_id!r}, which is in "
            f"{row['experiment']!r}.",
        )
    if row["status"] in RUNNING:
        settle(store, _pipeline_id(cloud, row))
        row = store.one(_rows().where(runs.c.id == run_id)) or row
    return row


def runs_of(cloud: State, experiment: str | None = None) -> list[dict[str, Any]]:
    """The documents of all runs, or those of one experiment, the newest first."""
    chosen = _rows().order_by(runs.c.created.desc(), runs.c.number.desc())
    if experiment is not None:
        chosen = chosen.where(runs.c.experiment == experiment)
    found = []
    for row in cloud.workspace.store.all(chosen):
        if HIDDEN not in row["properties"]:
            found.append(document(cloud, row))
            if "azureml.reusedrunid" in row["properties"]:
                found += children(cloud, row)
    return found


def children(cloud: State, row: sa.RowMapping) -> list[dict[str, Any]]:
    """The documents of the parts of a run; a step that reuses another one has the children of that one."""
    mine = _rows().where(runs.c.parent_id == original(row)).order_by(runs.c.created.desc(), runs.c.number.desc())
    found = [document(cloud, child) for child in cloud.workspace.store.all(mine)]
    if "azureml.reusedrunid" in row["properties"]:
        found = [child | {"parentRunId": row["id"], "rootRunId": row["parent_id"]} for child in found]
    return found


def document(cloud: State, row: sa.RowMapping) -> dict[str, Any]:
    """A run as a ``RunDto``."""
    changes = changes_of(cloud, row["id"])
    parent_id, root_id = _ancestors(cloud, row)
    properties = row["properties"] | _more_properties(row) | changes["properties"]
    tags = row["tags"] | changes["tags"]
    if row["kind"] == "step" and parent_id is not None:
        tags |= {"azureml.nodeid": row["properties"].get("azureml.nodeid"), "azureml.pipeline": parent_id}
    return {
        "runNumber": row["row_number"],
        "rootRunId": root_id,
        "experimentId": experiment_id(row["experiment"]),
        "createdUtc": utc(row["created"]),
        "userId": CLIENT,
        "runId": row["id"],
        "parentRunId": parent_id,
        "status": STATUSES.get(row["status"], row["status"]),
        "startTimeUtc": utc(row["started"]),
        "endTimeUtc": utc(row["ended"]),
        "heartbeatEnabled": False,
        "name": row["name"],
        "displayName": changes["displayName"] or row["name"],
        "description": changes["description"],
        "dataContainerId": f"dcid.{original(row)}",
        "hidden": False,
        "runType": run_type(row),
        "runTypeV2": {"orchestrator": "AutoML" if row["kind"] == "child" else "PipelineRun", "traits": []},
        "runUuid": str(uuid.uuid5(uuid.UUID(WORKSPACE_ID), row["id"])),
        "properties": {name: value for name, value in properties.items() if value is not None},
        "tags": {name: value for name, value in tags.items() if value is not None},
        "target": _settings(cloud, row).get("compute_target"),
        "createdBy": {"userObjectId": CLIENT, "userTenantId": TENANT, "userName": "nbhelpers"},
        "error": error_of(row),
        "warnings": [],
    }


def details(cloud: State, row: sa.RowMapping, logs: Mapping[str, str]) -> dict[str, Any]:
    """A run as a ``RunDetailsDto``.

    Parameters
    ----------
    cloud : State
    row : RowMapping
    logs : mapping of str to str
        The URLs of its logs by their names.
    """
    facts = document(cloud, row)
    same = {name: facts[name] for name in ("runId", "target", "status", "startTimeUtc", "endTimeUtc", "properties")}
    return {
        **same,
        "services": {},
        "error": facts["error"],
        "warnings": Run.get(cloud.workspace, row["id"]).get_details()["warnings"],
        "inputDatasets": _input_datasets(row),
        "outputDatasets": [],
        "runDefinition": None,
        "logFiles": dict(logs),
    }


def _input_datasets(row: sa.RowMapping) -> list[dict[str, Any]]:
    """The data of a step; the local backend's data sets are none of the emulated service."""
    tables = {name: table_of(row["definition"], name) for name in TABLES} if row["kind"] == "step" else {}
    return [
        {
            "identifier": {"savedId": table["saved_data"]},
            "consumptionType": "RunInput",
            "inputDetails": {"inputName": name, "mechanism": "Direct"},
        }
        for name, table in tables.items()
        if "saved_data" in table
    ]


def run_type(row: sa.RowMapping) -> str:
    """The type of a run, by which the SDK chooses the class that stands for it."""
    return "automl" if row["kind"] == "step" and row["id"].startswith(AUTOML) else _TYPES[row["kind"]]


def original(row: sa.RowMapping) -> str:
    """The id of the run that made the outputs of a run: itself, unless it reuses another."""
    return str(row["properties"].get("azureml.reusedrunid", row["id"]))


def error_of(row: sa.RowMapping) -> dict[str, Any] | None:
    """The error of a run as an ``ErrorResponse``."""
    if not row["error"]:
        return None
    remedy = row["error"].get("remedy", "")
    # A message may begin with the name of a setting, which stays as it is.
    message = f"{row['error']['message']} {remedy[:1].upper()}{remedy[1:]}".strip()
    # The SDK fails on an error whose `details` is no list.
    return {"error": {"code": row["error"]["code"], "message": message, "details": []}}


def changes_of(cloud: State, run_id: str) -> dict[str, Any]:
    """What clients have changed of a run: tags and properties (None where one was removed), name and description."""
    return {"tags": {}, "properties": {}, "displayName": None, "description": None} | (
        cloud.documents.get(CHANGES, run_id) or {}
    )


def utc(time: str | None) -> str | None:
    """A time of the store as the service writes it."""
    return time and time.replace("+00:00", "Z")


def pipeline_of(cloud: State, row: sa.RowMapping) -> Run:
    """The local pipeline run that a run is, or is a part of."""
    return Run.get(cloud.workspace, _pipeline_id(cloud, row))


def _rows() -> sa.Select[Any]:
    return sa.select(runs, sa.literal_column("runs.rowid").label("row_number"))


def _is_reused_in(cloud: State, experiment: str, row: sa.RowMapping) -> bool:
    """Whether a step of an experiment reuses a run, or the one that it is a child of."""
    reused = runs.c.properties["azureml.reusedrunid"].as_string().in_((row["id"], row["parent_id"]))
    return cloud.workspace.store.one(sa.select(runs.c.id).where(runs.c.experiment == experiment, reused)) is not None


def _parent(cloud: State, row: sa.RowMapping) -> sa.RowMapping | None:
    return cloud.workspace.store.one(_rows().where(runs.c.id == row["parent_id"]))


def _pipeline_id(cloud: State, row: sa.RowMapping) -> str:
    while row["parent_id"] is not None:
        parent = _parent(cloud, row)
        if parent is None:
            break
        row = parent
    return str(row["id"])


def _ancestors(cloud: State, row: sa.RowMapping) -> tuple[str | None, str]:
    """The ids of the parent and of the root of a run; an AutoML run outside of a pipeline has no parent."""
    if row["kind"] == "pipeline" or run_type(row) == "automl":
        return None, row["id"]
    if row["parent_id"].startswith(AUTOML):
        return row["parent_id"], row["parent_id"]
    return row["parent_id"], _pipeline_id(cloud, row)


def _settings(cloud: State, row: sa.RowMapping) -> Mapping[str, Any]:
    """The definition of the step that a run is or belongs to; empty for a pipeline."""
    if row["kind"] == "child":
        row = _parent(cloud, row) or row
    return row["definition"] if row["kind"] == "step" else {}


def _more_properties(row: sa.RowMapping) -> dict[str, str]:
    """The properties that the SDK reads, and that the local run has in another form or not at all."""
    if row["kind"] == "pipeline":
        return {}
    # A stored model keeps by itself what it needs; here are the SDK's own packages, of which it needs none.
    more = {"dependencies_versions": "{}"}
    if row["kind"] == "child":
        has_model = row["status"] == "Completed"
        return more | {"training_percent": "100"} | ({"model_output_path": MODEL} if has_model else {})
    more |= {"azureml.runsource": run_type(row), "runTemplate": "AutoML"}
    if "settings" not in row["definition"]:  # the search could not even be started
        return more
    task, compute_target = row["properties"]["task"], row["definition"]["compute_target"]
    settings = {name: row["definition"]["settings"][name] for name in _SAME_SETTINGS} | {
        "name": row["experiment"],
        "path": None,
        "task_type": task,
        "metric_operation": "maximize" if greater_is_better(row["properties"]["primary_metric"]) else "minimize",
        "compute_target": compute_target,
        "label_column_name": row["definition"]["label_column_name"],
    }
    more |= {
        "display_task_type": task,
        "target": compute_target,
        "AMLSettingsJsonString": json.dumps(settings),
    }
    if row["status"] not in ("NotStarted", "Queued"):
        more["ProblemInfoJsonString"] = json.dumps({"subsampling": False})  # the sign that preparations are over
    return more
