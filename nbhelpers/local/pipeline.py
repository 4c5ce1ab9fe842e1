"""Pipelines: one AutoML step, and submitting it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import UserErrorException
from nbhelpers.local.arguments import check_flags, check_tags, check_text, check_workspace
from nbhelpers.local.config import AutoMLConfig
from nbhelpers.local.experiment import Experiment
from nbhelpers.local.processes import start_worker
from nbhelpers.local.reuse import Reuse, find_reusable, fingerprint, fingerprint_parts, reused_values
from nbhelpers.local.steps import AutoMLStep
from nbhelpers.local.store import now, runs
from nbhelpers.local.workspace import Workspace

if TYPE_CHECKING:
    from nbhelpers.local.runs import PipelineRun


class Pipeline:
    """A pipeline of one AutoMLStep.

    Parameters
    ----------
    workspace : Workspace
    steps : AutoMLStep or list
        Lists may be nested.
    description : str, optional

    Raises
    ------
    UserErrorException
        Not exactly one AutoMLStep, or two outputs share a name.
    """

    def __init__(self, workspace: Workspace, steps: Any, description: str | None = None) -> None:
        check_workspace(workspace)
        check_text("description", description)
        found = _flat(steps)
        if wrong := [step for step in found if not isinstance(step, AutoMLStep)]:
            raise UserErrorException(
                f"A step of the pipeline is of type {type(wrong[0]).__name__}.",
                "a local pipeline takes AutoMLStep only",
            )
        if len(found) != 1:
            raise UserErrorException(
                f"The pipeline has {len(found)} steps; a local pipeline has exactly one AutoMLStep.",
                "submit one pipeline for each AutoMLStep",
            )
        for key in ("name", "pipeline_output_name"):
            names = [output[key] for step in found for output in step.outputs if output[key]]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise UserErrorException(
                    f"Several outputs have the {key} {', '.join(map(repr, twice))}.", f"give each its own {key}"
                )
        self.workspace = workspace
        self.steps: list[AutoMLStep] = found
        self.description = description

    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool = False,
        regenerate_outputs: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> PipelineRun:
        """Start the pipeline.

        Parameters
        ----------
        experiment_name : str
            Created if it is not there.
        pipeline_parameters : mapping, optional
            New values of the pipeline's parameters.
        continue_on_step_failure : bool, default False
            Without effect on a pipeline of one step.
        regenerate_outputs : bool, default False
            Run even if an earlier run could be reused.
        tags : mapping, optional
            Tags of the run.

        Returns
        -------
        PipelineRun

        Raises
        ------
        UserErrorException
            The pipeline has no such parameter.
        """
        return submit_pipeline(
            Experiment(self.workspace, experiment_name),
            self,
            tags,
            pipeline_parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
        )

    def __repr__(self) -> str:
        return f"Pipeline(description={self.description!r}, steps={self.steps!r})"


def submit_pipeline(
    experiment: Experiment,
    pipeline: Pipeline,
    tags: Mapping[str, str] | None = None,
    *,
    pipeline_parameters: Mapping[str, Any] | None = None,
    continue_on_step_failure: bool = False,
    regenerate_outputs: bool = False,
) -> PipelineRun:
    """As `Pipeline.submit`, in an experiment that is at hand."""
    if not isinstance(pipeline, Pipeline):
        raise UserErrorException(
            f"An experiment cannot submit a {type(pipeline).__name__}.",
            "put the AutoMLConfig into an AutoMLStep and that into a Pipeline"
            if isinstance(pipeline, AutoMLConfig)
            else "pass a Pipeline",
        )
    if pipeline_parameters:
        raise UserErrorException(
            f"pipeline_parameters={pipeline_parameters!r}: the pipeline has no parameters, an AutoMLStep takes none.",
            "leave pipeline_parameters out, and give settings to AutoMLConfig",
        )
    check_flags({"continue_on_step_failure": continue_on_step_failure, "regenerate_outputs": regenerate_outputs})
    if tags is not None:
        check_tags(tags)
    definition = {
        "description": pipeline.description,
        "continue_on_step_failure": continue_on_step_failure,
        "steps": [step.definition() for step in pipeline.steps],
    }
    return submit_definition(experiment, definition, tags, regenerate_outputs=regenerate_outputs)


def submit_definition(
    experiment: Experiment,
    definition: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    *,
    regenerate_outputs: bool = False,
    reuse: Reuse | None = None,
) -> PipelineRun:
    """Start the pipeline that a pipeline run's row keeps as its definition; prints the SDK's lines.

    `reuse` says what the run takes over; by default that is looked for.
    """
    from nbhelpers.local.runs import PipelineRun

    store = experiment.workspace.store
    (step,) = definition["steps"]
    parts = fingerprint_parts(step)
    digest = fingerprint(parts)
    reuse = reuse or find_reusable(store, step, parts, regenerate_outputs)
    original, interrupted, running = reuse.original, reuse.interrupted, reuse.running

    def links(column: str) -> dict[str, str]:
        found = {"nbhelpers.continues": interrupted, "nbhelpers.waits_for": running}
        return {name: row[column] for name, row in found.items() if row is not None}

    run_id, step_id, time_now = str(uuid.uuid4()), str(uuid.uuid4()), now()
    common = {
        "experiment": experiment.name,
        "created": time_now,
        "status": "NotStarted",
        "tags": {},
        "properties": {},
        "metrics": {},
    }
    run = common | {
        "id": run_id,
        "kind": "pipeline",
        "name": definition["description"] or "pipeline",
        "definition": dict(definition),
        "tags": dict(tags or {}),
        "properties": {"azureml.runsource": "azureml.PipelineRun"} | links("parent_id"),
        "heartbeat": time.time(),
    }
    step_run = common | {
        "id": step_id,
        "kind": "step",
        "parent_id": run_id,
        "name": step["name"],
        "definition": step | {"fingerprint_parts": parts},
        "fingerprint": digest,
        "properties": step["properties"]
        | {"azureml.runsource": "azureml.StepRun", "azureml.nodeid": uuid.uuid4().hex[:8]}
        | {"nbhelpers.reuse": reuse.why}
        | links("id"),
    }
    if original is not None:
        ended = {"status": "Finished", "started": time_now, "ended": time_now}
        run |= ended
        step_run |= ended | reused_values(original, step_run["properties"])
    taken_over = original or interrupted
    with store.writing() as connection:
        gone = taken_over and not connection.execute(sa.select(runs.c.id).where(runs.c.id == taken_over["id"])).first()
        if not gone:
            connection.execute(runs.insert().values(run))
            connection.execute(runs.insert().values(step_run))
    if gone:  # it was cleaned away since we looked
        return submit_definition(experiment, definition, tags, regenerate_outputs=regenerate_outputs)
    module_id = uuid.UUID(digest[:32])
    outcome = (
        "step will run and generate new outputs"
        if original is None
        else "step is eligible to reuse a previous run's output"
    )
    if original is None:
        start_worker(store, run_id, step_id)
    print(f"Created step {step['name']} [{step_run['properties']['azureml.nodeid']}][{module_id}], (This {outcome})")
    print(f"Reuse of step {step['name']}: {reuse.why}")
    print(f"Submitted PipelineRun {run_id}")
    return PipelineRun(experiment, run_id)


def _flat(steps: Any) -> list[Any]:
    if isinstance(steps, list | tuple):
        return [inner for step in steps for inner in _flat(step)]
    return [steps]
