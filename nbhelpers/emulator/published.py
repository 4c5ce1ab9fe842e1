"""The part of the pipeline service about published pipelines, which are those of the local workspace."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.graphs import check_names, definition_of, keep_graph, kept_graph, read_graph
from nbhelpers.emulator.names import API, SCOPE
from nbhelpers.emulator.state import State
from nbhelpers.emulator.submissions import RunInfo, keep_run, run_document, start_run
from nbhelpers.local.published import PublishedPipeline, publish
from nbhelpers.service.pipelines import pipeline_entity

router = APIRouter()


class NewPipeline(BaseModel):
    """A graph to be published."""

    Name: str | None = None
    Description: str | None = None
    Version: str | None = None
    Graph: dict[str, Any] = {}
    GraphInterface: dict[str, Any] | None = None
    DataSetDefinitionValueAssignments: dict[str, dict[str, Any]] | None = None
    ContinueRunOnStepFailure: bool | None = None


@router.get("/Pipelines")
def list_pipelines(request: Request, activeOnly: bool = True) -> list[dict[str, Any]]:
    """List the published pipelines, newest first."""
    cloud: State = request.app.state.cloud
    return [_document(cloud, found) for found in PublishedPipeline.list(cloud.workspace, active_only=activeOnly)]


@router.post("/Pipelines/Create")
def create_pipeline(request: Request, body: NewPipeline) -> dict[str, Any]:
    """Publish a graph; 400 for one that cannot be run."""
    cloud: State = request.app.state.cloud
    data = body.DataSetDefinitionValueAssignments or {}
    check_names(body.GraphInterface, data)
    definition = definition_of(cloud, read_graph(cloud, body.Graph), data)
    pipeline = publish(
        cloud.workspace,
        {"description": body.Description, "continue_on_step_failure": False, **definition},
        body.Name,
        body.Description,
        body.Version,
        body.ContinueRunOnStepFailure,
    )
    kept = {"graph": keep_graph(cloud, body.Graph, body.GraphInterface), "data": data}
    cloud.documents.put("published pipeline", pipeline.id, kept)
    return _document(cloud, pipeline)


@router.get("/Pipelines/{pipeline_id}")
def get_pipeline(request: Request, pipeline_id: str) -> dict[str, Any]:
    """Get a published pipeline."""
    cloud: State = request.app.state.cloud
    return _document(cloud, PublishedPipeline.get(cloud.workspace, pipeline_id))


@router.put("/Pipelines/{pipeline_id}/status")
def set_status(request: Request, pipeline_id: str, status: Annotated[str, Body()]) -> None:
    """Let a published pipeline be started no more ("Disabled"), or again ("Active")."""
    pipeline = PublishedPipeline.get(request.app.state.cloud.workspace, pipeline_id)
    change = {"Active": pipeline.enable, "Disabled": pipeline.disable}.get(status)
    if change is None:
        raise CloudError(400, "BadRequest", f"{status[:100]!r} is no status here: give 'Active' or 'Disabled'.")
    change()


@router.post("/PipelineRuns/PipelineSubmit/{pipeline_id}")
def submit_pipeline(
    request: Request, pipeline_id: str, info: RunInfo, parentRunId: str | None = None
) -> dict[str, Any]:
    """Start a published pipeline, as the SDK does, and programs over REST."""
    cloud: State = request.app.state.cloud
    pipeline = PublishedPipeline.get(cloud.workspace, pipeline_id)
    pipeline.check_active()
    if not info.ExperimentName:
        raise CloudError(400, "BadRequest", "The body has no ExperimentName.")
    kept = cloud.documents.get("published pipeline", pipeline_id)
    if kept is None:  # the local backend has published it
        run = pipeline.start(
            info.ExperimentName,
            info.assignments,
            continue_on_step_failure=info.ContinueRunOnStepFailure,
            tags=info.Tags,
            properties={name: text for name, text in info.own_properties.items() if not name.startswith("azureml.")},
            description=info.Description,
            display_name=info.DisplayName,
        )
        return run_document(cloud, run.id)
    check_names(kept_graph(cloud, kept["graph"])["interface"], info.assignments)
    info.DataSetDefinitionValueAssignments = kept["data"] | (info.DataSetDefinitionValueAssignments or {})
    run_id = keep_run(cloud, kept["graph"], info.ExperimentName, info)
    start_run(request, run_id, parent_run_id=parentRunId, published=pipeline)
    return run_document(cloud, run_id)


def _document(cloud: State, pipeline: PublishedPipeline) -> dict[str, Any]:
    """A published pipeline as the service describes it."""
    url = f"{API}/pipelines/v1.0{SCOPE}/PipelineRuns/PipelineSubmit/{pipeline.id}"
    document = pipeline_entity(pipeline).model_dump() | {"Url": url}
    kept = cloud.documents.get("published pipeline", pipeline.id)
    if kept is None:
        return document
    return document | {
        "GraphId": kept["graph"],
        "ParameterAssignments": {},
        "DataSetDefinitionValueAssignments": kept["data"],
    }
