"""A pipeline of an AutoML step that finishes: what is printed, its outputs, children, metrics and model."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbhelpers import results
from nbhelpers.local import models
from nbhelpers.metrics import CLASSIFICATION_METRICS

from .runs import SETTINGS, Seen

ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: Lines that one backend alone prints: links to the studio, and why a step is reused or not.
OWN = re.compile("Link to Azure Machine Learning Portal|Reuse of step")


Metrics = dict[str, dict[str, Any]]


def lines(printed: str) -> list[str]:
    """The lines that both backends print."""
    return [line for line in printed.splitlines() if line.strip() and not OWN.match(line)]


@pytest.fixture(scope="module")
def step(seen: Seen) -> Any:
    return results.automl_step(seen.run)


@pytest.fixture(scope="module")
def children(step: Any) -> list[Any]:
    return sorted(step.get_children(), key=lambda child: int(child.properties["iteration"]))


@pytest.fixture(scope="module")
def metrics(children: list[Any]) -> Metrics:
    """The metrics of each child by its id; the SDK asks for each by itself, which takes a second a child."""
    return {child.id: child.get_metrics() for child in children}


def test_submitting_prints_the_step_and_the_run(seen: Seen) -> None:
    created, submitted = lines(seen.submitted)
    assert re.fullmatch(
        rf"Created step automl_module \[[0-9a-f]{{8}}\]\[{ID}\], \(This step will run and generate new outputs\)",
        created,
    )
    assert submitted == f"Submitted PipelineRun {seen.run.id}"
    assert re.fullmatch(ID, seen.run.id)


def test_waiting_prints_the_states_of_run_and_step(seen: Seen, step: Any) -> None:
    assert seen.status == "Finished"
    printed = lines(seen.waited)
    assert printed[0] == f"PipelineRunId: {seen.run.id}"
    assert f"StepRunId: {step.id}" in printed
    titles = [line for line in printed if line.endswith("Execution Summary")]
    assert titles == ["StepRun(automl_module) Execution Summary", "PipelineRun Execution Summary"]
    for title, state in zip(
        titles, ("StepRun( automl_module ) Status: Finished", "PipelineRun Status: Finished"), strict=True
    ):
        place = printed.index(title)
        assert printed[place + 1] == "=" * (len(title) + 1)
        assert printed[place + 2] == state
    # Whether it is seen before it runs is a matter of time.
    assert {"PipelineRun Status: NotStarted", "PipelineRun Status: Running"} & set(printed)
    assert "StepRun( automl_module ) Status: Running" in printed


def test_the_states_are_the_sdks(seen: Seen, children: list[Any]) -> None:
    (step,) = seen.run.find_step_run("automl_module")
    assert (seen.run.get_status(), step.get_status()) == ("Finished", "Finished")
    assert {child.get_status() for child in children} == {"Completed"}
    assert seen.run.get_details()["status"] == "Completed"
    assert seen.run.wait_for_completion(show_output=False) == "Finished"


def test_a_run_is_found_by_its_id_and_in_its_experiment(ml: Any, seen: Seen) -> None:
    assert ml.PipelineRun(seen.experiment, seen.run.id).get_status() == "Finished"
    assert seen.run.id in [run.id for run in seen.experiment.get_runs()]
    assert [found.id for found in seen.run.find_step_run("automl_module")] == [s.id for s in seen.run.get_steps()]


def test_a_run_has_tags(seen: Seen) -> None:
    assert seen.run.get_tags()["made"] == "by a test"
    seen.run.tag("more", "later")
    assert seen.run.get_tags()["more"] == "later"


def test_the_metrics_output_has_a_column_for_each_child(
    seen: Seen, step: Any, metrics: Metrics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = seen.run.get_pipeline_output("metrics_output")
    assert output._path_on_datastore == f"azureml/{step.id}/metrics_data"
    assert output.download(str(tmp_path), show_progress=True) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"Downloading {output._path_on_datastore}",
        f"Downloaded {output._path_on_datastore}, 1 files out of an estimated total of 1",
    ]
    columns = json.loads((tmp_path / output._path_on_datastore).read_text())
    assert set(columns) == {f"{step.id}_{number}" for number in range(4)} == set(metrics)
    for child, values in metrics.items():
        assert set(columns[child]) == {*CLASSIFICATION_METRICS, "confusion_matrix", "accuracy_table"}
        for metric in CLASSIFICATION_METRICS:
            assert columns[child][metric] == [values[metric]]


def test_the_model_output_predicts(backend: str, seen: Seen, table: pd.DataFrame, tmp_path: Path) -> None:
    output = seen.run.get_pipeline_output("best_model_output")
    assert output.download(str(tmp_path)) == 1
    # Azure's is a pickle, the local one a skops file, for which `models` has the same name.
    with (tmp_path / output._path_on_datastore).open("rb") as file:
        model = pickle.load(file) if backend == "azure" else models.load(file)  # noqa: S301
    assert model.steps[0][0] == "datatransformer"
    assert np.mean(model.predict(table.drop(columns="y")) == table["y"]) > 0.7


def test_an_output_that_the_pipeline_does_not_have_is_refused(seen: Seen) -> None:
    with pytest.raises(Exception, match="missing_output"):
        seen.run.get_pipeline_output("missing_output")


def test_the_default_outputs_are_there_too(seen: Seen, step: Any, tmp_path: Path) -> None:
    for kind in ("metrics", "model"):
        output = seen.run.get_pipeline_output(f"_default_{kind}_automl_module")
        assert output._path_on_datastore == f"azureml/{step.id}/default_{kind}_automl_module"
        assert output.download(str(tmp_path)) == 1


def test_the_children_say_what_they_tried(step: Any, children: list[Any], metrics: Metrics) -> None:
    assert [child.id for child in children] == [f"{step.id}_{number}" for number in range(4)]
    for child in children:
        facts = child.get_properties()
        assert facts["run_algorithm"]
        assert facts["primary_metric"] == SETTINGS["primary_metric"]
        assert facts["goal"] == "AUC_weighted_max"
        assert float(facts["score"]) == pytest.approx(metrics[child.id]["AUC_weighted"])
    assert children[-1].get_properties()["run_algorithm"] == "VotingEnsemble"
    assert step.get_properties()["primary_metric"] == SETTINGS["primary_metric"]
    assert step.get_properties()["num_iterations"] == "4"


def test_the_best_child_is_among_the_best_by_score_and_the_best_by_another_metric_is_first(
    step: Any, metrics: Metrics
) -> None:
    scores = {child: values["AUC_weighted"] for child, values in metrics.items()}
    # The engine prefers what generalises best; on so few rows scores tell little.
    assert scores[step.get_best_child().id] == pytest.approx(max(scores.values()), abs=0.05)
    losses = {child: values["log_loss"] for child, values in metrics.items()}
    assert losses[step.get_best_child(metric="log_loss").id] == min(losses.values())


def test_the_step_gives_child_and_model_together(step: Any, table: pd.DataFrame) -> None:
    child, model = step.get_output()
    assert child.id == step.get_best_child().id
    assert model.predict_proba(table.drop(columns="y")).shape == (300, 2)


def test_the_guardrails_are_those_of_the_data(step: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = step.get_guardrails(to_console=False)
    assert capsys.readouterr().out == ""
    assert found["schema_type"] == "fault_verifier"
    states = {fault["friendly_type"]: fault["result"] for fault in found["faults"]}
    assert states["Missing feature values imputation"] == "Passed"
    step.get_guardrails()
    assert "Missing feature values imputation" in capsys.readouterr().out


def test_a_best_model_scores_other_rows(seen: Seen, dataset: Any, table: pd.DataFrame) -> None:
    predictions = results.predict(seen.run, dataset)
    assert len(predictions) == len(table)
