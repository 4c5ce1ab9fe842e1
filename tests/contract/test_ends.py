"""Runs that end otherwise: failed, cancelled, or with the results of an earlier run."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any

import pytest

from nbhelpers import results

from .runs import Seen, outputs, pipeline_of

#: Seconds within which something has to happen that takes a tenth of them.
DEADLINE = 120


def test_a_failed_run_says_why(
    ml: Any, target: Any, dataset: Any, errors: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pipeline_of(ml, target, training_data=dataset, n_cross_validations=200).submit("failing")
    with pytest.raises(errors.ActivityFailedException, match="n_cross_validations=200 is too many folds for 300 rows"):
        run.wait_for_completion(show_output=False)
    assert run.get_status() == "Failed"
    assert [step.get_status() for step in run.get_steps()] == ["Failed"]
    assert "too many folds" in run.get_details()["error"]["error"]["message"]
    capsys.readouterr()
    assert run.wait_for_completion(raise_on_error=False) == "Failed"
    printed = capsys.readouterr().out
    assert "PipelineRun Status: Failed" in printed
    assert "Error:" in printed


def test_a_run_is_cancelled(ml: Any, target: Any, dataset: Any) -> None:
    run = pipeline_of(ml, target, training_data=dataset, iterations=1000, enable_early_stopping=False).submit(
        "cancelled"
    )
    deadline = time.monotonic() + DEADLINE
    while not (list(run.get_steps()) and list(next(iter(run.get_steps())).get_children())):
        assert time.monotonic() < deadline
        assert run.get_status() in ("NotStarted", "Running")
        time.sleep(0.5)
    run.cancel()
    assert run.wait_for_completion(show_output=False, timeout_seconds=DEADLINE, raise_on_error=False) == "Canceled"
    assert [step.get_status() for step in run.get_steps()] == ["Canceled"]


def test_waiting_ends_after_its_time_and_the_run_goes_on(ml: Any, target: Any, dataset: Any) -> None:
    run = pipeline_of(ml, target, training_data=dataset, iterations=1000, enable_early_stopping=False).submit("waited")
    with redirect_stdout(io.StringIO()) as printed:
        status = run.wait_for_completion(timeout_seconds=3)
    assert status in ("NotStarted", "Running")
    assert "Timed out of waiting" in printed.getvalue()
    run.cancel()
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Canceled"


def test_the_same_pipeline_takes_over_the_results(ml: Any, ws: Any, target: Any, dataset: Any, seen: Seen) -> None:
    pipeline = pipeline_of(ml, target, training_data=dataset, outputs=outputs(ml, ws))
    with redirect_stdout(io.StringIO()) as printed:
        run = pipeline.submit("reusing")
    assert "(This step is eligible to reuse a previous run's output)" in printed.getvalue()
    assert run.wait_for_completion(show_output=False) == "Finished"
    first, again = results.automl_step(seen.run), results.automl_step(run)
    facts = again.get_properties()
    assert facts["azureml.reusedrunid"] == first.id
    assert facts["azureml.reusedpipeline"] == seen.run.id
    path = run.get_pipeline_output("metrics_output")._path_on_datastore
    assert path == seen.run.get_pipeline_output("metrics_output")._path_on_datastore
    assert again.get_best_child().id == first.get_best_child().id


@pytest.mark.parametrize("way", ["regenerate_outputs", "allow_reuse"])
def test_reuse_can_be_declined(ml: Any, target: Any, dataset: Any, way: str) -> None:
    settings = {"training_data": dataset, "iterations": 1}
    pipeline = pipeline_of(ml, target, allow_reuse=way != "allow_reuse", **settings)
    runs = []
    for _ in range(2):
        runs.append(pipeline.submit("anew", regenerate_outputs=way == "regenerate_outputs"))
        assert runs[-1].wait_for_completion(show_output=False) == "Finished"
    steps = [results.automl_step(run) for run in runs]
    assert steps[0].id != steps[1].id
    assert not [step for step in steps if "azureml.reusedrunid" in step.get_properties()]
