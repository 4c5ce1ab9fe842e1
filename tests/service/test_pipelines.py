from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
import sqlalchemy as sa

from nbhelpers.local import (
    Dataset,
    DatasetConsumptionConfig,
    InteractiveLoginAuthentication,
    PipelineParameter,
    PipelineRun,
    PublishedPipeline,
    Workspace,
)
from nbhelpers.local.endpoints import PREFIX, SUBMIT_PATH
from nbhelpers.local.store import runs
from nbhelpers.service.limits import Limits

from ..local.conftest import bank_like
from ..local.faults import TRAIN_FOLD, assert_whole, end_of, plant
from ..local.rows import add_run
from .conftest import Headers, publish

NOBODY = uuid.UUID(int=0)


def address(run_id: str, part: str = "") -> str:
    return f"{PREFIX}/PipelineRuns/{run_id}{part}"


def find(workspace: Workspace, run_id: str, experiment: str) -> PipelineRun:
    return PipelineRun(workspace.experiments[experiment], run_id)


def test_the_seeds_request_works_as_written_and_an_unchanged_one_reuses_its_run(
    client: httpx.Client, published: PublishedPipeline, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nbhelpers.local.published.service_url", lambda _store: str(client.base_url).rstrip("/")
    )  # the test's service has a port of its own
    auth_header = InteractiveLoginAuthentication().get_authentication_header()
    rest_endpoint = published.endpoint
    response = requests.post(
        rest_endpoint, headers=auth_header, json={"ExperimentName": "pipeline-bank-rest-endpoint"}, timeout=60
    )
    response.raise_for_status()
    run_id = response.json().get("Id")

    run = find(workspace, run_id, "pipeline-bank-rest-endpoint")
    assert end_of(run) == "Finished"
    body = client.get(address(run_id), headers=auth_header).json()
    assert body["Status"]["StatusCode"] == "3"
    assert body["Status"]["EndTime"]
    assert body["PipelineId"] == published.id
    assert body["ParameterAssignments"] == {"iterations": "3"}
    assert (body["RunHistoryExperimentName"], body["RunType"]) == ("pipeline-bank-rest-endpoint", "HTTP")
    assert (body["IsSubmitted"], body["HasErrors"], body["TotalRunSteps"]) == (True, False, 1)

    again = requests.post(rest_endpoint, headers=auth_header, json={"ExperimentName": "again"}, timeout=60).json()
    assert again["Status"]["StatusCode"] == "3"
    (step,) = client.get(address(again["Id"], "/StepRuns"), headers=auth_header).json()
    assert (step["Name"], step["Status"]) == ("automl_module", "Finished")
    assert step["Reuse"].startswith("reused: ")
    assert run_id in step["Reuse"]

    changed = {"ExperimentName": "again", "ParameterAssignments": {"iterations": "4"}}
    other = requests.post(rest_endpoint, headers=auth_header, json=changed, timeout=60).json()
    (step,) = client.get(address(other["Id"], "/StepRuns"), headers=auth_header).json()
    assert "iterations" in step["Reuse"]
    assert other["ParameterAssignments"] == {"iterations": "4"}
    assert end_of(find(workspace, other["Id"], "again")) == "Finished"


def test_a_submission_takes_azures_fields_and_can_be_cancelled(
    client: httpx.Client, workspace: Workspace, headers: Headers
) -> None:
    published = publish(workspace, iterations=500)
    sent = {
        "ExperimentName": "rest",
        "DisplayName": "nightly",
        "Description": "every night",
        "RunSource": "curl",
        "RunType": "Schedule",
        "Tags": {"by": "cron"},
        "Properties": {"host": "here"},
        "ContinueRunOnStepFailure": False,
        "EnableNotification": True,
        "ScheduleId": None,
        "SomethingNew": {"is": "ignored"},
    }
    answer = client.post(SUBMIT_PATH.format(id=published.id), json=sent, headers=headers("submit"))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["DisplayName"], body["Description"], body["Tags"]) == ("nightly", "every night", {"by": "cron"})
    assert (body["RunSource"], body["RunType"], body["Properties"]["host"]) == ("curl", "Schedule", "here")
    assert body["Status"]["StatusCode"] in ("0", "1")
    assert client.post(address(body["Id"], "/Cancel"), headers=headers("submit")).status_code == 200
    assert end_of(find(workspace, body["Id"], "rest")) == "Canceled"
    assert client.get(address(body["Id"]), headers=headers("read")).json()["Status"]["StatusCode"] == "4"
    assert client.post(address(body["Id"], "/Cancel"), headers=headers("submit")).status_code == 200


def test_another_data_set_is_named_as_on_azure(client: httpx.Client, workspace: Workspace, headers: Headers) -> None:
    store = workspace.get_default_datastore()
    old, new = (
        Dataset.Tabular.register_pandas_dataframe(bank_like(rows), store, name)
        for name, rows in (("old", 300), ("new", 320))
    )
    data = DatasetConsumptionConfig("data", PipelineParameter("data", old))
    url = SUBMIT_PATH.format(id=publish(workspace, training_data=data).id)
    for reference in ({"SavedDataSetReference": {"Id": new.id}}, {"DataSetReference": {"Name": "new", "Version": "1"}}):
        sent = {"ExperimentName": "rest", "DataSetDefinitionValueAssignments": {"data": reference}}
        answer = client.post(url, json=sent, headers=headers("submit"))
        assert answer.status_code == 200, answer.text
        run = find(workspace, answer.json()["Id"], "rest")
        assert "320 rows" in next(run.get_steps()).properties["nbhelpers.reuse"] or end_of(run) == "Finished"
        assert next(run.get_steps())._row()["definition"]["dataset"] == "new:1"
        run.cancel()
        end_of(run)
    unknown = {"data": {"DataSetReference": {"Name": "nwe"}}}
    sent = {"ExperimentName": "rest", "DataSetDefinitionValueAssignments": unknown}
    answer = client.post(url, json=sent, headers=headers("submit"))
    assert answer.status_code == 400
    assert "nwe" in answer.json()["Error"]["Message"]


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({}, "ExperimentName"),
        ({"ExperimentName": ""}, "ExperimentName"),
        ({"ExperimentName": None}, "ExperimentName"),
        ({"ExperimentName": 3}, "ExperimentName"),
        ({"ExperimentName": "../../etc"}, "'../../etc' cannot be the name"),
        ({"ExperimentName": "a\0b"}, "cannot be the name"),
        ({"ExperimentName": "a" * 256}, "ExperimentName"),
        ({"ExperimentName": "$(id)"}, "cannot be the name"),
        ({"ParameterAssignments": {"iteratoins": "3"}}, "Did you mean 'iterations'?"),
        ({"ParameterAssignments": {"iterations": "three"}}, "'three' is not a whole number"),
        ({"ParameterAssignments": {"iterations": "-1"}}, "iterations"),
        ({"ParameterAssignments": {"iterations": "9" * 5000}}, "iterations"),
        ({"ParameterAssignments": {"iterations": 10**400}}, "iterations"),
        ({"ParameterAssignments": {"iterations": ["3"]}}, "ParameterAssignments.iterations"),
        ({"ParameterAssignments": "iterations"}, "ParameterAssignments"),
        ({"DataPathAssignments": {"a": {"RelativePath": "/etc/passwd"}}}, "no data paths"),
        (
            {"DataSetDefinitionValueAssignments": {"data": {"SavedDataSetReference": {"Id": 5}}}},
            "SavedDataSetReference",
        ),
        ({"DataSetDefinitionValueAssignments": {"data": {}}}, "data"),
        ({"Tags": {"a": 1}}, "Tags.a"),
        ({"Properties": {"azureml.pipelineid": "x"}}, "'azureml.pipelineid' cannot be set"),
        ({"RunType": "Cron"}, "RunType"),
        ({"ContinueRunOnStepFailure": "yes"}, "ContinueRunOnStepFailure"),
        ({"Description": "x" * 5001}, "Description"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_field_is_named_and_nothing_is_started(
    client: httpx.Client, published: PublishedPipeline, headers: Headers, sent: dict[str, Any], named: str
) -> None:
    body = sent if "ExperimentName" in sent or not sent else {"ExperimentName": "rest"} | sent
    answer = client.post(SUBMIT_PATH.format(id=published.id), json=body, headers=headers("submit"))
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["Error"]["Message"]
    assert published.workspace.store.all(sa.select(runs)) == []


def test_a_disabled_pipeline_is_answered_with_409_until_it_is_enabled(
    client: httpx.Client, published: PublishedPipeline, headers: Headers
) -> None:
    sent, url = headers("submit", "read"), f"{PREFIX}/Pipelines/{published.id}"
    assert client.post(f"{url}/Disable", headers=sent).json()["EntityStatus"] == "Disabled"
    body = {"ExperimentName": "rest", "ParameterAssignments": {"iterations": "none"}}
    assert client.post(SUBMIT_PATH.format(id=published.id), json=body, headers=sent).status_code == 409
    assert client.get(f"{PREFIX}/Pipelines", headers=sent).json() == []
    (listed,) = client.get(f"{PREFIX}/Pipelines?activeOnly=false", headers=sent).json()
    assert listed["EntityStatus"] == "Disabled"
    assert client.post(f"{url}/Enable", headers=sent).json()["EntityStatus"] == "Active"
    assert client.post(SUBMIT_PATH.format(id=published.id), json=body, headers=sent).status_code == 400


def test_a_published_pipeline_is_described(
    client: httpx.Client, published: PublishedPipeline, headers: Headers
) -> None:
    body = client.get(f"{PREFIX}/Pipelines/{published.id}", headers=headers("read")).json()
    assert client.get(f"{PREFIX}/Pipelines", headers=headers("read")).json() == [body]
    assert (body["Id"], body["Name"], body["Version"]) == (published.id, "Bank marketing", "1.0")
    assert (body["Description"], body["EntityStatus"]) == ("of the tests", "Active")
    assert body["Url"] == published.endpoint
    assert body["ParameterAssignments"] == {"iterations": "3"}


@pytest.mark.parametrize("identity", [str(NOBODY), str(NOBODY).upper()])
@pytest.mark.parametrize("path", ["/Pipelines/{}", "/PipelineRuns/{}", "/PipelineRuns/{}/StepRuns"])
def test_an_id_of_nothing_is_answered_with_404(
    client: httpx.Client, headers: Headers, path: str, identity: str
) -> None:
    assert client.get(PREFIX + path.format(identity), headers=headers("read")).status_code == 404


@pytest.mark.parametrize("identity", ["latest", "1", "%00", "%27%20OR%201=1", "..%2f..%2fetc", "a" * 5000, "%ff"])
@pytest.mark.parametrize("path", ["/Pipelines/{}", "/PipelineRuns/{}", "/PipelineRuns/{}/StepRuns"])
def test_what_is_no_id_is_refused(client: httpx.Client, headers: Headers, path: str, identity: str) -> None:
    answer = client.get(PREFIX + path.format(identity), headers=headers("read"))
    assert answer.status_code in (400, 404)
    assert len(answer.content) < 2000


def test_only_pipeline_runs_are_pipeline_runs(client: httpx.Client, workspace: Workspace, headers: Headers) -> None:
    run_id, step_id = add_run(workspace.store, status="Failed")
    assert client.get(address(step_id), headers=headers("read")).status_code == 404
    workspace.store.all(sa.select(runs))
    with workspace.store.writing() as connection:
        connection.execute(
            runs.update().where(runs.c.id == run_id).values(definition={"description": None, "steps": [1]})
        )
    body = client.get(address(run_id), headers=headers("read")).json()
    assert (body["Status"]["StatusCode"], body["HasErrors"]) == ("2", True)
    assert body["Status"]["StatusDetail"] == "It broke."


#: Each piece of work holds a file for a while, and notes when another one does.
HOLD = """
import fcntl
with open("slot", "a") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.2)
    except BlockingIOError:
        open("taken twice", "a").close()
"""


@pytest.mark.parametrize("limits", [Limits(unfinished_runs=3)])
def test_of_50_requests_at_once_each_is_answered_none_is_lost_and_no_slot_is_taken_twice(
    client: httpx.Client, workspace: Workspace, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {TRAIN_FOLD: HOLD})
    published = publish(workspace, max_nodes=1)
    url, sent = SUBMIT_PATH.format(id=published.id), headers("submit")

    def submit(number: int) -> httpx.Response:
        body = {"ExperimentName": "many", "ParameterAssignments": {"iterations": 2 + number % 3}}
        return client.post(url, json=body, headers=sent)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(submit, range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 3, 429: 47}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 429)
    accepted = {answer.json()["Id"] for answer in answers if answer.status_code == 200}
    rows = workspace.store.all(sa.select(runs.c.id).where(runs.c.kind == "pipeline"))
    assert accepted == {row["id"] for row in rows}
    assert [end_of(find(workspace, run_id, "many")) for run_id in accepted] == ["Finished"] * 3
    assert (workspace.store.home / "slot").exists()
    assert not (workspace.store.home / "taken twice").exists()
    assert submit(0).status_code == 200  # there is room again, and the run is reused
    assert_whole(workspace.store)
