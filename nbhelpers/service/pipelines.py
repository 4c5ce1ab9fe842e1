"""Published pipelines and their runs, with the URLs, bodies and answers of Azure ML's pipeline service."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nbhelpers.errors import NotFoundError, UserErrorException
from nbhelpers.local.processes import RUNNING, settle_all
from nbhelpers.local.published import PublishedPipeline
from nbhelpers.local.runs import PIPELINE_ID, PipelineRun, Run
from nbhelpers.local.store import Store, runs
from nbhelpers.local.workspace import Workspace
from nbhelpers.service.errors import RESPONSES, invalid
from nbhelpers.service.limits import read_json, too_many
from nbhelpers.service.security import authorised

#: The numbers under which Azure's service names the states of a pipeline run.
STATUS_CODES = {"NotStarted": "0", "Running": "1", "Failed": "2", "Finished": "3", "Canceled": "4"}
#: Seconds after which a client should try again when too many runs have not ended.
QUEUE_WAIT = 30

router = APIRouter(tags=["Pipelines"], responses=RESPONSES)

#: Runs are counted and made by one request at a time, so that there are never more than the limit allows.
_submitting = threading.Lock()

Text = Annotated[str, Field(max_length=5000)]
Short = Annotated[str, Field(max_length=255)]


class _SavedReference(BaseModel):
    Id: Short


class _Reference(BaseModel):
    Id: Short | None = None
    Name: Short | None = None
    Version: Short | int | None = None


class DataSetDefinitionValue(BaseModel):
    """Another data set for a pipeline parameter: one of the two."""

    SavedDataSetReference: _SavedReference | None = None
    DataSetReference: _Reference | None = None


class Submission(BaseModel):
    """What is run, and under which names. Other fields are ignored, as Azure does."""

    model_config = ConfigDict(strict=True, json_schema_extra={"examples": [{"ExperimentName": "bank-rest"}]})

    ExperimentName: Annotated[str, Field(min_length=1, max_length=255)]
    DisplayName: Short | None = None
    Description: Text | None = None
    ParameterAssignments: dict[Short, Text | bool | int | float] | None = None
    DataSetDefinitionValueAssignments: dict[Short, DataSetDefinitionValue] | None = None
    DataPathAssignments: dict[Short, Any] | None = None
    Tags: dict[Short, Text] | None = None
    Properties: dict[Short, Text] | None = None
    RunSource: Short | None = None
    RunType: Literal["HTTP", "SDK", "Schedule", "Portal"] | None = None
    ContinueRunOnStepFailure: bool | None = None


class _RunStatus(BaseModel):
    StatusCode: str
    StatusDetail: str | None
    CreationTime: str
    EndTime: str | None


class PipelineRunEntity(BaseModel):
    """A pipeline run, as Azure's service describes it."""

    Id: str
    DisplayName: str
    Description: str | None
    Status: _RunStatus
    GraphId: str | None
    IsSubmitted: bool
    HasErrors: bool
    HasWarnings: bool
    UploadState: str | None
    ParameterAssignments: dict[str, str]
    DataPathAssignments: dict[str, Any]
    RunHistoryExperimentName: str
    PipelineId: str | None
    RunSource: str | None
    RunType: str
    TotalRunSteps: int
    ScheduleId: str | None
    Tags: dict[str, str]
    StepTags: dict[str, str]
    Properties: dict[str, str]
    EntityStatus: str
    Etag: str | None
    CreatedDate: str
    LastModifiedDate: str


class StepRunEntity(BaseModel):
    """The run of a step."""

    Id: str
    Name: str
    Status: str
    StartTime: str | None
    EndTime: str | None
    Reuse: str


class PipelineEntity(BaseModel):
    """A published pipeline."""

    Id: str
    Name: str
    Description: str | None
    Version: str | None
    EntityStatus: str
    Url: str
    CreatedDate: str
    ContinueRunOnStepFailure: bool
    TotalRunSteps: int
    ParameterAssignments: dict[str, str]


async def _submission(request: Request) -> Submission:
    """The body of a submission, read after the token was checked."""
    content = await read_json(request, request.app.state.limits.body_bytes)
    try:
        return Submission.model_validate(content)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from None


_SCHEMAS = "#/components/schemas/"
BODY = {"required": True, "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}Submission"}}}}


def body_schemas() -> dict[str, Any]:
    """The schemas that `BODY` refers to, for the OpenAPI document of an application with this router."""
    schema = Submission.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    return {**schema.pop("$defs"), "Submission": schema}


@router.post(
    "/PipelineRuns/PipelineSubmit/{pipeline_id}",
    dependencies=[Depends(authorised("submit"))],
    openapi_extra={"requestBody": BODY},
)
def submit(request: Request, pipeline_id: UUID, body: Annotated[Submission, Depends(_submission)]) -> PipelineRunEntity:
    """Start a published pipeline.

    An experiment that does not exist is created. Where settings, data and engine are those of an earlier run, the new
    one takes over its results and has finished when it is answered; see its step runs for the reason.
    """
    workspace: Workspace = request.app.state.workspace
    pipeline = PublishedPipeline.get(workspace, str(pipeline_id))
    if body.DataPathAssignments:
        raise UserErrorException("A local pipeline has no data paths.", "leave DataPathAssignments out")
    data = body.DataSetDefinitionValueAssignments or {}
    values = {name: value.model_dump(exclude_none=True) for name, value in data.items()}
    origin = {"runType": body.RunType or "HTTP", "runSource": body.RunSource or "HTTP"}
    with _submitting:
        check_queue(workspace.store, request.app.state.limits.unfinished_runs)
        run = pipeline.start(
            body.ExperimentName,
            (body.ParameterAssignments or {}) | values,
            continue_on_step_failure=body.ContinueRunOnStepFailure,
            tags=body.Tags,
            properties=(body.Properties or {}) | origin,
            description=body.Description,
            display_name=body.DisplayName,
        )
    return run_entity(run)


@router.get("/PipelineRuns/{run_id}", dependencies=[Depends(authorised("read"))])
def get_run(request: Request, run_id: UUID) -> PipelineRunEntity:
    """Get a pipeline run with its state."""
    return run_entity(_find_run(request, run_id))


@router.get("/PipelineRuns/{run_id}/StepRuns", dependencies=[Depends(authorised("read"))])
def get_step_runs(request: Request, run_id: UUID) -> list[StepRunEntity]:
    """List the steps of a pipeline run, each with its state and why it took over an earlier result, or did not."""
    steps = [(step, step.get_details()) for step in _find_run(request, run_id).get_steps()]
    return [
        StepRunEntity(
            Id=step.id,
            Name=step.name,
            Status=step.get_status(),
            StartTime=details["startTimeUtc"],
            EndTime=details["endTimeUtc"],
            Reuse=details["properties"]["nbhelpers.reuse"],
        )
        for step, details in steps
    ]


@router.post("/PipelineRuns/{run_id}/Cancel", dependencies=[Depends(authorised("submit"))])
def cancel(request: Request, run_id: UUID) -> PipelineRunEntity:
    """Ask a pipeline run to stop; it ends within two seconds. Nothing happens to one that has ended."""
    run = _find_run(request, run_id)
    run.cancel()
    return run_entity(run)


@router.get("/Pipelines", dependencies=[Depends(authorised("read"))])
def list_pipelines(request: Request, activeOnly: bool = True) -> list[PipelineEntity]:
    """List the published pipelines, newest first."""
    found = PublishedPipeline.list(request.app.state.workspace, active_only=activeOnly)
    return [pipeline_entity(pipeline) for pipeline in found]


@router.get("/Pipelines/{pipeline_id}", dependencies=[Depends(authorised("read"))])
def get_pipeline(request: Request, pipeline_id: UUID) -> PipelineEntity:
    """Get a published pipeline."""
    return pipeline_entity(PublishedPipeline.get(request.app.state.workspace, str(pipeline_id)))


@router.post("/Pipelines/{pipeline_id}/Enable", dependencies=[Depends(authorised("submit"))])
def enable(request: Request, pipeline_id: UUID) -> PipelineEntity:
    """Let a published pipeline be started again."""
    pipeline = PublishedPipeline.get(request.app.state.workspace, str(pipeline_id))
    pipeline.enable()
    return pipeline_entity(pipeline)


@router.post("/Pipelines/{pipeline_id}/Disable", dependencies=[Depends(authorised("submit"))])
def disable(request: Request, pipeline_id: UUID) -> PipelineEntity:
    """Let a published pipeline be started no more."""
    pipeline = PublishedPipeline.get(request.app.state.workspace, str(pipeline_id))
    pipeline.disable()
    return pipeline_entity(pipeline)


def check_queue(store: Store, most: int) -> None:
    """Raise the problem 429 if that many runs of a workspace have not ended."""
    unfinished = sa.select(sa.func.count()).where(runs.c.kind == "pipeline", runs.c.status.in_(RUNNING))
    for look in range(2):
        row = store.one(unfinished)
        if row is None or row["count_1"] < most:
            return
        if look == 0:  # perhaps some have ended without a word
            settle_all(store)
    raise too_many(f"{most} runs of the workspace have not ended; that is as many as there may be.", QUEUE_WAIT)


def _find_run(request: Request, run_id: UUID) -> PipelineRun:
    run = Run.get(request.app.state.workspace, str(run_id))
    if not isinstance(run, PipelineRun):
        raise NotFoundError(f"Run {run_id} is no pipeline run.", "give the Id that the submission was answered with")
    return run


def run_entity(run: PipelineRun) -> PipelineRunEntity:
    """What the service answers about a pipeline run."""
    status, row = run.get_status(), run._row()
    properties, definition = row["properties"], row["definition"]
    return PipelineRunEntity(
        Id=run.id,
        DisplayName=run.name,
        Description=definition["description"],
        Status=_RunStatus(
            StatusCode=STATUS_CODES[status],
            StatusDetail=row["error"] and row["error"]["message"],
            CreationTime=row["created"],
            EndTime=row["ended"],
        ),
        GraphId=None,
        IsSubmitted=True,
        HasErrors=status == "Failed",
        HasWarnings=False,
        UploadState=None,
        ParameterAssignments=_values(definition.get("parameters", {})),
        DataPathAssignments={},
        RunHistoryExperimentName=run.experiment.name,
        PipelineId=properties.get(PIPELINE_ID),
        RunSource=properties.get("runSource", "SDK"),
        RunType=properties.get("runType", "SDK"),
        TotalRunSteps=len(definition["steps"]),
        ScheduleId=None,
        Tags=row["tags"],
        StepTags={},
        Properties=properties,
        EntityStatus="Active",
        Etag=None,
        CreatedDate=row["created"],
        LastModifiedDate=row["ended"] or row["started"] or row["created"],
    )


def pipeline_entity(pipeline: PublishedPipeline) -> PipelineEntity:
    """What the service answers about a published pipeline."""
    return PipelineEntity(
        Id=pipeline.id,
        Name=pipeline.name,
        Description=pipeline.description,
        Version=pipeline.version,
        EntityStatus=pipeline.status,
        Url=pipeline.endpoint,
        CreatedDate=pipeline.created,
        ContinueRunOnStepFailure=pipeline.continue_on_step_failure,
        TotalRunSteps=pipeline.total_run_steps,
        ParameterAssignments=_values(pipeline.parameters),
    )


def _values(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The value of each pipeline parameter, as the text that a request may send."""
    values = {name: parameter["default"] for name, parameter in parameters.items()}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
