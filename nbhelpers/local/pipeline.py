"""Pipelines: one AutoML step, and submitting it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import NbhelpersError, UserErrorException
from nbhelpers.local.arguments import check_flags, check_tags, check_text, check_workspace
from nbhelpers.local.assignments import resolve
from nbhelpers.local.config import TABLES, AutoMLConfig, name_of
from nbhelpers.local.experiment import Experiment
from nbhelpers.local.processes import log_file, start_worker
from nbhelpers.local.reuse import Reuse, find_reusable, fingerprint, fingerprint_parts, reused_values
from nbhelpers.local.steps import AutoMLStep
from nbhelpers.local.store import now, runs, write_atomically
from nbhelpers.local.workspace import Workspace

if TYPE_CHECKING:
    from nbhelpers.local.published import PublishedPipeline
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
            New values of the pipeline's parameters: see `PipelineParameter`.
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
            The pipeline has no such parameter, or the value cannot be used.
        """
        return submit_pipeline(
            Experiment(self.workspace, experiment_name),
            self,
            tags,
            pipeline_parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
        )

    def publish(
        self,
        name: str | None = None,
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> PublishedPipeline:
        """Publish the pipeline, so that it can be submitted without the code that made it, also over REST.

        Parameters
        ----------
        name : str, optional
            Need not be unique; by default the pipeline's description.
        description, version : str, optional
        continue_on_step_failure : bool, optional
            Without effect on a pipeline of one step.

        Returns
        -------
        PublishedPipeline
            Always a new one.
        """
        from nbhelpers.local.published import publish

        definition = self.definition(bool(continue_on_step_failure))
        return publish(self.workspace, definition, name, description, version, continue_on_step_failure)

    def definition(self, continue_on_step_failure: bool = False) -> dict[str, Any]:
        """What a run of the pipeline keeps of it, as JSON."""
        steps = [step.definition() for step in self.steps]
        definition = {
            "description": self.description,
            "continue_on_step_failure": continue_on_step_failure,
            "steps": steps,
        }
        parameters = {name: value for step in self.steps for name, value in step.automl_config.parameters.items()}
        for name, parameter in parameters.items():
            if parameter["setting"] in TABLES:
                parameters[name] = parameter | {"default": name_of(steps[0], parameter["setting"])}
        return definition | ({"parameters": parameters} if parameters else {})

    def __repr__(self) -> str:
        return f"Pipeline(description={self.description!r}, steps={self.steps!r})"


def submit_pipeline(
    experiment: Experiment,
    pipeline: Pipeline | PublishedPipeline,
    tags: Mapping[str, str] | None = None,
    *,
    pipeline_parameters: Mapping[str, Any] | None = None,
    continue_on_step_failure: bool = False,
    regenerate_outputs: bool = False,
) -> PipelineRun:
    """As `Pipeline.submit`, in an experiment that is at hand."""
    from nbhelpers.local.published import PublishedPipeline

    if isinstance(pipeline, PublishedPipeline):
        return pipeline.submit(
            experiment.workspace,
            experiment.name,
            pipeline_parameters,
            continue_on_step_failure or None,
            regenerate_outputs,
            tags,
        )
    if not isinstance(pipeline, Pipeline):
        raise UserErrorException(
            f"An experiment cannot submit a {type(pipeline).__name__}.",
            "put the AutoMLConfig into an AutoMLStep and that into a Pipeline"
            if isinstance(pipeline, AutoMLConfig)
            else "pass a Pipeline or PublishedPipeline",
        )
    check_flags({"continue_on_step_failure": continue_on_step_failure, "regenerate_outputs": regenerate_outputs})
    if tags is not None:
        check_tags(tags)
    definition = resolve(experiment.workspace, pipeline.definition(continue_on_step_failure), pipeline_parameters)
    run = submit_definition(experiment, definition, tags, regenerate_outputs=regenerate_outputs)
    print_submission(run)
    return run


def submit_definition(
    experiment: Experiment,
    definition: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    properties: Mapping[str, str] | None = None,
    regenerate_outputs: bool = False,
    reuse: Reuse | None = None,
    run_id: str | None = None,
    step_id: str | None = None,
) -> PipelineRun:
    """Start the pipeline that a pipeline run's row keeps as its definition.

    `name` is shown instead of the definition's description. `reuse` says what the run takes over; by default that is
    looked for. `run_id` and `step_id` are made up unless they are given.
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

    run, step_run = _new_rows(experiment, definition, tags, name, properties, run_id, step_id)
    run_id, step_id = run["id"], step_run["id"]
    run["properties"] |= links("parent_id")
    step_run["definition"] |= {"fingerprint_parts": parts}
    step_run["fingerprint"] = digest
    step_run["properties"] |= {"nbhelpers.reuse": reuse.why} | links("id")
    if original is not None:
        ended = {"status": "Finished", "started": run["created"], "ended": run["created"]}
        run |= ended
        step_run |= ended | reused_values(original, step_run["properties"])
    taken_over = original or interrupted
    with store.writing() as connection:
        gone = taken_over and not connection.execute(sa.select(runs.c.id).where(runs.c.id == taken_over["id"])).first()
        if not gone:
            connection.execute(runs.insert().values(run))
            connection.execute(runs.insert().values(step_run))
    if gone:  # it was cleaned away since we looked
        return submit_definition(
            experiment,
            definition,
            tags,
            name=name,
            properties=properties,
            regenerate_outputs=regenerate_outputs,
            run_id=run_id,
            step_id=step_id,
        )
    if original is None:
        start_worker(store, run_id, step_id)
    return PipelineRun(experiment, run_id)


def submit_failed(
    experiment: Experiment,
    definition: Mapping[str, Any],
    problem: NbhelpersError,
    tags: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    properties: Mapping[str, str] | None = None,
    run_id: str | None = None,
    step_id: str | None = None,
) -> PipelineRun:
    """Keep a run of a pipeline that cannot be started, as Failed with the reason.

    Of its step, `definition` need not have more than the ``name`` and the ``outputs``. Other arguments are those of
    `submit_definition`.
    """
    from nbhelpers.local.runs import PipelineRun

    store = experiment.workspace.store
    run, step_run = _new_rows(experiment, definition, tags, name, properties, run_id, step_id)
    error = {"code": "UserError", "message": problem.problem, "remedy": problem.remedy}
    ended = {"status": "Failed", "started": run["created"], "ended": run["created"], "error": error}
    step_run["properties"] |= {"nbhelpers.reuse": "new run: it could not be started"}
    write_atomically(log_file(store, step_run["id"]), f"{problem}\n".encode())
    with store.writing() as connection:
        connection.execute(runs.insert().values(run | ended))
        connection.execute(runs.insert().values(step_run | ended))
    return PipelineRun(experiment, run["id"])


def _new_rows(
    experiment: Experiment,
    definition: Mapping[str, Any],
    tags: Mapping[str, str] | None,
    name: str | None,
    properties: Mapping[str, str] | None,
    run_id: str | None,
    step_id: str | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a pipeline run and of its step before anything is known of their outcome."""
    (step,) = definition["steps"]
    common = {
        "experiment": experiment.name,
        "created": now(),
        "status": "NotStarted",
        "tags": {},
        "properties": {},
        "metrics": {},
    }
    run = common | {
        "id": run_id or str(uuid.uuid4()),
        "kind": "pipeline",
        "name": name or definition["description"] or "pipeline",
        "definition": dict(definition),
        "tags": dict(tags or {}),
        "properties": dict(properties or {}) | {"azureml.runsource": "azureml.PipelineRun"},
        "heartbeat": time.time(),
    }
    node_id = step.get("node_id") or uuid.uuid4().hex[:8]
    trained_on = {"nbhelpers.dataset": step["dataset"]} if step.get("dataset") else {}  # it may be gone
    step_run = common | {
        "id": step_id or str(uuid.uuid4()),
        "kind": "step",
        "parent_id": run["id"],
        "name": step["name"],
        "definition": dict(step),
        "properties": {
            **step.get("properties", {}),
            **trained_on,
            "azureml.runsource": "azureml.StepRun",
            "azureml.nodeid": node_id,
        },
    }
    return run, step_run


def print_submission(run: PipelineRun) -> None:
    """Print the SDK's lines about a run that was just submitted, and why it reuses another or does not."""
    for step in run.get_steps():
        row = step._row()
        node_id, reuse = (row["properties"][name] for name in ("azureml.nodeid", "nbhelpers.reuse"))
        module_id = uuid.UUID(fingerprint(row["definition"]["fingerprint_parts"])[:32])
        outcome = (
            "step is eligible to reuse a previous run's output"
            if "azureml.reusedrunid" in row["properties"]
            else "step will run and generate new outputs"
        )
        print(f"Created step {step.name} [{node_id}][{module_id}], (This {outcome})")
        print(f"Reuse of step {step.name}: {reuse}")
    print(f"Submitted PipelineRun {run.id}")


def _flat(steps: Any) -> list[Any]:
    if isinstance(steps, list | tuple):
        return [inner for step in steps for inner in _flat(step)]
    return [steps]
