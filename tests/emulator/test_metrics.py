from __future__ import annotations

import math
from typing import Any

import pytest
import sqlalchemy as sa

from nbhelpers.emulator.names import API, SCOPE
from nbhelpers.emulator.state import State
from nbhelpers.local.processes import log_file
from nbhelpers.local.store import runs

from ..local.rows import add_run
from .conftest import Ask

METRICS = f"{API}/metric/v2.0{SCOPE}/runs"
QUERY = f"{API}/history/v1.0{SCOPE}/experiments/bank/metrics:query"


@pytest.fixture
def step(cloud: State) -> str:
    """A step with two children, of which the first is the best one."""
    store = cloud.workspace.store
    _, step_id = add_run(store, children=[("Completed", "0.5"), ("Completed", "0.4")])
    with store.writing() as connection:
        for number, accuracy in enumerate((0.5, math.nan)):
            table = f"aml://artifactId/ExperimentRun/dcid.{step_id}_{number}/confusion_matrix"
            metrics = {"accuracy": accuracy, "confusion_matrix": table}
            connection.execute(runs.update().where(runs.c.id == f"{step_id}_{number}").values(metrics=metrics))
        best = {"automl_best_child_run_id": f"{step_id}_0"}
        connection.execute(sa.update(runs).where(runs.c.id == step_id).values(tags=best))
    log_file(store, step_id).write_text("2026-01-01 00:00:00Z Current status: ModelSelection. Beginning.\nITER\n")
    return step_id


def names(ask: Ask, run_id: str) -> list[str]:
    answer = ask("POST", f"{METRICS}/{run_id}/list", json={})
    return [one["metricKey"]["name"] for one in answer.json()["value"]]


def full(ask: Ask, run_id: str, name: str) -> Any:
    return ask("POST", f"{METRICS}/{run_id}/full", json={"metricName": name}).json()


def queried(ask: Ask, filter: str) -> set[tuple[str, str]]:
    answer = ask("POST", QUERY, json={"filter": filter})
    assert answer.status_code == 200, answer.text
    return {(one["runId"][-2:], one["name"]) for one in answer.json()["value"]}


def test_a_child_has_numbers_and_tables(ask: Ask, step: str) -> None:
    assert names(ask, f"{step}_0") == ["accuracy", "confusion_matrix"]
    number = full(ask, f"{step}_0", "accuracy")
    assert number["columns"] == {"accuracy": "double"}
    assert [value["data"] for value in number["value"]] == [{"accuracy": 0.5}]
    assert number["properties"]["uxMetricType"] == "azureml.v1.scalar"
    table = full(ask, f"{step}_0", "confusion_matrix")
    assert table["properties"]["uxMetricType"] == "azureml.v2.confusion_matrix"
    assert table["dataContainerId"] == f"dcid.{step}_0"


def test_a_number_that_is_none_is_written_as_text_of_a_number(ask: Ask, step: str) -> None:
    metric = full(ask, f"{step}_1", "accuracy")
    assert metric["columns"] == {"accuracy": "double"}
    assert math.isnan(float(metric["value"][0]["data"]["accuracy"]))


def test_a_search_has_the_metrics_of_its_best_child_and_its_phases(ask: Ask, step: str) -> None:
    assert names(ask, step) == ["accuracy", "confusion_matrix", "experiment_status", "experiment_status_description"]
    assert full(ask, step, "accuracy")["value"][0]["data"] == {"accuracy": 0.5}
    phases = full(ask, step, "experiment_status")
    assert [value["data"] for value in phases["value"]] == [{"experiment_status": "ModelSelection"}]
    assert phases["columns"] == {"experiment_status": "string"}


def test_a_metric_or_a_run_that_is_missing_is_not_found(ask: Ask, step: str) -> None:
    assert ask("POST", f"{METRICS}/{step}_0/full", json={"metricName": "none"}).status_code == 404
    assert ask("POST", f"{METRICS}/none/list", json={}).status_code == 404


def test_metrics_of_several_runs_are_chosen_by_run_kind_name_and_time(ask: Ask, step: str) -> None:
    both = f"RunId eq {step}_0 or RunId eq {step}_1"
    assert len(queried(ask, both)) == 4
    # Without brackets around the alternatives, as the SDK writes it.
    kinds = "MetricType eq azureml.v1.scalar or MetricType eq azureml.v1.list"
    assert queried(ask, f"({both} and {kinds})") == {("_0", "accuracy"), ("_1", "accuracy")}
    assert queried(ask, f"({both} and name eq confusion_matrix)") == {
        ("_0", "confusion_matrix"),
        ("_1", "confusion_matrix"),
    }
    assert queried(ask, f"({both} and CreatedUtc gt 2100-01-01T00:00:00.0Z)") == set()


def test_a_queried_table_is_a_reference(ask: Ask, step: str) -> None:
    (table,) = ask("POST", QUERY, json={"filter": f"(RunId eq {step}_0 and name eq confusion_matrix)"}).json()["value"]
    assert table["dataLocation"].endswith(f"dcid.{step}_0/confusion_matrix")
    assert table["cells"] == [{"confusion_matrix": None}]
