from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbhelpers.emulator.names import API, BLOB, DATA_CONTAINER, SCOPE
from nbhelpers.emulator.run_files import LOG
from nbhelpers.emulator.state import State
from nbhelpers.local import AutoMLConfig, AutoMLStep, Pipeline, PipelineData, TrainingOutput, Workspace
from nbhelpers.local.store import runs

from ..local.conftest import bank_like
from ..local.faults import SETTINGS, create_target, end_of
from ..local.rows import add_run
from .conftest import Ask

ARTIFACTS = f"{API}/artifact/v2.0{SCOPE}/artifacts"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A workspace with a finished pipeline run, and one of another experiment that reuses it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBHELPERS_HOME", str(tmp_path_factory.mktemp("trained") / "home"))
        target = create_target(Workspace.from_config(), 2)
        first, second = (_submit(target, name, experiment) for name, experiment in (("a", "one"), ("b", "two")))
        return SimpleNamespace(home=target.workspace.store.home, step=first, user=second)


def _submit(target: Any, name: str, experiment: str) -> Any:
    config = AutoMLConfig(
        "classification", compute_target=target, training_data=bank_like(300), label_column_name="y", **SETTINGS
    )
    outputs = [
        PipelineData(
            f"{kind.lower()}_{name}", target.workspace.get_default_datastore(), training_output=TrainingOutput(kind)
        )
        for kind in ("Metrics", "Model")
    ]
    run = Pipeline(target.workspace, AutoMLStep("search", config, outputs=outputs)).submit(experiment)
    assert end_of(run) == "Finished"
    return next(run.get_steps())


@pytest.fixture
def home(trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NBHELPERS_HOME", str(trained.home))
    return Path(trained.home)


def names(ask: Ask, run_id: str) -> list[str]:
    answer = ask("GET", f"{ARTIFACTS}/ExperimentRun/dcid.{run_id}")
    assert answer.status_code == 200, answer.text
    return [one["path"] for one in answer.json()["value"]]


def content(ask: Ask, run_id: str, name: str) -> bytes:
    place = ask("GET", f"{ARTIFACTS}/contentinfo/ExperimentRun/dcid.{run_id}/{name}").json()
    assert place["path"] == name
    answer = ask("GET", place["contentUri"])
    assert answer.status_code == 200, answer.text
    return answer.content


def output(ask: Ask, step_id: str, name: str) -> Any:
    return ask("GET", f"{BLOB}/{DATA_CONTAINER}/azureml/{step_id}/{name}")


def test_a_step_has_its_log_and_its_guardrails(ask: Ask, trained: SimpleNamespace) -> None:
    assert names(ask, trained.step.id) == [LOG, "outputs/verifier_results.json"]
    assert json.loads(content(ask, trained.step.id, "outputs/verifier_results.json")) == trained.step.get_guardrails(
        False
    )
    assert content(ask, trained.step.id, LOG).decode() == trained.step.get_logs()


def test_the_best_child_has_the_model_as_a_pickle_and_the_packages_for_it(ask: Ask, trained: SimpleNamespace) -> None:
    best, model = trained.step.get_output()
    rows = bank_like(50, seed=1).drop(columns="y")
    pickled = pickle.loads(content(ask, best.id, "outputs/model.pkl"))  # noqa: S301 - made in this test
    assert (pickled.predict_proba(rows) == model.predict_proba(rows)).all()
    packages = json.loads(content(ask, best.id, "outputs/env_dependencies.json"))
    assert "scikit-learn" in packages
    assert (
        f"scikit-learn=={packages['scikit-learn']}" in content(ask, best.id, "outputs/conda_env_v_1_0_0.yml").decode()
    )


def test_a_child_has_its_tables_under_both_names(ask: Ask, trained: SimpleNamespace) -> None:
    for child in trained.step.get_children():
        assert {"confusion_matrix", "outputs/confusion_matrix", "accuracy_table"} <= set(names(ask, child.id))
        assert content(ask, child.id, "confusion_matrix") == content(ask, child.id, "outputs/confusion_matrix")


def test_the_model_of_another_child_is_made_when_it_is_asked_for(ask: Ask, trained: SimpleNamespace) -> None:
    best = trained.step.get_best_child().id
    other = next(child for child in trained.step.get_children() if child.id != best)
    assert "outputs/model.pkl" not in names(ask, other.id)
    pickled = pickle.loads(content(ask, other.id, "outputs/model.pkl"))  # noqa: S301 - made in this test
    _, model = trained.step.get_output(iteration=int(other.properties["iteration"]))
    rows = bank_like(50, seed=1).drop(columns="y")
    assert (pickled.predict_proba(rows) == model.predict_proba(rows)).all()
    assert {"outputs/model.pkl", "outputs/env_dependencies.json"} <= set(names(ask, other.id))
    assert "outputs/model_data" not in names(ask, other.id)


def test_the_outputs_of_a_step_are_there_under_the_names_of_every_step_that_uses_them(
    ask: Ask, trained: SimpleNamespace
) -> None:
    assert trained.user.properties["azureml.reusedrunid"] == trained.step.id
    for name in ("a", "b"):
        metrics = output(ask, trained.step.id, f"metrics_{name}").json()
        assert set(metrics) == {child.id for child in trained.step.get_children()}
        model = pickle.loads(output(ask, trained.step.id, f"model_{name}").content)  # noqa: S301
        assert hasattr(model, "predict")
    assert output(ask, trained.user.id, "metrics_b").status_code == 404
    assert output(ask, trained.step.id, "metrics_c").status_code == 404


def test_the_url_of_a_file_needs_its_signature(ask: Ask, trained: SimpleNamespace, stranger: Any) -> None:
    url = ask("GET", f"{ARTIFACTS}/contentinfo/ExperimentRun/dcid.{trained.step.id}/{LOG}").json()["contentUri"]
    assert stranger.get(url).status_code == 200
    assert stranger.get(url.partition("?")[0]).status_code == 403


def test_files_are_listed_by_the_beginning_of_their_names(ask: Ask, trained: SimpleNamespace) -> None:
    def paths(url: str) -> list[str]:
        return [one["path"] for one in ask("GET", f"{ARTIFACTS}/{url}").json()["value"]]

    folder = f"ExperimentRun/dcid.{trained.step.id}"
    assert paths(f"prefix/contentinfo/{folder}/outputs//") == ["outputs/verifier_results.json"]
    assert paths(f"prefix/contentinfo/{folder}/user_logs") == []
    assert paths(f"{folder}/logs") == [LOG]
    assert paths("ExperimentRun/dcid.none") == []
    assert ask("GET", f"{ARTIFACTS}/contentinfo/{folder}/none").status_code == 404


def test_a_run_that_has_not_finished_has_no_model(cloud: State, ask: Ask) -> None:
    _, step_id = add_run(cloud.workspace.store, status="Failed", children=[("Completed", "0.5")])
    outputs = {"outputs": [{"name": "model", "type": "Model"}, {"name": "metrics", "type": "Metrics"}]}
    best = {"automl_best_child_run_id": f"{step_id}_0"}
    with cloud.workspace.store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == step_id).values(definition=outputs, tags=best))
    folder = cloud.workspace.store.run_folder(step_id) / "outputs"
    folder.mkdir()
    for name in ("model_data", "metrics_data"):
        (folder / name).write_bytes(b"{}")
    assert names(ask, f"{step_id}_0") == []
    assert output(ask, step_id, "model").status_code == 404
    assert output(ask, step_id, "metrics").status_code == 200
