from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from nbhelpers import results
from nbhelpers.errors import UserErrorException
from nbhelpers.results.runs import child_runs, iteration, number

from .small_runs import PipelineRun

ML = SimpleNamespace(PipelineRun=PipelineRun)


def experiment_with(step, *statuses):
    """An experiment with runs of these statuses, newest first, and a run that is no pipeline run before them."""
    experiment = SimpleNamespace(name="bank")
    runs = [PipelineRun(experiment, f"run-{k}", step, status) for k, status in enumerate(statuses)]
    experiment.get_runs = lambda: iter([SimpleNamespace(id="script", get_status=lambda: "Finished"), *runs])
    return experiment


def test_latest_is_the_newest_finished_pipeline_run(bank_run):
    experiment = experiment_with(bank_run.step, "Running", "Failed", "Finished", "Finished")
    assert results.find_run(ML, experiment).id == "run-2"


def test_a_run_is_found_by_its_id(bank_run):
    assert results.find_run(ML, experiment_with(bank_run.step, "Finished", "Completed"), "run-1").id == "run-1"


@pytest.mark.parametrize(
    ("statuses", "problem", "remedy"),
    [
        ([], "no pipeline run at all", "03_train.ipynb first"),
        (["Failed", "Canceled"], "newest pipeline run is Failed", "03_train.ipynb first"),
        (["Running"], "newest pipeline run is Running", "wait until"),
    ],
)
def test_without_a_finished_run_the_error_says_what_to_do(bank_run, statuses, problem, remedy):
    with pytest.raises(UserErrorException) as caught:
        results.find_run(ML, experiment_with(bank_run.step, *statuses))
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_an_unknown_id_is_named_with_the_notebook_to_run(bank_run):
    with pytest.raises(UserErrorException, match="'run-9'") as caught:
        results.find_run(ML, experiment_with(bank_run.step, "Finished"), "run-9")
    assert "03_train.ipynb" in caught.value.remedy


@pytest.mark.parametrize("status", ["Running", "Failed", "Canceled"])
def test_a_run_that_has_not_finished_says_its_status(bank_run, status):
    with pytest.raises(UserErrorException, match=f"'run-0' is {status}"):
        results.find_run(ML, experiment_with(bank_run.step, status), "run-0")


def test_the_automl_step_of_a_pipeline_run_or_of_itself(bank_run):
    assert results.automl_step(bank_run) is bank_run.step
    assert results.automl_step(bank_run.step) is bank_run.step


def test_steps_without_automl_are_named():
    script = SimpleNamespace(name="clean_up")
    with pytest.raises(UserErrorException, match=r"clean_up \(SimpleNamespace\)"):
        results.automl_step(SimpleNamespace(id="p", get_steps=lambda: [script]))
    with pytest.raises(UserErrorException, match=r"none \(str\)"):
        results.automl_step("no run")


def test_two_automl_steps_are_refused_by_name():
    first, second = (SimpleNamespace(name=name, get_guardrails=None) for name in ("one", "two"))
    with pytest.raises(UserErrorException, match="2 AutoML steps: one, two"):
        results.automl_step(SimpleNamespace(id="p", get_steps=lambda: iter([first, second])))


def test_children_come_by_number_and_without_the_set_up_run(bank_run):
    assert [iteration(child) for child in child_runs(bank_run)] == [0, 1, 2, 10]


@pytest.mark.parametrize(("value", "expected"), [("0.5", 0.5), ([0.25], 0.25), (3, 3.0)])
def test_numbers_are_unwrapped(value, expected):
    assert number(value) == expected


@pytest.mark.parametrize("value", ["", None, "aml://x", [1, 2], {}])
def test_what_is_no_number_is_nan(value):
    assert pd.isna(number(value))


def test_importing_the_package_loads_nothing_heavy():
    heavy = "{'pandas', 'sklearn', 'matplotlib', 'lightgbm'}"
    code = f"import sys, nbhelpers.results as r; dir(r); assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_a_function_whatever_was_imported_before():
    for name in results.__all__:
        assert callable(getattr(results, name)), name
    with pytest.raises(AttributeError, match="no_such"):
        _ = results.no_such
