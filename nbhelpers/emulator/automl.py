"""The service of automated ML: checks of settings, and searches outside of a pipeline."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from nbhelpers.emulator import records
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.history import Cloud, Named, cancel
from nbhelpers.emulator.searches import check_sent_settings, problems_of_inputs, search_step
from nbhelpers.errors import ConfigException
from nbhelpers.local.config import DATA, TABLES, VALIDATION, lines_of
from nbhelpers.local.experiment import Experiment
from nbhelpers.local.pipeline import submit_definition

router = APIRouter()

Json = dict[str, Any]


@router.post("/experimentids/{experiment}/validation")
def validate(body: Json) -> Json:
    """What is wrong with settings, before anything is submitted; the experiment may be only a placeholder."""
    problems: list[str] = []
    try:
        # Here the SDK calls by the name of the target what it calls dataPrepJsonString when it starts the run.
        check_sent_settings(_settings(body), validation_data=VALIDATION in str(body.get("target")))
    except ConfigException as error:
        problems = lines_of(error)
    details = [{"code": "UserError", "message": problem, "details": []} for problem in problems]
    return {"error": {"code": "UserError", "message": "Settings that cannot be used", "details": details}}


@router.post("/experimentids/{experiment}/run")
def create_run(cloud: Cloud, name: Named, body: Json) -> str:
    """Start a search, and give the id of its run: that of a step, in a pipeline that the history does not show."""
    sent, step_id = _settings(body), records.AUTOML + str(uuid.uuid4())
    data = _data(body)
    saved_ids = {name: saved_id for name, saved_id in data.items() if name in TABLES}
    step = search_step(cloud, "AutoML", sent, saved_ids, allow_reuse=False, problems=problems_of_inputs(data))
    step["version"] = step_id  # of its own, so that no step reuses it either
    changes = records.changes_of(cloud, step_id)
    changes["tags"] |= body.get("tags") or {}
    changes["properties"] |= (body.get("properties") or {}) | {"AMLSettingsJsonString": body["amlSettingsJsonString"]}
    cloud.documents.put(records.CHANGES, step_id, changes)
    submit_definition(
        Experiment(cloud.workspace, name),
        {"description": None, "continue_on_step_failure": False, "steps": [step]},
        properties={records.HIDDEN: "true"},
        step_id=step_id,
    )
    return step_id


@router.post("/experimentids/{experiment}/runs/{run_id}/submitSnapshotRun")
def start_run(cloud: Cloud, name: Named, run_id: str) -> Json:
    """Say that a search is at work: it is from the moment it was created."""
    return {"runId": records.find(cloud, run_id, name)["id"]}


@router.post("/experimentids/{experiment}/cancelrun/{run_id}")
def cancel_run(cloud: Cloud, name: Named, run_id: str) -> None:
    """End a search."""
    cancel(cloud, records.find(cloud, run_id, name))


@router.post("/experimentids/{experiment}/runs/{run_id}/changerunstatus/{status}")
def give_up(cloud: Cloud, name: Named, run_id: str, status: str) -> None:
    """End a search whose client has failed while it started it."""
    if status.lower() not in ("failed", "canceled"):
        raise CloudError(501, "NotEmulated", f"The emulator does not set runs to {status!r}: they report themselves.")
    cancel(cloud, records.find(cloud, run_id, name))


def _settings(body: Mapping[str, Any]) -> Json:
    try:
        settings: Json = json.loads(body["amlSettingsJsonString"])
    except (KeyError, TypeError, ValueError):
        raise CloudError(400, "UserError", "The request has no amlSettingsJsonString with settings in JSON.") from None
    return settings


def _data(body: Mapping[str, Any]) -> dict[str, str]:
    """The ids of the data sets by the names of the arguments, with at least the training data."""
    try:
        # The SDK writes the quotes of this text with a backslash.
        sent = json.loads(body["dataPrepJsonString"].replace('\\"', '"').replace("\\\\", "\\"))
        ids = {name: str(sent[name]["datasetId"]) for name in sent if name.endswith("_data")}
        return {DATA: ids[DATA]} | ids
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CloudError(
            400, "UserError", "The request has no dataPrepJsonString with training_data, a data set, in JSON."
        ) from None
