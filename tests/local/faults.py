"""Faults in the processes of real runs, and what has to be true after them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from nbhelpers.errors import ActivityFailedException
from nbhelpers.local import AmlCompute, AutoMLConfig, AutoMLStep, ComputeTarget, Pipeline, PipelineRun, Workspace
from nbhelpers.local.children import PREDICTIONS
from nbhelpers.local.processes import work_folder
from nbhelpers.local.store import Store, runs, slots

from .conftest import bank_like

#: Seconds that a test waits for what has to happen; none takes a tenth of that on an idle machine.
DEADLINE = 90
#: A place and statements for `plant`.
TRAIN_FOLD = "nbhelpers.automl.training:train_fold"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
KILL_WORKER = "os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)"
#: Notes each fold that is trained: the random state of a candidate is its iteration, if its model has one.
NOTE = {TRAIN_FOLD: "open('trained', 'a').write(f'{args[1].parameters[\"random_state\"]}\\n')"}
FOLDS = 2
#: Five candidates with random states and their two ensembles, all of them fast.
SETTINGS = {
    "iterations": 7,
    "n_cross_validations": FOLDS,
    "allowed_models": ["DecisionTree", "SGD", "LinearSVM"],
    "model_explainability": False,
}


def plant(patch: pytest.MonkeyPatch, faults: Mapping[str, str]) -> None:
    """Have the processes of the runs that are submitted from now on execute statements when functions are called.

    Parameters
    ----------
    patch : MonkeyPatch
    faults : mapping
        A statement by ``module:function`` or ``module:Class.method``. It knows the `args` of the call and ``fill()``,
        which fills the disk of the workspace.
    """
    patch.setenv("NBHELPERS_TEST_FAULTS", json.dumps(faults))
    patch.setenv("PYTHONPATH", str(Path(__file__).parent / "planted"), prepend=os.pathsep)


def create_target(workspace: Workspace, max_nodes: int) -> ComputeTarget:
    return ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=max_nodes))


def submit(target: ComputeTarget, **settings: Any) -> PipelineRun:
    arguments = {"training_data": bank_like(300), "label_column_name": "y"} | SETTINGS | settings
    config = AutoMLConfig("classification", compute_target=target, **arguments)
    return Pipeline(target.workspace, AutoMLStep("automl_module", config)).submit("faults")


def end_of(run: PipelineRun) -> str:
    """The status of a run when it has ended; what it is else when the deadline has passed."""
    return run.wait_for_completion(show_output=False, timeout_seconds=DEADLINE, raise_on_error=False)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not happen within {DEADLINE} seconds")
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def worker_pid(run: PipelineRun) -> int:
    row = run.experiment.workspace.store.one(sa.select(runs.c.pid).where(runs.c.id == run.id))
    assert row is not None
    return int(row["pid"])


def processes_of(worker: int) -> list[int]:
    """The processes at work in the session of a worker: its own, and those that were started by it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, session, *_ = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if int(session) == worker and state != "Z":
            found.append(int(stat.parent.name))
    return found


def completed(run: PipelineRun) -> set[int]:
    """The iterations of the children that have completed."""
    return {_iteration(child) for child in next(run.get_steps()).get_children() if child.get_status() == "Completed"}


def taken_over(run: PipelineRun) -> dict[int, str]:
    """By iteration, the ids of the children that were not trained again."""
    children = list(next(run.get_steps()).get_children())
    marks = {_iteration(child): child.properties.get("nbhelpers.taken_over_from") for child in children}
    return {iteration: mark for iteration, mark in marks.items() if mark}


def trained(run: PipelineRun) -> list[int]:
    """The iteration of each fold that was trained while `NOTE` was planted."""
    notes = run.experiment.workspace.store.home / "trained"
    return sorted(map(int, notes.read_text().split())) if notes.exists() else []


@cache
def undisturbed() -> dict[str, Any]:
    """The result of the run of `SETTINGS` when nothing befalls it."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as home:
        patch.setenv("NBHELPERS_HOME", home)
        plant(patch, {})
        run = submit(create_target(Workspace.from_config(), max_nodes=2))
        assert end_of(run) == "Finished"
        return result(run)


def result(run: PipelineRun) -> dict[str, Any]:
    """What two runs of the same seed have in common: children, scores, weights and predictions."""
    (step,) = run.get_steps()
    assert step.get_status() == "Finished"
    facts = ("run_algorithm", "run_preprocessor", "score", "pipeline_spec", "fold_scores")
    children = {
        _iteration(child): {
            "status": child.get_status(),
            "metrics": {name: value for name, value in child.get_metrics().items() if isinstance(value, float)},
            "tables": {file.name: json.loads(file.read_bytes()) for file in (child._folder() / "outputs").iterdir()},
            "predictions": np.load(child._folder() / PREDICTIONS).tolist(),
            **{name: child.properties[name] for name in facts},
            **{name: child.properties.get(name) for name in ("ensembled_iterations", "ensemble_weights")},
        }
        for child in step.get_children()
    }
    best, model = step.get_output()
    metrics_data = (step._folder() / "outputs" / "metrics_data").read_text().replace(step.id, "")
    return {
        "children": children,
        "best": _iteration(best),
        "metrics_data": json.loads(metrics_data),
        "predictions": model.predict_proba(bank_like(50, seed=1)).tolist(),
    }


def assert_failed(run: PipelineRun, reason: str = "The worker process died") -> None:
    """A run is over and says why, nothing of it is at work any more, and the store is whole."""
    store = run.experiment.workspace.store
    (step,) = run.get_steps()
    with pytest.raises(ActivityFailedException, match=f"is Failed: {reason}") as caught:
        run.wait_for_completion(show_output=False, timeout_seconds=DEADLINE)
    assert str(step.log_path) in caught.value.remedy
    assert (run.get_status(), step.get_status()) == ("Failed", "Failed")
    assert {child.get_status() for child in step.get_children()} <= {"Completed", "Failed"}
    wait_until(lambda: processes_of(worker_pid(run)) == [])
    assert store.all(sa.select(slots)) == []
    assert not work_folder(store, step.id).exists()
    assert_whole(store)


def assert_whole(store: Store) -> None:
    """The database is sound, and each child that it calls completed has its files."""
    with store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    for row in store.all(sa.select(runs).where(runs.c.kind == "child", runs.c.status == "Completed")):
        folder = store.run_folder(row["id"])
        assert np.load(folder / PREDICTIONS).shape[1] == 2
        tables = [name for name, value in row["metrics"].items() if isinstance(value, str)]
        assert {json.loads((folder / "outputs" / name).read_bytes())["schema_type"] for name in tables} == set(tables)


def _iteration(child: Any) -> int:
    return int(child.properties["iteration"])
