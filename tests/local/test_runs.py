from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.metrics import roc_auc_score

from nbhelpers.errors import ExperimentExecutionException, ModelError, UserErrorException
from nbhelpers.local import AutoMLRun, Experiment, PipelineRun, Run, StepRun, child_models
from nbhelpers.local.models import model_file
from nbhelpers.local.reuse import fingerprint_parts
from nbhelpers.local.store import now, runs
from nbhelpers.metrics import CLASSIFICATION_METRICS


def test_waiting_prints_the_sdks_sequence(seed: SimpleNamespace) -> None:
    run, step = seed.pipeline_run, seed.step
    lines = [line for line in seed.printed["wait"].split("\n") if "Status: NotStarted" not in line]
    step_title, title = "StepRun(automl_module) Execution Summary", "PipelineRun Execution Summary"
    assert lines == [
        f"PipelineRunId: {run.id}",
        "PipelineRun Status: Running",
        "",
        "",
        f"StepRunId: {step.id}",
        "StepRun( automl_module ) Status: Running",
        "StepRun( automl_module ) Status: Finished",
        "",
        step_title,
        "=" * (len(step_title) + 1),
        "StepRun( automl_module ) Status: Finished",
        str(step.get_details()),
        "",
        "",
        title,
        "=" * (len(title) + 1),
        "PipelineRun Status: Finished",
        str(run.get_details()),
        "",
        "",
    ]
    assert seed.status == "Finished"
    assert step.get_details()["status"] == "Completed"


def test_no_printed_line_holds_a_path_of_the_machine(seed: SimpleNamespace) -> None:
    assert str(seed.ws.store.home.parent) not in "".join(seed.printed.values())


def test_the_seeds_download_cells_print_and_write_what_azure_does(seed: SimpleNamespace) -> None:
    path = f"azureml/{seed.step.id}/metrics_data"
    assert seed.metrics_output._path_on_datastore == path
    assert seed.printed["metrics"] == (
        f"Downloading {path}\nDownloaded {path}, 1 files out of an estimated total of 1\n"
    )
    assert seed.num_file_downloaded == 1


def test_the_metrics_output_is_a_table_of_one_element_lists(seed: SimpleNamespace) -> None:
    table = pd.DataFrame(json.loads(seed.metrics_text))
    assert list(table.columns) == [f"{seed.step.id}_{k}" for k in range(4)]
    assert set(table.index) == {*CLASSIFICATION_METRICS, "confusion_matrix", "accuracy_table"}
    assert table.map(lambda cell: isinstance(cell, list) and len(cell) == 1).all().all()
    assert 0.5 < table.loc["AUC_weighted"].str[0].astype(float).max() <= 1.0


def test_the_best_model_is_a_pipeline_that_predicts_the_labels(seed: SimpleNamespace) -> None:
    assert seed.best_model.steps[0][0] == "datatransformer"
    frame = seed.dataset.to_pandas_dataframe()
    assert (seed.best_model.predict(frame.drop(columns="y")) == frame["y"]).mean() > 0.6


def test_children_are_runs_with_azures_properties(seed: SimpleNamespace) -> None:
    children = list(seed.step.get_children())
    assert [child.id for child in children] == [f"{seed.step.id}_{k}" for k in range(4)]
    assert {child.get_status() for child in children} == {"Completed"}
    first = children[0].properties
    assert (first["iteration"], first["goal"]) == ("0", "AUC_weighted_max")
    assert len(json.loads(first["fold_scores"])) == 3
    assert isinstance(json.loads(first["pipeline_spec"]), dict)
    assert children[0].get_metrics()["AUC_weighted"] == float(first["score"])
    assert children[0].get_metrics()["confusion_matrix"].endswith(f"dcid.{children[0].id}/confusion_matrix")
    assert (first["nbhelpers.preprocessor"], first["run_preprocessor"]) == ("", "")
    assert first["nbhelpers.fitted"].endswith("LGBMClassifier")
    for last, name in zip(children[-2:], ("VotingEnsemble", "StackEnsemble"), strict=True):
        facts = last.properties
        assert facts["run_algorithm"] == name
        assert facts["pipeline_id"] == {"V": "__AutoML_Ensemble__", "S": "__AutoML_Stack_Ensemble__"}[name[0]]
        assert sum(json.loads(facts["ensemble_weights"])) == pytest.approx(1)
        assert len(json.loads(facts["ensembled_iterations"])) == len(json.loads(facts["ensembled_algorithms"]))


def test_the_files_of_a_child_can_be_downloaded(seed: SimpleNamespace, tmp_path: Path) -> None:
    child = next(seed.step.get_children())
    names = [name for name in child.get_file_names() if name != "outputs/model_data"]  # which a test may ask for
    assert names == ["outputs/accuracy_table", "outputs/confusion_matrix", "predictions.npy"]
    child.download_file("outputs/confusion_matrix", tmp_path / "new" / "matrix.json")
    matrix = json.loads((tmp_path / "new" / "matrix.json").read_text())["data"]["matrix"]
    assert np.sum(matrix) == 400
    child.download_file("predictions.npy", tmp_path)
    assert np.load(tmp_path / "predictions.npy").shape == (400, 2)
    with pytest.raises(UserErrorException, match="Use 'outputs/confusion_matrix'"):
        child.download_file("confusion_matrix")


def test_the_step_run_has_the_properties_and_tags_of_an_automl_run(seed: SimpleNamespace) -> None:
    properties = seed.step.properties
    assert properties["primary_metric"] == "AUC_weighted"
    assert (properties["num_iterations"], properties["num_cross_validation"]) == ("4", "3")
    assert (properties["training_type"], properties["ended_by"]) == ("MeanCrossValidation", "iterations")
    assert (properties["train_rows"], properties["seed"], properties["task"]) == ("400", "0", "classification")
    assert json.loads(properties["AMLSettingsJsonString"])["experiment_timeout_minutes"] == 16
    assert all(isinstance(value, str) for value in properties.values())
    assert seed.step.tags["automl_best_child_run_id"] == seed.step.get_best_child().id
    ways = json.loads(properties["nbhelpers.selection"])
    assert {way["way"] for way in ways} == {"Best child alone", "VotingEnsemble", "StackEnsemble"}
    assert seed.step.get_best_child().properties["iteration"] == str(ways[0]["iteration"])


def test_a_step_says_which_rows_the_predictions_of_its_children_are_for(seed: SimpleNamespace, tmp_path: Path) -> None:
    scored = np.load(seed.ws.store.run_folder(seed.step.id) / "outputs" / "scored_rows.npy")
    assert sorted(scored[:, 0]) == list(range(400))
    assert sorted(set(scored[:, 1])) == [0, 1, 2]
    child = next(seed.step.get_children())
    child.download_file("predictions.npy", tmp_path)
    certainty = np.load(tmp_path / "predictions.npy")[:, 1]
    truth = seed.dataset.to_pandas_dataframe()["y"].to_numpy()[scored[:, 0]] == "yes"
    scores = [roc_auc_score(truth[scored[:, 1] == fold], certainty[scored[:, 1] == fold]) for fold in range(3)]
    assert scores == pytest.approx(json.loads(child.properties["fold_scores"]))


def test_the_best_child_and_its_model(seed: SimpleNamespace) -> None:
    child, model = seed.step.get_output()
    scores = {c.id: c.get_metrics()["AUC_weighted"] for c in seed.step.get_children()}
    assert scores[child.id] == pytest.approx(max(scores.values()), abs=0.05)  # of ways that are close, the safest
    assert seed.step.get_metrics() == child.get_metrics()
    assert list(model.classes_) == ["no", "yes"]
    losses = {c.id: c.get_metrics()["log_loss"] for c in seed.step.get_children()}
    assert losses[seed.step.get_best_child(metric="log_loss").id] == min(losses.values())
    with pytest.raises(UserErrorException, match="Use 'accuracy'"):
        seed.step.get_best_child(metric="acuracy")
    with pytest.raises(UserErrorException, match="Give one of the two"):
        seed.step.get_output(iteration=1, metric="accuracy")
    with pytest.raises(UserErrorException, match="no child run of iteration 99"):
        seed.step.get_output(iteration=99)


def test_the_model_of_any_child_is_fitted_when_it_is_asked_for_and_kept(
    seed: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = seed.dataset.to_pandas_dataframe().drop(columns="y")
    best = seed.step.get_best_child().id
    expected = {}
    for number in range(4):
        child, model = seed.step.get_output(iteration=number)
        assert child.id == f"{seed.step.id}_{number}"
        assert model_file(seed.ws.store, child.id).is_file() == (child.id != best)
        expected[number] = model.predict_proba(rows)
    monkeypatch.setattr("nbhelpers.automl.refitting.fit_child", None)  # none is fitted again
    for number, probabilities in expected.items():
        assert np.array_equal(seed.step.get_output(iteration=number)[1].predict_proba(rows), probabilities)
    with pytest.raises(ModelError, match="only the best model of a run can be registered"):
        seed.step.register_model("other", iteration=next(n for n in range(4) if not best.endswith(f"_{n}")))


def test_the_model_of_a_child_of_another_engine_is_not_fitted(
    seed: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_models, "fingerprint_parts", lambda step: fingerprint_parts(step) | {"engine": "new"})
    step = seed.ws.store.one(sa.select(runs).where(runs.c.id == seed.step.id))
    with pytest.raises(ModelError, match="trained by another version of the engine"):
        child_models._fit(seed.ws.store, step, f"{seed.step.id}_0")


def test_the_summary_counts_algorithms(seed: SimpleNamespace) -> None:
    summary = seed.step.summary()
    assert sum(count for _, count, _ in summary) == 4
    scores = [float(child.properties["score"]) for child in seed.step.get_children()]
    assert max(score for *_, score in summary) == max(scores)


def test_guardrails_are_printed_and_returned(seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    found = seed.step.get_guardrails()
    printed = capsys.readouterr().out
    assert found["schema_type"] == "fault_verifier"
    for fault in found["faults"]:
        assert f"TYPE:         {fault['friendly_type']}" in printed
    assert seed.step.get_guardrails(to_console=False) == found
    assert capsys.readouterr().out == ""


def test_default_outputs_hold_the_same_content(seed: SimpleNamespace, tmp_path: Path) -> None:
    output = seed.step.get_default_metrics_output()
    output.download(tmp_path, show_progress=False)
    assert (tmp_path / f"azureml/{seed.step.id}/default_metrics_automl_module").read_text() == seed.metrics_text
    assert seed.step.get_default_model_output().download(tmp_path) == 1
    assert output.download(tmp_path, overwrite=False) == 0


def test_an_unknown_output_names_the_nearest(seed: SimpleNamespace) -> None:
    with pytest.raises(UserErrorException, match="Use 'metrics_output'"):
        seed.pipeline_run.get_pipeline_output("metrics_data_output")
    with pytest.raises(UserErrorException, match="Use one of: metrics_data, model_data"):
        seed.step.get_output_data("x")


def test_runs_are_found_by_id(seed: SimpleNamespace) -> None:
    assert isinstance(Run.get(seed.ws, seed.pipeline_run.id), PipelineRun)
    assert isinstance(Run.get(seed.ws, seed.step.id), AutoMLRun)
    assert type(Run.get(seed.ws, f"{seed.step.id}_0")) is Run
    assert PipelineRun(seed.experiment, seed.pipeline_run.id).get_status() == "Finished"
    assert [step.id for step in seed.pipeline_run.find_step_run("automl_module")] == [seed.step.id]
    assert seed.pipeline_run.find_step_run("other") == []
    assert isinstance(seed.step, StepRun)


def test_a_run_knows_what_it_is_part_of(seed: SimpleNamespace) -> None:
    child = seed.ws.get_run(f"{seed.step.id}_0")
    assert child.parent.id == seed.step.id
    assert child.parent.parent.id == seed.pipeline_run.id
    assert child.parent.parent.parent is None
    with pytest.raises(UserErrorException, match="has no run 'nothing'"):
        seed.ws.get_run("nothing")


def test_one_metric_can_be_asked_for(seed: SimpleNamespace) -> None:
    for run in (seed.step, seed.step.get_best_child()):
        assert run.get_metrics("accuracy") == {"accuracy": run.get_metrics()["accuracy"]}
        assert run.get_metrics("acuracy") == {}


@pytest.mark.parametrize(
    ("experiment", "run", "problem"),
    [
        ("automl-bank", "nothing", "has no run 'nothing'"),
        ("another", "pipeline", "It is in 'automl-bank'"),
        ("automl-bank", "step", "is a step run, not a pipeline run"),
    ],
)
def test_a_wrong_id_is_refused(seed: SimpleNamespace, experiment: str, run: str, problem: str) -> None:
    run_id = {"pipeline": seed.pipeline_run.id, "step": seed.step.id}.get(run, run)
    with pytest.raises(UserErrorException, match=problem):
        PipelineRun(Experiment(seed.ws, experiment), run_id)


def test_tags_of_a_run_are_added(seed: SimpleNamespace) -> None:
    seed.pipeline_run.set_tags({"label": "y"})
    seed.pipeline_run.tag("task", "classification")
    assert seed.pipeline_run.get_tags() == seed.pipeline_run.tags == {"label": "y", "task": "classification"}


def test_cancelling_a_finished_run_changes_nothing(seed: SimpleNamespace) -> None:
    run = seed.pipeline.submit("cancel-finished")
    run.cancel()
    assert run.get_status() == "Finished"


def unattended_run(seed: SimpleNamespace, **values: object) -> PipelineRun:
    """A run in the store that no worker works on."""
    run_id = f"unattended-{time.monotonic_ns()}"
    row = {
        "id": run_id,
        "experiment": "automl-bank",
        "kind": "pipeline",
        "name": "pipeline",
        "status": "Running",
        "created": now(),
        "heartbeat": time.time(),
        "definition": {},
        "properties": {},
        "tags": {},
        "metrics": {},
    }
    with seed.ws.store.writing() as connection:
        connection.execute(runs.insert().values(row | values))
        step = {"id": f"{run_id}-step", "parent_id": run_id, "kind": "step", "name": "automl_module"}
        connection.execute(runs.insert().values(row | values | step))
    return PipelineRun(seed.experiment, run_id)


def test_waiting_ends_at_the_time_limit_and_the_run_goes_on(
    seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = unattended_run(seed)
    assert run.wait_for_completion(timeout_seconds=0.1) == "Running"
    assert "Timed out of waiting" in capsys.readouterr().out


def test_ctrl_c_ends_the_waiting_only_and_says_how_to_cancel(seed: SimpleNamespace) -> None:
    import _thread
    import threading

    run = unattended_run(seed)
    # One that arrives while Python clears up an object is lost, as any exception is there.
    timers = [threading.Timer(seconds, _thread.interrupt_main) for seconds in (0.2, 3, 6)]
    for timer in timers:
        timer.start()
    with pytest.raises(ExperimentExecutionException, match=r"the run itself goes on.*\n.*run\.cancel\(\)"):
        run.wait_for_completion(show_output=False)
    for timer in timers:
        timer.cancel()
    assert run.get_status() == "Running"


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"pid": 2**22 + 1, "heartbeat": time.time() - 5}, "Failed"),
        ({"pid": 2**22 + 1, "heartbeat": time.time() - 5, "cancel_requested": True}, "Canceled"),
        ({"pid": 2**22 + 1, "heartbeat": time.time() + 3600}, "Running"),  # of another container
        ({"heartbeat": time.time() - 60}, "Failed"),
    ],
)
def test_a_run_without_a_living_worker_is_ended(seed: SimpleNamespace, values: dict[str, object], status: str) -> None:
    run = unattended_run(seed, **values)
    assert run.get_status() == status
    step = seed.ws.store.one(sa.select(runs.c.status).where(runs.c.parent_id == run.id))
    assert step["status"] == status
    error = run.get_details().get("error", {"error": {"code": None}})
    assert error["error"]["code"] == {"Failed": "WorkerLost", "Canceled": "Canceled", "Running": None}[status]


def test_a_search_that_stopped_early_warns_in_the_summary(
    seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    properties = {"ended_by": "early_stopping", "AMLSettingsJsonString": '{"early_stopping_n_iters": 12}'}
    run = unattended_run(seed, status="Finished", properties=properties)
    (step,) = run.get_steps()
    assert step.wait_for_completion() == "Finished"
    warning = step.get_details()["warnings"][0]["message"]
    assert warning.startswith("No scores improved over last 12 iterations, so experiment stopped early.")
    assert f"\nStepRun( automl_module ) Status: Finished\n\nWarnings:\n{warning}\n{{" in capsys.readouterr().out


def test_a_download_that_fails_leaves_nothing_behind(seed: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserErrorException, match="cannot be written to"):
        seed.metrics_output.download(tmp_path / "file")
    child = next(seed.step.get_children())
    with pytest.raises(UserErrorException, match="cannot be written to"):
        child.download_file("predictions.npy", tmp_path / "file" / "predictions.npy")
    taken = tmp_path / seed.metrics_output.path_on_datastore
    taken.mkdir(parents=True)
    with pytest.raises(UserErrorException, match="Is a directory"):
        seed.metrics_output.download(tmp_path)
    assert list(taken.parent.iterdir()) == [taken]
