"""Faults of real worker processes."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from nbhelpers.errors import ActivityFailedException, ModelError, StoreError, UserErrorException
from nbhelpers.local import (
    AmlCompute,
    AutoMLConfig,
    AutoMLStep,
    ComputeTarget,
    Dataset,
    Experiment,
    Pipeline,
    PipelineRun,
    Workspace,
    worker,
)
from nbhelpers.local.slots import Slots

from .conftest import bank_like
from .faults import is_gone, wait_until, worker_pid
from .test_slots import running


def submit(target: ComputeTarget, allow_reuse: bool = True, **settings: Any) -> PipelineRun:
    arguments = {"training_data": bank_like(1000), "label_column_name": "y", "iterations": 500}
    config = AutoMLConfig("classification", compute_target=target, **(arguments | settings))
    step = AutoMLStep("automl_module", config, allow_reuse=allow_reuse)
    return Pipeline(target.workspace, step).submit("faults")


def test_cancelling_ends_the_run_and_its_process_and_keeps_its_children(
    target: ComputeTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    run = submit(target)
    (step,) = run.get_steps()
    wait_until(lambda: has_finished_child(run))
    pid = worker_pid(run)
    run.cancel()
    assert run.wait_for_completion(raise_on_error=False) == "Canceled"
    assert '"code": "Canceled"' in capsys.readouterr().out
    assert step.get_status() == "Canceled"
    wait_until(lambda: is_gone(pid))
    assert "Running" not in {child.get_status() for child in step.get_children()}
    assert has_finished_child(run)
    with pytest.raises(ModelError, match="is Canceled, and keeps no model"):
        step.get_output()
    with pytest.raises(ActivityFailedException, match="was cancelled"):
        run.wait_for_completion(show_output=False)


def has_finished_child(run: PipelineRun) -> bool:
    return any(child.get_status() == "Completed" for step in run.get_steps() for child in step.get_children())


def facts(run: PipelineRun) -> list[object]:
    """What two runs of the same search have in common, times and ids left out."""
    (step,) = run.get_steps()
    _, model = step.get_output()
    found: list[object] = [model.predict_proba(bank_like(50, seed=9).drop(columns="y")).tolist()]
    for child in step.get_children():
        own = ("run_algorithm", "run_preprocessor", "pipeline_spec", "fold_scores", "ensemble_weights")
        numbers = {name: value for name, value in child.get_metrics().items() if isinstance(value, float)}
        found += [child.name[-1:], child.get_status(), numbers, [child.properties.get(name) for name in own]]
    return found


def test_four_children_at_once_give_what_one_at_a_time_gives(workspace: Workspace) -> None:
    target = ComputeTarget.create(workspace, "four", AmlCompute.provisioning_configuration(max_nodes=4))
    settings = {"iterations": 9, "n_cross_validations": 3, "training_data": bank_like(300)}
    at_once = submit(target, max_concurrent_iterations=4, allow_reuse=False, **settings)
    (step,) = at_once.get_steps()
    wait_until(lambda: sum(child.get_status() == "Running" for child in step.get_children()) > 1)
    alone = submit(target, max_concurrent_iterations=1, allow_reuse=False, **settings)
    for run in (at_once, alone):
        assert run.wait_for_completion(show_output=False) == "Finished"
    assert facts(at_once) == facts(alone)


def test_a_run_waits_for_slots_that_another_has_and_says_so(target: ComputeTarget) -> None:
    store = target.workspace.store
    Experiment(target.workspace, "e")
    other = Slots(store, "cpu", 2, running(store, "other", heartbeat=time.time() + 3600))
    tickets = [other.draw() for _ in range(2)]
    run = submit(target, iterations=3, n_cross_validations=2, training_data=bank_like(100))
    (step,) = run.get_steps()
    wait_until(lambda: step.get_status() == "Queued")
    assert run.get_status() == "Running"
    for ticket in tickets:
        other.give_back(ticket)
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert "Current status: Queued. cpu: All slots are in use by other runs." in run.get_logs()


def test_a_run_waits_for_one_that_does_the_same_and_takes_over_its_result(target: ComputeTarget) -> None:
    settings = {"iterations": 5, "n_cross_validations": 2, "training_data": bank_like(300)}
    first, second = submit(target, **settings), submit(target, **settings)
    (step,) = second.get_steps()
    assert step.properties["nbhelpers.reuse"] == f"waits for run {first.id}, which is at work on the same"
    assert second.wait_for_completion(show_output=False) == "Finished"
    assert first.get_status() == "Finished"
    assert step.properties["azureml.reusedpipeline"] == first.id
    assert step.get_output()[0].id == next(first.get_steps()).get_best_child().id
    assert submit(target, **settings).get_status() == "Finished"  # by reuse of the first


def test_a_run_that_waited_for_one_in_vain_goes_on_where_that_stopped(target: ComputeTarget) -> None:
    settings = {"iterations": 40, "n_cross_validations": 2}
    first = submit(target, **settings)
    published = first.publish_pipeline()
    second, third = published.submit(target.workspace, "faults"), submit(target, **settings)
    wait_until(lambda: has_finished_child(first))
    first.cancel()
    wait_until(lambda: has_finished_child(second))
    (step,) = second.get_steps()
    assert f"run {first.id} was cancelled" in step.properties["nbhelpers.reuse"]
    assert second.properties == {
        "azureml.runsource": "azureml.PipelineRun",
        "azureml.pipelineid": published.id,
        "nbhelpers.continues": first.id,
    }
    assert next(step.get_children()).properties["nbhelpers.taken_over_from"].endswith("_0")
    with pytest.raises(UserErrorException, match=r"submitted later, is .* on the same settings and data"):
        first.continue_run()
    assert next(third.get_steps()).get_status() == "Queued"  # now it waits for the second
    for run in (second, third):
        run.cancel()
        assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Canceled"


def test_an_error_in_the_worker_fails_the_run_with_its_text(target: ComputeTarget) -> None:
    frame = bank_like(100)
    frame.loc[:2, "y"] = None
    run = submit(target, training_data=frame, exclude_nan_labels=False)
    with pytest.raises(ActivityFailedException, match=r"is Failed: The label 'y' is missing in 3 rows"):
        run.wait_for_completion(show_output=False)
    error = next(run.get_steps()).get_details()["error"]["error"]
    assert error["code"] == "UserError"
    assert error["message"] == "The label 'y' is missing in 3 rows."
    assert "exclude_nan_labels=True" in error["remedy"]
    with pytest.raises(ActivityFailedException, match="missing in 3 rows") as caught:
        run.wait_for_completion(show_output=False)
    assert str(caught.value).count("To mend it") == 1
    assert "Traceback" in next(run.get_steps()).get_stdout_log()


def test_a_worker_that_cannot_be_started_fails_the_run_at_once(target: ComputeTarget) -> None:
    folder = target.workspace.store.home / "runs"
    folder.rmdir()
    folder.touch()  # a file where the folder of logs would be
    with pytest.raises(StoreError, match="could not be started"):
        submit(target)
    (run,) = target.workspace.experiments["faults"].get_runs()
    assert run.get_status() == "Failed"


def test_a_run_that_was_ended_before_its_worker_began_is_left_alone(
    target: ComputeTarget, capfd: pytest.CaptureFixture[str]
) -> None:
    run = submit(target)
    run.cancel()
    run.wait_for_completion(show_output=False, raise_on_error=False)
    worker.main(run.id)
    assert run.get_status() == "Canceled"
    assert "ended before it started" in capfd.readouterr().out


def test_a_process_that_leaves_a_worker_behind_ends_without_warnings(target: ComputeTarget) -> None:
    Dataset.Tabular.from_pandas_dataframe(bank_like(1000)).register(target.workspace, "bank")
    script = """
from nbhelpers.local import AutoMLConfig, AutoMLStep, Pipeline, Workspace
ws = Workspace.from_config()
data = {"training_data": ws.datasets["bank"], "label_column_name": "y", "iterations": 500}
config = AutoMLConfig("classification", compute_target=ws.compute_targets["cpu"], **data)
Pipeline(ws, AutoMLStep("automl_module", config)).submit("behind")
"""
    ended = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", script], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    (run,) = target.workspace.experiments["behind"].get_runs()
    run.cancel()
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Canceled"


def test_a_run_is_judged_by_the_validation_data_that_it_is_given(target: ComputeTarget) -> None:
    given = {"validation_data": bank_like(80, seed=2).assign(age=1.5), "weight_column_name": "age"}
    run = submit(target, training_data=bank_like(200), iterations=4, allowed_models=["LogisticRegression"], **given)
    assert run.wait_for_completion(show_output=False) == "Finished"
    (step,) = run.get_steps()
    assert (step.properties["training_type"], step.properties["train_rows"]) == ("TrainAndValidation", "200")
    scored = np.load(target.workspace.store.run_folder(step.id) / "outputs" / "scored_rows.npy")
    assert scored.tolist() == [[200 + row, 0] for row in range(80)]
    _, model = step.get_output()
    assert list(model.feature_names_in_) == ["job", "duration"]
    first = next(step.get_children()).properties["iteration"]
    assert step.get_output(iteration=int(first))[1].predict(bank_like(5).drop(columns="y")).shape == (5,)


def test_guardrails_are_there_while_the_run_is_at_work(target: ComputeTarget) -> None:
    run = submit(target)
    (step,) = run.get_steps()
    wait_until(lambda: bool(step.get_guardrails(to_console=False)))
    assert step.get_status() == "Running"
    run.cancel()
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Canceled"
    assert step.get_guardrails(to_console=False)["faults"]
