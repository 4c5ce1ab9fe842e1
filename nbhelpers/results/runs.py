"""Find a finished run, its AutoML step and its children, and a published pipeline.

A run here is any object with the attributes of the SDK's runs; nothing asks for its class.
"""

from __future__ import annotations

import io
import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nbhelpers.errors import UserErrorException
from nbhelpers.metrics import greater_is_better
from nbhelpers.results.frames import as_frame

#: A pipeline run ends as Finished, the generic record behind it as Completed.
FINISHED = ("Finished", "Completed")


class NotKeptError(UserErrorException):
    """A run has not stored what a table or a picture is made of; they say so where they would stand."""


def find_run(ml: Any, experiment: Any, run_id: str = "latest") -> Any:
    """The finished pipeline run of an experiment that later steps build on.

    Parameters
    ----------
    ml : namespace
        What ``nbhelpers.connect`` gave; its ``PipelineRun`` is used.
    experiment : Experiment
        Where to look.
    run_id : str
        The id of a pipeline run, or ``"latest"`` for the newest finished one.

    Returns
    -------
    PipelineRun

    Raises
    ------
    UserErrorException
        There is no such run, or it has not finished; the message says what to run first.
    """
    if run_id == "latest":
        return _latest_run(ml, experiment)
    try:
        run = ml.PipelineRun(experiment, run_id)
    except Exception as error:  # each backend has its own class for "not found"
        raise UserErrorException(
            f"Experiment {experiment.name!r} has no pipeline run {run_id!r}: {_first_line(error)}",
            'use run_id="latest", or run notebook 03_train.ipynb first to make a run.',
        ) from error
    status = run.get_status()
    if status not in FINISHED:
        raise UserErrorException(f"Pipeline run {run_id!r} is {status}, so it has no results to use.", _remedy(status))
    return run


def _latest_run(ml: Any, experiment: Any) -> Any:
    newest = None
    for run in experiment.get_runs():  # newest first
        if isinstance(run, ml.PipelineRun):
            status = run.get_status()
            if status in FINISHED:
                return run
            newest = newest or status
    found = f"its newest pipeline run is {newest}" if newest else "it has no pipeline run at all"
    raise UserErrorException(f"Experiment {experiment.name!r} has no finished pipeline run: {found}.", _remedy(newest))


def _remedy(status: str | None) -> str:
    if status in (None, "Failed", "Canceled"):
        return "run notebook 03_train.ipynb first; it trains a model and waits for it."
    return "wait until the run has finished (notebook 03_train.ipynb does), then run this cell again."


def find_published(ml: Any, workspace: Any, pipeline_id: str = "latest") -> Any:
    """A published pipeline that can be started.

    Parameters
    ----------
    ml : namespace
        What ``nbhelpers.connect`` gave; its ``PublishedPipeline`` is used.
    workspace : Workspace
        Where to look.
    pipeline_id : str
        Its id, or ``"latest"`` for the first of the workspace's list of active ones.

    Returns
    -------
    PublishedPipeline

    Raises
    ------
    UserErrorException
        There is none, or it is disabled.
    """
    first = "run notebook 06_publish.ipynb first; it publishes the pipeline of a run."
    if pipeline_id == "latest":
        active = ml.PublishedPipeline.list(workspace)
        if not active:
            raise UserErrorException(f"Workspace {workspace.name!r} has no active published pipeline.", first)
        return active[0]
    try:
        published = ml.PublishedPipeline.get(workspace, pipeline_id)
    except Exception as error:  # each backend has its own class for "not found"
        raise UserErrorException(
            f"Workspace {workspace.name!r} has no published pipeline {pipeline_id!r}: {_first_line(error)}",
            f'use pipeline_id="latest", or {first}',
        ) from error
    if published.status != "Active":
        raise UserErrorException(
            f"Published pipeline {pipeline_id!r} is {published.status}, so it cannot be started.",
            "call its method enable(), or name another one.",
        )
    return published


def automl_step(run: Any) -> Any:
    """The AutoML step run inside a pipeline run; a step run is returned as it is.

    Raises
    ------
    UserErrorException
        No step, or more than one, is an AutoML step run.
    """
    if _is_automl(run):
        return _automl_run(run)
    steps = list(run.get_steps()) if hasattr(run, "get_steps") else []
    found = [step for step in steps if _is_automl(step)]
    if len(found) == 1:
        return _automl_run(found[0])
    if found:
        raise UserErrorException(
            f"Run {run.id} has {len(found)} AutoML steps: {', '.join(step.name for step in found)}.",
            "give the step run instead, for example run.find_step_run(name)[0].",
        )
    kinds = ", ".join(f"{step.name} ({type(step).__name__})" for step in steps) or f"none ({type(run).__name__})"
    raise UserErrorException(
        f"No step of run {getattr(run, 'id', run)} is an AutoML step run; its steps: {kinds}.",
        "give a pipeline run with an AutoMLStep, or the AutoML step run itself (with the SDK, an AutoMLRun of its id).",
    )


def _is_automl(run: Any) -> bool:
    facts = getattr(run, "properties", None) or {}
    return hasattr(run, "get_guardrails") or facts.get("StepType") == "AutoMLStep" or "AMLSettingsJsonString" in facts


def _automl_run(run: Any) -> Any:
    """An AutoML run as such: the SDK lists that of a step as a `StepRun`, which knows nothing of AutoML."""
    if hasattr(run, "get_guardrails"):
        return run
    automl_run = import_module("azureml.train.automl.run").AutoMLRun
    original = run.properties.get("azureml.reusedrunid")
    if original and "AMLSettingsJsonString" not in run.properties:  # the record of a reused step need not repeat it
        run = automl_run.get(run.experiment.workspace, original)
    return automl_run(run.experiment, run.id)


def child_runs(run: Any) -> list[Any]:
    """The children that tried a pipeline, by iteration (set-up and explanation runs have none)."""
    children = [
        child for child in automl_step(run).get_children() if str(child.properties.get("iteration", "")).isdigit()
    ]
    return sorted(children, key=iteration)


def find_child(run: Any, number: int | None = None) -> Any:
    """The child of an iteration; by default that of the best model: the best score is not always chosen.

    Raises
    ------
    UserErrorException
        There is no such child, or none has a score.
    """
    step, children = automl_step(run), {iteration(child): child for child in child_runs(run)}
    if number is not None:
        if number in children:
            return children[number]
        known = ", ".join(map(str, children)) or "none"
        raise UserErrorException(f"The run has no child of iteration {number!r}.", f"use one of {known}.")
    chosen = (getattr(step, "tags", None) or {}).get("automl_best_child_run_id")
    scored = {child: score for child in children.values() if (score := score_of(child)) == score}
    if not scored:
        raise UserErrorException(
            f"None of the {len(children)} children of the run has a score.",
            "look at the reasons in leaderboard(run), then train again with notebook 03_train.ipynb.",
        )
    best = max if greater_is_better(str(step.properties["primary_metric"])) else min
    return next((child for child in scored if child.id == chosen), best(scored, key=lambda child: scored[child]))


def score_of(child: Any) -> float:
    """The primary metric of a child; NaN unless it completed."""
    return number(child.properties.get("score")) if child.get_status() == "Completed" else float("nan")


def read_file(run: Any, name: str) -> bytes:
    """The content of a file of a run, in its folder ``outputs`` or beside it.

    Raises
    ------
    NotKeptError
        The run has no such file.
    """
    names = {path.rpartition("/")[2]: path for path in run.get_file_names()}
    if name not in names:
        number_of = run.properties.get("iteration")
        if number_of and (status := run.get_status()) != "Completed":
            raise NotKeptError(
                f"Child run {number_of} has stored no {name}, as it is {status}.",
                "choose one that is Completed in leaderboard(run).",
            )
        who = f"Child run {number_of}" if number_of else "The run"
        raise NotKeptError(
            f"{who} has stored no {name}: only runs of the local workspace do, by this version, if there was time.",
            "train again with notebook 03_train.ipynb.",
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        run.download_file(names[name], str(file))
        return file.read_bytes()


def read_array(run: Any, name: str) -> npt.NDArray[Any]:
    """The array in a file of a run; errors as of `read_file`."""
    found: npt.NDArray[Any] = np.load(io.BytesIO(read_file(run, name)), allow_pickle=False)
    return found


def training_dataset(run: Any) -> tuple[str, str]:
    """Name and version of the registered data set that the run was trained on; empty where it does not say."""
    said = (getattr(run, "tags", None) or {}).get("dataset") or automl_step(run).properties.get("nbhelpers.dataset")
    name, _, version = (said or "").rpartition(":")
    return name, version


def training_table(run: Any) -> pd.DataFrame | None:
    """The rows of the data set that the run was trained on, if the workspace still has that version."""
    name, version = training_dataset(run)
    registered = run.experiment.workspace.datasets if name else {}
    if name not in registered or str(registered[name].version) != version:
        return None
    return as_frame(registered[name])


def of_sdk(run: Any) -> bool:
    """Whether a run is one of the SDK's classes."""
    return type(run).__module__.startswith("azureml.")


def settings(run: Any) -> dict[str, Any]:
    """The settings of the AutoML run, by name; those that were left out are None."""
    found: dict[str, Any] = json.loads(automl_step(run).properties.get("AMLSettingsJsonString") or "{}")
    return found


def label_column(run: Any) -> str | None:
    """The column that the AutoML run was trained to predict, where it says."""
    return automl_step(run).properties.get("label_column_name") or settings(run).get("label_column_name")


def iteration(child: Any) -> int:
    """The number of a child run."""
    return int(child.properties["iteration"])


def taken_over(child: Any) -> bool:
    """Whether a child run was not trained, but taken over from the interrupted run that its run continues."""
    return "nbhelpers.taken_over_from" in child.properties


def number(value: Any) -> float:
    """A property or metric as a number; NaN for what is not one (runs keep text, and lists of one)."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
