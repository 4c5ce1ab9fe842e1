"""The part of the pipeline service about graphs and their runs, which are pipeline runs of the local workspace."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.graphs import check_names, keep_graph, kept_graph, read_graph
from nbhelpers.emulator.names import ACCOUNT, DATA_CONTAINER, DATASTORE
from nbhelpers.emulator.state import State
from nbhelpers.emulator.submissions import RunInfo, find_run, keep_run, kept_run, run_document, start_run
from nbhelpers.local.outputs import PortDataReference
from nbhelpers.local.runs import PipelineRun
from nbhelpers.local.step_runs import AutoMLRun

router = APIRouter()

#: The ids of nodes from the outermost graph inwards; here one.
NodePath = Annotated[list[str], Body(min_length=1)]

#: The numbers under which the service names the states of a step.
_STEP_CODES = {"NotStarted": "0", "Queued": "1", "Running": "2", "Failed": "3", "Finished": "4", "Canceled": "5"}


class NewRun(BaseModel):
    """A graph, and what is said of its run."""

    CreationInfo: RunInfo = RunInfo()
    Graph: dict[str, Any] = {}
    GraphInterface: dict[str, Any] | None = None


@router.post("/PipelineRuns/Unsubmitted/CreationInfoWithGraph")
def create_run(request: Request, body: NewRun, experimentName: str | None = None) -> dict[str, Any]:
    """Keep a graph and what is said of its run, which `submit_run` starts."""
    cloud: State = request.app.state.cloud
    info = body.CreationInfo
    experiment = experimentName or info.RunHistoryExperimentName
    if not experiment:
        raise CloudError(400, "BadRequest", "The request has no experimentName.")
    read_graph(cloud, body.Graph)
    check_names(body.GraphInterface, info.assignments)
    run_id = keep_run(cloud, keep_graph(cloud, body.Graph, body.GraphInterface), experiment, info)
    return run_document(cloud, run_id)


@router.post("/PipelineRuns/Submit/{run_id}")
def submit_run(request: Request, run_id: str, parentRunId: str | None = None) -> None:
    """Start a run that was created; one that was started before goes on."""
    if find_run(request.app.state.cloud, run_id) is None:
        start_run(request, run_id, parent_run_id=parentRunId)


@router.get("/PipelineRuns/{run_id}")
def get_run(request: Request, run_id: str) -> dict[str, Any]:
    """Get a run with its state."""
    return run_document(request.app.state.cloud, run_id)


@router.delete("/PipelineRuns/{run_id}/Execution")
def cancel_run(request: Request, run_id: str) -> None:
    """Ask a run to stop; it ends within two seconds. Nothing happens to one that has ended."""
    run = find_run(request.app.state.cloud, run_id)
    if run is None:
        raise CloudError(
            409, "Conflict", f"Pipeline run {run_id} was created and never submitted: there is nothing to stop."
        )
    run.cancel()


@router.get("/PipelineRuns/Pipeline/{pipeline_id}")
def list_runs_of_pipeline(request: Request, pipeline_id: str) -> list[dict[str, Any]]:
    """List the runs that were submitted through a published pipeline, newest first."""
    cloud: State = request.app.state.cloud
    return [run_document(cloud, run.id) for run in PipelineRun.get_pipeline_runs(cloud.workspace, pipeline_id)]


@router.post("/PipelineRuns/{run_id}/Graph/Node/StatusCode")
def get_node_status_code(request: Request, run_id: str, path: NodePath) -> str:
    """Get the state of a step as a number."""
    return str(_step_status(_find_step(request.app.state.cloud, run_id, path[-1]))["StatusCode"])


@router.post("/PipelineRuns/{run_id}/Graph/Node/Status")
def get_node_status(request: Request, run_id: str, path: NodePath) -> dict[str, Any]:
    """Get the state of a step with its times, its run and what it reuses."""
    return _step_status(_find_step(request.app.state.cloud, run_id, path[-1]))


@router.post("/PipelineRuns/{run_id}/Graph/AllNodes/StatusCode")
def get_node_status_codes(request: Request, run_id: str) -> dict[str, str]:
    """Get the state of each step as a number."""
    return {node: status["StatusCode"] for node, status in get_node_statuses(request, run_id).items()}


@router.post("/PipelineRuns/{run_id}/Graph/AllNodes/Status")
def get_node_statuses(request: Request, run_id: str) -> dict[str, dict[str, Any]]:
    """Get the state of each step."""
    cloud: State = request.app.state.cloud
    run, kept = find_run(cloud, run_id), kept_run(cloud, run_id)
    if run is None and kept is not None:
        return {node["Id"]: _step_status(None) for node in kept_graph(cloud, kept.graph)["graph"]["ModuleNodes"]}
    return {step.properties["azureml.nodeid"]: _step_status(step) for step in run.get_steps()} if run else {}


@router.post("/PipelineRuns/{run_id}/Outputs")
def get_node_outputs(request: Request, run_id: str, path: NodePath) -> dict[str, dict[str, Any]]:
    """Get where the outputs of a step are, by the names of their PipelineData."""
    step = _find_step(request.app.state.cloud, run_id, path[-1])
    return {name: _output(output) for name, output in step.get_outputs().items()} if step else {}


@router.get("/PipelineRuns/{run_id}/PipelineRunOutputs/{name}")
def get_output(request: Request, run_id: str, name: str) -> dict[str, Any]:
    """Get where an output of the pipeline is."""
    run = find_run(request.app.state.cloud, run_id)
    if run is None:
        raise CloudError(404, "NotFound", f"Pipeline run {run_id} was not submitted, so it has no output {name!r}.")
    return _output(run.get_pipeline_output(name))


@router.post("/PipelineRuns/{run_id}/Graph/Shareable/STDOUT")
@router.post("/PipelineRuns/{run_id}/Graph/Shareable/STDERR")
@router.post("/PipelineRuns/{run_id}/Graph/Shareable/JobLog")
def get_log(request: Request, run_id: str, path: NodePath) -> PlainTextResponse:
    """Get the log of a step, which is one here."""
    step = _find_step(request.app.state.cloud, run_id, path[-1])
    return PlainTextResponse(step.get_logs() if step else "")


@router.get("/Graphs/{graph_id}")
def get_graph(request: Request, graph_id: str) -> dict[str, Any]:
    """Get a graph."""
    graph: dict[str, Any] = kept_graph(request.app.state.cloud, graph_id)["graph"]
    return graph


@router.get("/Graphs/{graph_id}/Interface")
def get_graph_interface(request: Request, graph_id: str) -> dict[str, Any]:
    """Get the parameters of a graph."""
    interface: dict[str, Any] = kept_graph(request.app.state.cloud, graph_id)["interface"]
    return interface


def _find_step(cloud: State, run_id: str, node_id: str) -> AutoMLRun | None:
    """The run of a node; None before its pipeline run was submitted."""
    run = find_run(cloud, run_id)
    steps = {} if run is None else {step.properties["azureml.nodeid"]: step for step in run.get_steps()}
    if run is not None and node_id not in steps:
        raise CloudError(
            404,
            "NotFound",
            f"Pipeline run {run_id} has no step of the node {node_id[:100]!r}; it has {', '.join(steps)}.",
        )
    return steps.get(node_id)


def _step_status(step: AutoMLRun | None) -> dict[str, Any]:
    if step is None:
        return {"StatusCode": _STEP_CODES["NotStarted"], "RunId": None, "HasWarnings": False}
    details, properties = step.get_details(), step.properties
    reused = properties.get("azureml.reusedrunid")
    return {
        "StatusCode": _STEP_CODES[step.get_status()],
        "StatusDetail": details["error"]["error"]["message"] if "error" in details else None,
        "CreationTime": details["startTimeUtc"],
        "StartTime": details["startTimeUtc"],
        "EndTime": details["endTimeUtc"],
        "RunId": step.id,
        "HasWarnings": bool(details["warnings"]),
        "ReuseInfo": reused
        and {
            "ExperimentId": properties["azureml.reusedpipeline"],
            "NodeId": properties["azureml.reusednodeid"],
            "RunId": reused,
        },
    }


def _output(output: PortDataReference) -> dict[str, Any]:
    place = {
        "Container": DATA_CONTAINER,
        "Account": ACCOUNT,
        "RelativePath": output.path_on_datastore,
        "AmlDataStoreName": DATASTORE,
    }
    reference = {"Type": "AzureBlob", "AzureBlobReference": place}
    return {
        "DataTypeId": "AnyFile",
        "DataLocation": {"StorageType": "DataReference", "DataReference": reference},
    }
