"""Runs of graphs: kept when they are created, started in the local workspace, and told of."""

from __future__ import annotations

import threading
import uuid
from typing import Annotated, Any

from fastapi import Request
from pydantic import AliasChoices, BaseModel, Field

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.graphs import definition_of, kept_graph, read_graph
from nbhelpers.emulator.modules import entity_members
from nbhelpers.emulator.state import State
from nbhelpers.errors import NbhelpersError, NotFoundError, StoreError, UserErrorException
from nbhelpers.local.experiment import Experiment
from nbhelpers.local.pipeline import submit_definition, submit_failed
from nbhelpers.local.published import PublishedPipeline
from nbhelpers.local.runs import PIPELINE_ID, PipelineRun, Run
from nbhelpers.service.pipelines import STATUS_CODES, check_queue, run_entity

#: Runs are counted and made by one request at a time.
_submitting = threading.Lock()


class RunInfo(BaseModel):
    """What a request says of a run."""

    ExperimentName: str | None = None
    RunHistoryExperimentName: str | None = None
    DisplayName: str | None = None
    Description: str | None = None
    ContinueRunOnStepFailure: bool | None = None
    ContinueExperimentOnNodeFailure: bool | None = None
    ParameterAssignments: dict[str, Any] | None = None
    DataPathAssignments: dict[str, Any] | None = None
    DataSetDefinitionValueAssignments: dict[str, dict[str, Any]] | None = None
    RunSource: str | None = None
    RunType: str | None = None
    # The SDK writes the member in small letters.
    Tags: Annotated[dict[str, str] | None, Field(validation_alias=AliasChoices("Tags", "tags"))] = None
    Properties: dict[str, str] | None = None

    @property
    def assignments(self) -> dict[str, Any]:
        """The values of pipeline parameters, of all kinds."""
        kinds = (self.ParameterAssignments, self.DataPathAssignments, self.DataSetDefinitionValueAssignments)
        return {name: value for kind in kinds for name, value in (kind or {}).items()}

    @property
    def own_properties(self) -> dict[str, str]:
        """The properties, but for those that the services give themselves."""
        return {
            name: text
            for name, text in (self.Properties or {}).items()
            if name.startswith("azureml.git.") or not name.startswith(("azureml.", "nbhelpers."))
        }


class KeptRun(BaseModel):
    """What the local workspace does not know of a run."""

    graph: str
    experiment: str
    info: RunInfo
    submitted: bool = False
    entity: dict[str, Any]


def keep_run(cloud: State, graph_id: str, experiment: str, info: RunInfo) -> str:
    """Keep what is said of a new run; gives its id, for `start_run` and `run_document`."""
    run_id = str(uuid.uuid4())
    kept = KeptRun(graph=graph_id, experiment=experiment, info=info, entity=entity_members(run_id))
    cloud.documents.put("pipeline run", run_id, kept.model_dump())
    return run_id


def start_run(
    request: Request,
    run_id: str,
    *,
    parent_run_id: str | None = None,
    published: PublishedPipeline | None = None,
) -> None:
    """Start a run of `keep_run` in the local workspace; one whose graph cannot be run fails with the reason.

    Parameters
    ----------
    request : Request
    run_id : str
    parent_run_id : str, optional
        The run that it is to be shown as a part of.
    published : PublishedPipeline, optional
        What it was submitted through.
    """
    cloud: State = request.app.state.cloud
    kept = kept_run(cloud, run_id)
    assert kept is not None  # noqa: S101 - callers have looked
    info = kept.info
    graph = read_graph(cloud, kept_graph(cloud, kept.graph)["graph"])
    experiment = Experiment(cloud.workspace, kept.experiment)
    goes_on = info.ContinueRunOnStepFailure
    if goes_on is None:
        goes_on = published.continue_on_step_failure if published else info.ContinueExperimentOnNodeFailure
    definition: dict[str, Any] = {
        "description": info.Description or (published and published.name),
        "continue_on_step_failure": bool(goes_on),
        "steps": [{"name": graph.name, "outputs": graph.outputs, "node_id": graph.node_id}],
    }
    problem: NbhelpersError | None = None
    try:
        definition |= definition_of(cloud, graph, info.DataSetDefinitionValueAssignments)
    except StoreError:  # of the emulator's disk, not of what was asked for
        raise
    except NbhelpersError as error:
        problem = error
    except CloudError as error:
        problem = UserErrorException(error.message, "correct what is named above, and submit again")
    facts = {
        "runType": info.RunType or "HTTP",
        "runSource": info.RunSource or "HTTP",
        **({"azureml.parentrunid": parent_run_id} if parent_run_id else {}),
        **({PIPELINE_ID: published.id} if published else {}),
    }
    how: dict[str, Any] = {
        "name": info.DisplayName,
        "properties": info.own_properties | facts,
        "run_id": run_id,
    }
    with _submitting:
        if find_run(cloud, run_id) is not None:  # a repeated request was faster
            return
        check_queue(cloud.workspace.store, request.app.state.limits.unfinished_runs)
        if problem is None:
            submit_definition(experiment, definition, info.Tags, regenerate_outputs=graph.regenerate_outputs, **how)
        else:
            submit_failed(experiment, definition, problem, info.Tags, **how)
        cloud.documents.put("pipeline run", run_id, kept.model_dump() | {"submitted": True})


def find_run(cloud: State, run_id: str) -> PipelineRun | None:
    """The pipeline run of an id; None for one that was created and not submitted.

    Raises
    ------
    NotFoundError
        There is none.
    """
    try:
        run = Run.get(cloud.workspace, run_id)
    except NotFoundError:
        kept = kept_run(cloud, run_id)
        if kept is None or kept.submitted:  # if it was submitted, it was removed since
            raise
        return None
    if not isinstance(run, PipelineRun):
        raise CloudError(404, "NotFound", f"Run {run_id} is no pipeline run.")
    return run


def run_document(cloud: State, run_id: str) -> dict[str, Any]:
    """A pipeline run as the service describes it."""
    run, kept = find_run(cloud, run_id), kept_run(cloud, run_id)
    document = {} if run is None else run_entity(run).model_dump() | {"GraphId": run_id}
    if kept is not None:
        document = (document or _unsubmitted(kept)) | {
            "GraphId": kept.graph,
            "ParameterAssignments": kept.info.ParameterAssignments or {},
            # By these the SDK finds the data sets of parameters when it reads the graph again.
            "DataSetDefinitionValueAssignments": kept.info.DataSetDefinitionValueAssignments or {},
        }
    return document | {"tags": document["Tags"]}  # the SDK reads the member in small letters


def _unsubmitted(kept: KeptRun) -> dict[str, Any]:
    info = kept.info
    status = {"StatusDetail": None, "CreationTime": kept.entity["CreatedDate"], "EndTime": None}
    return kept.entity | {
        "Description": info.Description,
        "Status": {"StatusCode": STATUS_CODES["NotStarted"], **status},
        "IsSubmitted": False,
        "HasErrors": False,
        "RunHistoryExperimentName": kept.experiment,
        "RunSource": info.RunSource,
        "RunType": info.RunType,
        "TotalRunSteps": 1,
        "Tags": info.Tags or {},
        "Properties": info.own_properties,
    }


def kept_run(cloud: State, run_id: str) -> KeptRun | None:
    """What was kept of a run by `keep_run`; None for one of the local backend."""
    kept = cloud.documents.get("pipeline run", run_id)
    return None if kept is None else KeptRun.model_validate(kept)
