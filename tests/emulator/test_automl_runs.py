from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nbhelpers.emulator.names import API, SCOPE
from nbhelpers.emulator.records import experiment_id
from nbhelpers.emulator.state import State
from nbhelpers.local import Experiment, Workspace
from nbhelpers.local.listing import find_run
from nbhelpers.local.store import runs

from ..local.conftest import bank_like
from ..local.faults import create_target, end_of, wait_until
from .conftest import Ask
from .sent import DEFAULTS, SMALL, add_data

HISTORY = f"{API}/history/v1.0{SCOPE}"
SEARCHES = f"{API}/jasmine/v1.0{SCOPE}/experimentids/{experiment_id('bank')}"


@pytest.fixture
def data_id(cloud: State) -> str:
    """The id of a data set, in a workspace that has an experiment and a compute target."""
    Experiment(cloud.workspace, "bank")
    create_target(cloud.workspace, 2)
    return str(add_data(cloud, bank_like(300))["latest"]["savedDatasetId"])


def body(data_id: str, **settings: Any) -> dict[str, Any]:
    return {
        "amlSettingsJsonString": json.dumps(DEFAULTS | SMALL | settings),
        **with_data(training_data=data_id),
        "properties": {"display_task_type": "classification"},
    }


def with_data(**ids: str) -> dict[str, str]:
    """The part of a body that names data sets."""
    data = json.dumps({name: {"datasetId": data_id} for name, data_id in ids.items()} | {"datasets": 0})
    return {"dataPrepJsonString": data.replace('"', '\\"')}


def submit(ask: Ask, data_id: str, **settings: Any) -> str:
    answer = ask("POST", f"{SEARCHES}/run", json=body(data_id, **settings))
    assert answer.status_code == 200, answer.text
    started = ask("POST", f"{SEARCHES}/runs/{answer.json()}/submitSnapshotRun", json={"configuration": {}})
    assert started.json() == {"runId": answer.json()}
    return str(answer.json())


def local_run(cloud: State, run_id: str) -> Any:
    """The local pipeline run that is around a search."""
    row = cloud.workspace.store.one(sa.select(runs.c.parent_id).where(runs.c.id == run_id))
    assert row is not None
    return find_run(cloud.workspace, row["parent_id"])[1]


def test_a_search_outside_of_a_pipeline_is_a_run_of_its_own_with_children(cloud: State, ask: Ask, data_id: str) -> None:
    run_id = submit(ask, data_id)
    assert run_id.startswith("AutoML_")
    assert end_of(local_run(cloud, run_id)) == "Finished"
    (run,) = ask("POST", f"{HISTORY}/experiments/bank/runs:query", json={"filter": "(ParentRunId eq null)"}).json()[
        "value"
    ]
    assert (run["runId"], run["runType"], run["status"]) == (run_id, "automl", "Completed")
    assert run["rootRunId"] == run_id
    assert run["properties"]["display_task_type"] == "classification"
    assert json.loads(run["properties"]["AMLSettingsJsonString"])["early_stopping_n_iters"] == 10
    assert "ProblemInfoJsonString" in run["properties"]
    (read,) = ask("GET", f"{HISTORY}/experiments/bank/runs/{run_id}/details").json()["inputDatasets"]
    assert (read["identifier"], read["inputDetails"]["inputName"]) == ({"savedId": data_id}, "training_data")
    children = ask("GET", f"{HISTORY}/experiments/bank/runs/{run_id}/children").json()["value"]
    assert {child["runId"] for child in children} == {f"{run_id}_{number}" for number in range(3)}
    assert {(child["parentRunId"], child["rootRunId"]) for child in children} == {(run_id, run_id)}
    assert {child["properties"]["model_output_path"] for child in children} == {"outputs/model.pkl"}
    assert run["tags"]["automl_best_child_run_id"] in {child["runId"] for child in children}
    around = local_run(cloud, run_id).id
    assert ask("GET", f"{HISTORY}/experiments/bank/runs/{around}").status_code == 404
    assert submit(ask, data_id) != run_id
    again = submit(ask, data_id)
    assert end_of(local_run(cloud, again)) == "Finished"
    assert "azureml.reusedrunid" not in ask("GET", f"{HISTORY}/runs/{again}").json()["properties"]


def test_a_search_is_cancelled(ask: Ask, data_id: str) -> None:
    run_id = submit(ask, data_id, iterations=200)
    url = f"{HISTORY}/experiments/bank/runs/{run_id}"
    wait_until(lambda: ask("GET", url).json()["status"] == "Running")
    assert ask("POST", f"{SEARCHES}/cancelrun/{run_id}").status_code == 200
    wait_until(lambda: ask("GET", url).json()["status"] == "Canceled")
    assert ask("POST", f"{SEARCHES}/cancelrun/none").status_code == 404


def test_a_search_whose_client_gives_up_is_ended(cloud: State, ask: Ask, data_id: str) -> None:
    run_id = submit(ask, data_id, iterations=200)
    assert ask("POST", f"{SEARCHES}/runs/{run_id}/changerunstatus/Completed").status_code == 501
    assert ask("POST", f"{SEARCHES}/runs/{run_id}/changerunstatus/Failed").status_code == 200
    assert end_of(local_run(cloud, run_id)) == "Canceled"


def test_a_search_that_cannot_be_run_is_refused_with_all_reasons(cloud: State, ask: Ask, data_id: str) -> None:
    answer = ask("POST", f"{SEARCHES}/run", json=body(data_id, label_column_name="z", compute_target="gpu"))
    assert answer.status_code == 400
    assert "'z'" in answer.text
    assert "gpu" in answer.text
    for wrong in ({"dataPrepJsonString": None}, {"dataPrepJsonString": "{}"}, {"amlSettingsJsonString": "{"}):
        assert ask("POST", f"{SEARCHES}/run", json=body(data_id) | wrong).status_code == 400
    assert cloud.workspace.store.all(sa.select(runs)) == []


def test_settings_are_checked_before_there_is_an_experiment(ask: Ask) -> None:
    url = SEARCHES.replace(experiment_id("bank"), "placeholder") + "/validation"
    assert ask("POST", url, json=body("any")).json()["error"]["details"] == []
    (problem,) = ask("POST", url, json=body("any", enable_onnx_compatible_models=True)).json()["error"]["details"]
    assert "enable_onnx_compatible_models" in problem["message"]


def test_the_sdk_submits_a_search_and_reads_all_of_it(workspace: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("azureml.core", reason="needs the azure environment: make install-azure")
    from nbhelpers.emulator.client import config_in
    from nbhelpers.emulator.launch import running

    with running(workspace) as emulator, config_in(tmp_path):
        environment = emulator.environment | {"PYTHONPATH": f"{emulator.environment['PYTHONPATH']}:{Path.cwd()}"}
        command = [sys.executable, "-m", "tests.emulator.automl_by_sdk", str(tmp_path / "facts.json")]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=200)
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["status"] == "Completed"
    assert facts["cancelled"] == "Canceled"
    assert facts["type"] == "automl"
    assert facts["same"] == "AutoMLRun"
    assert facts["runs"] == [facts["id"]]
    assert facts["tags"]["colour"] == "red"
    assert facts["child"] == facts["best"] == facts["tags"]["automl_best_child_run_id"]
    assert facts["predictions"] == ["no", "yes"]
    assert "ClassBalancing" in facts["guardrails"]
    assert facts["children"] == [f"{facts['id']}_{number}" for number in range(3)]
    assert facts["scores"][facts["best"]] == facts["score"] == pytest.approx(max(facts["scores"].values()), abs=0.05)
    assert facts["others"] == [["no", "yes"]] * 3
    assert sum(count for _, count, _ in facts["summary"]) == 3
    assert facts["matrix"] == "confusion_matrix"
    assert "ModelSelection" in facts["log"]


def test_data_sets_that_a_search_would_pass_over_are_refused(ask: Ask, data_id: str) -> None:
    sent = body(data_id)
    answer = ask("POST", f"{SEARCHES}/run", json=sent | with_data(training_data=data_id, test_data=data_id))
    assert answer.status_code == 400
    assert "The input 'test_data' works on Azure ML only" in answer.text


def test_a_search_is_given_validation_data(cloud: State, ask: Ask, data_id: str) -> None:
    valid_id = add_data(cloud, bank_like(60, seed=2), "valid")["latest"]["savedDatasetId"]
    given = with_data(training_data=data_id, validation_data=valid_id)
    url = SEARCHES.replace(experiment_id("bank"), "placeholder") + "/validation"
    sent = body(data_id) | {"target": given["dataPrepJsonString"]}
    (problem,) = ask("POST", url, json=sent).json()["error"]["details"]
    assert "validation_data and n_cross_validations conflict" in problem["message"]
    answer = ask("POST", f"{SEARCHES}/run", json=body(data_id, n_cross_validations=None) | given)
    run_id = answer.json()
    read = ask("GET", f"{HISTORY}/experiments/bank/runs/{run_id}/details").json()["inputDatasets"]
    assert [one["inputDetails"]["inputName"] for one in read] == ["training_data", "validation_data"]
    assert [one["identifier"]["savedId"] for one in read] == [data_id, valid_id]
    assert end_of(local_run(cloud, run_id)) == "Finished"
    found = ask("GET", f"{HISTORY}/experiments/bank/runs/{run_id}").json()["properties"]
    assert found["training_type"] == "TrainAndValidation"
