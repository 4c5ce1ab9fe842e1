from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from nbhelpers.emulator.names import API, SCOPE
from nbhelpers.emulator.records import experiment_id
from nbhelpers.emulator.state import State
from nbhelpers.local import Experiment
from nbhelpers.local.processes import log_file
from nbhelpers.local.store import runs

from ..local.rows import add_run
from .conftest import Ask

HISTORY = f"{API}/history/v1.0{SCOPE}"
BANK = f"{HISTORY}/experiments/bank"


def get(ask: Ask, url: str, **parameters: Any) -> Any:
    answer = ask("GET", url, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(ask: Ask, filter: str | None = None, **asked: Any) -> list[str]:
    answer = ask("POST", f"{BANK}/runs:query", json={"filter": filter, **asked})
    assert answer.status_code == 200, answer.text
    return [run["runId"] for run in answer.json()["value"]]


def reuse(cloud: State, step_id: str, experiment: str = "other") -> tuple[str, str]:
    """A pipeline run whose step reuses another."""
    run_id, user_id = add_run(cloud.workspace.store, experiment=experiment, facts={"azureml.reusedrunid": step_id})
    return run_id, user_id


def test_an_experiment_is_created_when_it_is_missing_and_found_by_name_and_id(ask: Ask) -> None:
    assert ask("GET", BANK).status_code == 404
    made = ask("POST", BANK).json()
    assert made == ask("POST", BANK).json() == get(ask, BANK)
    assert made == get(ask, f"{HISTORY}/experimentids/{made['experimentId']}")
    assert made["name"] == "bank"
    assert ask("POST", f"{HISTORY}/experiments/-").status_code == 400


def test_experiments_are_archived_reactivated_and_tagged(cloud: State, ask: Ask) -> None:
    Experiment(cloud.workspace, "bank")
    Experiment(cloud.workspace, "other")
    bank = f"{HISTORY}/experimentids/{experiment_id('bank')}"

    def listed(**asked: str) -> list[str]:
        return [one["name"] for one in ask("POST", f"{HISTORY}/experiments:query", json=asked).json()["value"]]

    ask("PATCH", bank, json={"archive": True})
    assert get(ask, BANK)["archivedTime"] is not None
    assert [listed(), listed(viewType="ArchivedOnly"), listed(viewType="All")] == [
        ["other"],
        ["bank"],
        ["bank", "other"],
    ]
    ask("PATCH", bank, json={"archive": False, "tags": {"colour": "red", "size": "1"}, "description": "text"})
    assert listed(filter='(Tags/colour eq "red")') == ["bank"]
    assert Experiment(cloud.workspace, "bank").tags == {"colour": "red", "size": "1"}
    ask("POST", f"{bank}/tags:delete", json={"tags": ["size"]})
    assert get(ask, BANK)["tags"] == {"colour": "red"}
    assert get(ask, BANK)["description"] == "text"


def test_a_run_knows_its_parent_root_type_and_state(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, children=[("Completed", "0.5")])
    run, step, child = (get(ask, f"{BANK}/runs/{part}") for part in (run_id, step_id, f"{step_id}_0"))
    assert [part["parentRunId"] for part in (run, step, child)] == [None, run_id, step_id]
    assert {part["rootRunId"] for part in (run, step, child)} == {run_id}
    assert [part["runType"] for part in (run, step, child)] == [
        "azureml.PipelineRun",
        "azureml.StepRun",
        "azureml.scriptrun",
    ]
    assert {part["status"] for part in (run, step, child)} == {"Completed"}
    assert step["tags"]["azureml.pipeline"] == run_id
    assert child["dataContainerId"] == f"dcid.{step_id}_0"
    assert run["startTimeUtc"].endswith("Z")
    assert child == get(ask, f"{HISTORY}/runs/{step_id}_0")


def test_a_run_of_another_experiment_is_not_found(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, children=[("Completed", "0.5")])
    Experiment(cloud.workspace, "other")
    for part in (run_id, step_id, f"{step_id}_0"):
        answer = ask("GET", f"{HISTORY}/experiments/other/runs/{part}")
        assert answer.status_code == 404
        assert "bank" in answer.json()["error"]["message"]
    assert ask("GET", f"{BANK}/runs/none").status_code == 404
    assert "ResourceNotFoundException" in ask("GET", f"{BANK}/runs/none").text


def test_a_step_that_reuses_another_shows_its_children(cloud: State, ask: Ask) -> None:
    _, step_id = add_run(cloud.workspace.store, children=[("Completed", "0.5"), ("Completed", "0.6")])
    run_id, user_id = reuse(cloud, step_id)
    other = f"{HISTORY}/experiments/other"
    found = get(ask, f"{other}/runs/{user_id}/children")["value"]
    assert {child["runId"] for child in found} == {f"{step_id}_0", f"{step_id}_1"}
    assert {(child["parentRunId"], child["rootRunId"]) for child in found} == {(user_id, run_id)}
    asked = {"filter": f"(RootRunId eq {run_id} and RunId ne {user_id})"}
    below = ask("POST", f"{other}/runs:query", json=asked).json()["value"]
    assert {run["runId"] for run in below} == {run_id, f"{step_id}_0", f"{step_id}_1"}
    assert get(ask, f"{other}/runs/{user_id}")["dataContainerId"] == f"dcid.{step_id}"
    for part in (step_id, f"{step_id}_0"):  # where the SDK looks for the model
        assert get(ask, f"{other}/runs/{part}")["runId"] == part


def test_runs_are_chosen_by_what_the_sdk_asks_for(cloud: State, ask: Ask) -> None:
    good, step_id = add_run(cloud.workspace.store, days=2, children=[("Completed", "0.5")])
    bad, _ = add_run(cloud.workspace.store, status="Failed")
    add_run(cloud.workspace.store, experiment="other")
    ask("PATCH", f"{BANK}/runs/{good}", json={"tags": {"colour": "red"}, "properties": {"p": "1"}})
    top = "(ParentRunId eq null)"
    assert ids(ask, top) == [bad, good]
    assert ids(ask, top, orderby="CreatedUtc asc") == [good, bad]
    assert ids(ask, f"({top} and (Status eq Failed))") == [bad]
    kind = "(RunType eq {0} or Properties/azureml.runsource eq {0})"
    assert ids(ask, f"({top} and {kind.format('azureml.PipelineRun')})") == [bad, good]
    assert ids(ask, kind.format("hyperdrive")) == []
    assert ids(ask, "(Tags/colour ne null or Tags/colour eq null)") == [good]
    assert ids(ask, '(Tags/colour eq "blue")') == []
    assert ids(ask, '(Properties/p eq "1")') == [good]
    assert set(ids(ask, f"RunId eq {step_id}_0 or RunId eq {bad}")) == {f"{step_id}_0", bad}
    assert ids(ask, f"((CreatedUtc ge {get(ask, f'{BANK}/runs/{bad}')['createdUtc']}) and {top})") == [bad]


def test_a_listing_comes_in_pages(cloud: State, ask: Ask) -> None:
    _, step_id = add_run(cloud.workspace.store, children=[("Completed", "0.5")] * 5)
    url, found, token = f"{BANK}/runs/{step_id}/children", [], None
    while not found or token:
        page = get(ask, url, **{"$top": 2, "$orderby": "RunId asc"} | ({"$continuationToken": token} if token else {}))
        assert len(page["value"]) <= 2
        found += [child["runId"] for child in page["value"]]
        token = page["continuationToken"]
    assert found == [f"{step_id}_{number}" for number in range(5)]


@pytest.mark.parametrize("filter", ["(", "Status", "(Status eq a", "Status eq a)", "and Status eq a", "Status like a"])
def test_a_filter_that_cannot_be_read_is_refused(cloud: State, ask: Ask, filter: str) -> None:
    Experiment(cloud.workspace, "bank")
    answer = ask("POST", f"{BANK}/runs:query", json={"filter": filter})
    assert answer.status_code == 400
    assert filter in answer.json()["error"]["message"]


def test_tags_properties_name_and_description_of_a_run_may_be_changed(cloud: State, ask: Ask) -> None:
    run_id, _ = add_run(cloud.workspace.store)
    url = f"{BANK}/runs/{run_id}"
    ask("PATCH", url, json={"tags": {"a": "1", "b": "2"}, "properties": {"p": "1"}, "displayName": "mine"})
    ask("PATCH", url, json={"tags": {"a": "3"}, "description": "text"})
    ask("DELETE", f"{url}/tags", json=["b", "none"])
    run = get(ask, url)
    assert run["tags"] == {"a": "3"}
    assert run["properties"]["p"] == "1"
    assert (run["displayName"], run["description"]) == ("mine", "text")


def test_the_details_of_a_failed_run_have_its_error_and_its_log(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, status="Failed")
    log_file(cloud.workspace.store, step_id).write_text("it broke\n")
    for part in (run_id, step_id):
        details = get(ask, f"{BANK}/runs/{part}/details")
        assert details["error"]["error"] == {"code": "Test", "message": "It broke.", "details": []}
        assert details["status"] == "Failed"
        (log,) = details["logFiles"].values()
        assert ask("GET", log).text == "it broke\n"


def test_a_search_that_stopped_early_warns(cloud: State, ask: Ask) -> None:
    settings = '{"early_stopping_n_iters": 7}'
    facts = {"ended_by": "early_stopping", "AMLSettingsJsonString": settings}
    _, step_id = add_run(cloud.workspace.store, facts=facts)
    (warning,) = get(ask, f"{BANK}/runs/{step_id}/details")["warnings"]
    assert "last 7 iterations" in warning["message"]


def test_a_run_at_work_is_cancelled_by_an_event_and_a_child_is_not(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, status="Running", children=[("Running", "")])
    event = {"name": "Microsoft.MachineLearning.Run.Canceled", "data": {}}
    refused = ask("POST", f"{BANK}/runs/{step_id}_0/events", json=event)
    assert refused.status_code == 400
    assert step_id in refused.json()["error"]["message"]
    assert ask("POST", f"{BANK}/runs/{step_id}/events", json=event).status_code == 200
    chosen = sa.select(runs.c.cancel_requested).where(runs.c.id == run_id)
    assert cloud.workspace.store.one(chosen) == {"cancel_requested": True}
    other = ask("POST", f"{BANK}/runs/{run_id}/events", json=event | {"name": "Microsoft.MachineLearning.Run.Start"})
    assert other.status_code == 501


def test_a_run_whose_worker_is_gone_is_failed(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, status="Running", heartbeat=0.0)
    assert get(ask, f"{BANK}/runs/{step_id}")["status"] == "Failed"
    assert get(ask, f"{BANK}/runs/{run_id}")["error"]["error"]["code"] == "WorkerLost"
