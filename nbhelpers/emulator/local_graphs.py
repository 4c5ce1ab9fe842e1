"""Graphs of the pipeline runs of the local backend, which keeps none: `RunDetails` of the SDK draws them."""

from __future__ import annotations

from typing import Any

from nbhelpers.emulator.state import State
from nbhelpers.errors import NotFoundError
from nbhelpers.local.runs import PipelineRun, Run
from nbhelpers.local.step_runs import AutoMLRun


def local_graph(cloud: State, run_id: str) -> dict[str, Any] | None:
    """The steps of a pipeline run as the nodes of a graph, without their data sets; None if there is no such run."""
    run = _find(cloud, run_id)
    if not isinstance(run, PipelineRun):
        return None
    nodes = [
        {
            "Id": step.properties["azureml.nodeid"],
            "ModuleId": step.id,
            # The SDK goes through these, and fails where they are missing.
            "ModuleParameters": [],
            "ModuleMetadataParameters": [],
        }
        for step in run.get_steps()
    ]
    return {"Id": run_id, "EntityStatus": "Active", "ModuleNodes": nodes, "DatasetNodes": [], "Edges": []}


def local_module(cloud: State, run_id: str) -> dict[str, Any] | None:
    """What a step of such a graph runs, without inputs and outputs; None if there is no such step."""
    step = _find(cloud, run_id)
    if not isinstance(step, AutoMLRun):
        return None
    return {
        "Id": run_id,
        "EntityStatus": "Active",
        "Name": step.name,
        "StepType": "AutoMLStep",
        "StructuredInterface": {"Inputs": [], "Outputs": []},
    }


def _find(cloud: State, run_id: str) -> Run | None:
    try:
        return Run.get(cloud.workspace, run_id)
    except NotFoundError:
        return None
