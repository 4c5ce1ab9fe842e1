from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nbhelpers.emulator.names import API, SCOPE
from nbhelpers.emulator.state import State
from nbhelpers.errors import UserErrorException
from nbhelpers.local import PipelineRun, PublishedPipeline
from nbhelpers.local.listing import find_run
from nbhelpers.local.runs import Run
from nbhelpers.service.limits import Limits

from ..local.conftest import bank_like
from ..local.faults import create_target, end_of
from ..local.rows import add_run
from ..service.conftest import publish
from .conftest import Ask
from .sent import (
    NODE,
    PIPELINES,
    SMALL,
    add_data,
    create,
    graph,
    make_module,
    module,
    reference,
    submit,
)

RUNS = f"{PIPELINES}/PipelineRuns"
NOBODY = str(uuid.UUID(int=0))


@pytest.fixture
def data(cloud: State) -> dict[str, Any]:
    create_target(cloud.workspace, 2)
    return add_data(cloud, bank_like(300))


@pytest.fixture
def sent(ask: Ask, data: dict[str, Any]) -> dict[str, Any]:
    """A graph that can be run."""
    return graph(make_module(ask), reference(data), **SMALL)


def find(cloud: State, run_id: str) -> PipelineRun:
    return find_run(cloud.workspace, run_id)[1]


def node(ask: Ask, run_id: str, call: str, node_id: str = NODE) -> Any:
    answer = ask("POST", f"{RUNS}/{run_id}/{call}", json=[node_id])
    assert answer.status_code == 200, answer.text
    return answer.json() if answer.headers["content-type"] == "application/json" else answer.text


def message(answer: Any, status: int) -> str:
    """The message of an error, which both kinds of clients find under their names."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["Error"]["Message"] == body["error"]["message"]
    return str(body["Error"]["Message"])


def test_data_types_are_kept(ask: Ask) -> None:
    assert ask("GET", f"{PIPELINES}/DataTypes").json() == []
    ask("POST", f"{PIPELINES}/DataTypes", json={"Id": "AnyFile", "Name": "AnyFile", "IsDirectory": False})
    (found,) = ask("GET", f"{PIPELINES}/DataTypes").json()
    assert (found["Id"], found["IsDirectory"]) == ("AnyFile", False)


def test_a_module_is_found_by_its_hash_with_its_interface(ask: Ask) -> None:
    url = f"{PIPELINES}/Modules/Hash/hash of automl_module"
    message(ask("GET", url), 404)
    make_module(ask)
    latest = make_module(ask)  # as for regenerate_outputs=True
    found = ask("GET", url).json()
    assert (found["Data"]["Id"], found["Data"]["UploadState"]) == (latest, "Completed")
    assert [port["Name"] for port in found["Interface"]["Ports"]["Inputs"]] == ["training_data"]
    assert [each["Name"] for each in found["Interface"]["MetadataParameters"]] == ["AutoMLConfig"]
    assert ask("GET", f"{PIPELINES}/Modules/{latest}").json() == found


def test_a_step_of_another_kind_is_refused_by_name(ask: Ask) -> None:
    other = module("prepare", ModuleExecutionType="escloud", StepType="PythonScriptStep")
    text = message(ask("POST", f"{PIPELINES}/Modules", json=other), 400)
    assert "'prepare'" in text
    assert "'PythonScriptStep'" in text


def test_a_run_that_was_created_is_told_as_not_started_also_after_a_restart(
    cloud: State, ask: Ask, sent: dict[str, Any]
) -> None:
    created = create(ask, sent, CreationInfo={"tags": {"a": "b"}})
    found = ask("GET", f"{RUNS}/{created['Id']}").json()
    assert found == created
    assert (found["Status"]["StatusCode"], found["IsSubmitted"], found["tags"]) == ("0", False, {"a": "b"})
    assert found["RunHistoryExperimentName"] == "bank"
    assert node(ask, created["Id"], "Graph/Node/StatusCode") == "0"
    assert node(ask, created["Id"], "Graph/AllNodes/StatusCode") == {NODE: "0"}
    assert node(ask, created["Id"], "Outputs") == {}
    message(ask("GET", f"{RUNS}/{created['Id']}/PipelineRunOutputs/metrics_output"), 404)
    message(ask("DELETE", f"{RUNS}/{created['Id']}/Execution"), 409)
    assert State(cloud.workspace).documents.get("pipeline run", created["Id"])["submitted"] is False  # type: ignore[index]


def test_a_run_trains_and_its_result_is_reused(cloud: State, ask: Ask, sent: dict[str, Any]) -> None:
    run_id = submit(ask, sent, CreationInfo={"tags": {"a": "b"}})
    assert ask("POST", f"{RUNS}/Submit/{run_id}").status_code == 200  # a repeated request starts nothing
    assert end_of(find(cloud, run_id)) == "Finished"
    found = ask("GET", f"{RUNS}/{run_id}").json()
    assert (found["Status"]["StatusCode"], found["IsSubmitted"], found["tags"]) == ("3", True, {"a": "b"})
    assert found["Properties"]["runSource"] == "SDK"
    (step,) = find(cloud, run_id).get_steps()
    status = node(ask, run_id, "Graph/Node/Status")
    assert (status["StatusCode"], status["RunId"], status["ReuseInfo"]) == ("4", step.id, None)
    assert node(ask, run_id, "Graph/AllNodes/Status") == {NODE: status}
    outputs = node(ask, run_id, "Outputs")
    path = outputs["model_data"]["DataLocation"]["DataReference"]["AzureBlobReference"]["RelativePath"]
    assert path == f"azureml/{step.id}/model_data"
    assert ask("GET", f"{RUNS}/{run_id}/PipelineRunOutputs/best_model_output").json() == outputs["model_data"]
    text = message(ask("GET", f"{RUNS}/{run_id}/PipelineRunOutputs/best_model"), 400)
    assert "best_model_output" in text
    for log in ("STDOUT", "STDERR", "JobLog"):
        assert "Current status: Finished" in node(ask, run_id, f"Graph/Shareable/{log}")
    assert NODE in message(ask("POST", f"{RUNS}/{run_id}/Outputs", json=["elsewhere"]), 404)

    again = submit(ask, sent)
    assert ask("GET", f"{RUNS}/{again}").json()["Status"]["StatusCode"] == "3"
    reused = node(ask, again, "Graph/Node/Status")["ReuseInfo"]
    assert (reused["RunId"], reused["ExperimentId"], reused["NodeId"]) == (step.id, run_id, NODE)
    assert node(ask, again, "Outputs") == outputs


@pytest.mark.parametrize(
    ("regenerate", "deterministic", "why"),
    [(True, True, "new run: regenerate_outputs is True"), (False, False, "new run: allow_reuse is False")],
)
def test_a_run_reuses_nothing_where_that_was_asked_for(
    cloud: State, ask: Ask, data: dict[str, Any], regenerate: bool, deterministic: bool, why: str
) -> None:
    module_id = make_module(ask, IsDeterministic=deterministic)
    run = find(cloud, submit(ask, graph(module_id, reference(data), regenerate, **SMALL)))
    run.cancel()
    (step,) = run.get_steps()
    assert step.properties["nbhelpers.reuse"] == why
    end_of(run)


def test_a_run_is_cancelled(cloud: State, ask: Ask, sent: dict[str, Any]) -> None:
    run_id = submit(ask, sent)
    assert ask("DELETE", f"{RUNS}/{run_id}/Execution").status_code == 200
    assert end_of(find(cloud, run_id)) == "Canceled"
    assert ask("GET", f"{RUNS}/{run_id}").json()["Status"]["StatusCode"] == "4"
    assert node(ask, run_id, "Graph/Node/StatusCode") == "5"


def test_what_cannot_be_run_fails_with_all_reasons(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    run_id = submit(ask, graph(make_module(ask), reference(data), label_column_name="yy", mem_in_mb=1000))
    found = ask("GET", f"{RUNS}/{run_id}").json()
    assert (found["Status"]["StatusCode"], found["HasErrors"]) == ("2", True)
    status = node(ask, run_id, "Graph/Node/Status")
    assert status["StatusCode"] == "3"
    for text in (found["Status"]["StatusDetail"], status["StatusDetail"], node(ask, run_id, "Graph/Shareable/STDOUT")):
        assert "mem_in_mb=1000 works on Azure ML only" in text
        assert "label_column_name='yy' is not a column" in text
    run = find(cloud, run_id)
    assert end_of(run) == "Failed"
    with pytest.raises(UserErrorException, match="failed before its search began"):
        run.continue_run()


@pytest.mark.usefixtures("data")
def test_a_data_set_that_is_gone_makes_the_run_fail(ask: Ask) -> None:
    missing = {"Value": {"DataSetReference": {"Name": "small", "Version": "7"}}}
    run_id = submit(ask, graph(make_module(ask), missing))
    assert "has no version '7'" in node(ask, run_id, "Graph/Node/Status")["StatusDetail"]


def test_there_are_no_more_unfinished_runs_than_the_limit(ask: Ask, sent: dict[str, Any], stranger: TestClient) -> None:
    stranger.app.state.limits = Limits(unfinished_runs=0)  # type: ignore[attr-defined]
    run_id = create(ask, sent)["Id"]
    assert "have not ended" in message(ask("POST", f"{RUNS}/Submit/{run_id}"), 429)
    assert ask("GET", f"{RUNS}/{run_id}").json()["IsSubmitted"] is False


def test_unknown_runs_and_runs_of_other_kinds_are_not_found(cloud: State, ask: Ask) -> None:
    _, step_id = add_run(cloud.workspace.store)
    for run_id in (NOBODY, step_id):
        message(ask("GET", f"{RUNS}/{run_id}"), 404)
        message(ask("POST", f"{RUNS}/Submit/{run_id}"), 404)
    message(ask("GET", f"{PIPELINES}/Graphs/{NOBODY}"), 404)


def test_a_run_that_was_removed_is_not_told_as_not_started(cloud: State, ask: Ask, sent: dict[str, Any]) -> None:
    run_id = create(ask, sent)["Id"]
    kept = cloud.documents.get("pipeline run", run_id) or {}
    cloud.documents.put("pipeline run", run_id, kept | {"submitted": True})
    message(ask("GET", f"{RUNS}/{run_id}"), 404)


def test_a_graph_is_read_again_with_its_parameters(ask: Ask, sent: dict[str, Any]) -> None:
    graph_id = create(ask, sent)["GraphId"]
    found = ask("GET", f"{PIPELINES}/Graphs/{graph_id}").json()
    assert (found["Id"], found["ModuleNodes"]) == (graph_id, sent["ModuleNodes"])
    assert ask("GET", f"{PIPELINES}/Graphs/{graph_id}/Interface").json() == {"Parameters": []}


def test_a_value_for_an_unknown_parameter_is_refused(ask: Ask, sent: dict[str, Any]) -> None:
    body = {"CreationInfo": {"ParameterAssignments": {"iteration": "3"}}, "Graph": sent}
    body["GraphInterface"] = {"Parameters": [{"Name": "iterations"}]}
    url = f"{RUNS}/Unsubmitted/CreationInfoWithGraph?experimentName=bank"
    assert "Did you mean 'iterations'" in message(ask("POST", url, json=body), 400)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Graph": {}},
        {"CreationInfo": {"RunHistoryExperimentName": "bank"}},
        {"CreationInfo": {"RunHistoryExperimentName": "bank"}, "Graph": {"ModuleNodes": [{"Id": 1}], "Edges": 3}},
        {"CreationInfo": "bank"},
        {"CreationInfo": {"RunHistoryExperimentName": "bank", "Tags": {"a": 1}}},
    ],
)
def test_a_body_without_a_graph_or_an_experiment_is_refused(ask: Ask, body: dict[str, Any]) -> None:
    assert "fault" not in message(ask("POST", f"{RUNS}/Unsubmitted/CreationInfoWithGraph", json=body), 400)


def published(ask: Ask, sent: dict[str, Any], **body: Any) -> dict[str, Any]:
    body = {"Name": "Bank marketing", "Description": "of the tests", "Version": "1.0", "Graph": sent} | body
    answer = ask("POST", f"{PIPELINES}/Pipelines/Create", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_published_pipeline_is_listed_disabled_and_enabled(cloud: State, ask: Ask, sent: dict[str, Any]) -> None:
    made = published(ask, sent)
    assert made["Url"] == f"{API}/pipelines/v1.0{SCOPE}/PipelineRuns/PipelineSubmit/{made['Id']}"
    assert (made["Name"], made["Version"], made["EntityStatus"]) == ("Bank marketing", "1.0", "Active")
    assert ask("GET", f"{PIPELINES}/Graphs/{made['GraphId']}").json()["ModuleNodes"] == sent["ModuleNodes"]
    assert PublishedPipeline.get(cloud.workspace, made["Id"]).get_step_names() == ["automl_module"]

    url = f"{PIPELINES}/Pipelines/{made['Id']}"
    assert ask("GET", url).json() == made
    assert ask("PUT", f"{url}/status", json="Disabled").status_code == 200
    assert ask("GET", f"{PIPELINES}/Pipelines").json() == []
    (found,) = ask("GET", f"{PIPELINES}/Pipelines?activeOnly=false").json()
    assert found["EntityStatus"] == "Disabled"
    assert "disabled" in message(ask("POST", made["Url"], json={"ExperimentName": "bank"}), 409)
    assert ask("PUT", f"{url}/status", json="Active").status_code == 200
    assert len(ask("GET", f"{PIPELINES}/Pipelines").json()) == 1
    message(ask("PUT", f"{url}/status", json="Deprecated"), 400)
    message(ask("GET", f"{PIPELINES}/Pipelines/{NOBODY}"), 404)


def test_a_pipeline_that_cannot_be_run_is_not_published(ask: Ask, data: dict[str, Any]) -> None:
    bad = graph(make_module(ask), reference(data), label_column_name="yy")
    assert "'yy'" in message(ask("POST", f"{PIPELINES}/Pipelines/Create", json={"Name": "bad", "Graph": bad}), 400)


def test_a_published_pipeline_runs_over_rest_with_other_data(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    saved = {"SavedDataSetReference": {"Id": data["latest"]["savedDatasetId"]}}
    made = published(
        ask,
        graph(make_module(ask), {"ParameterName": "input"}, **SMALL),
        GraphInterface={"DataPathParameterList": [{"Name": "input", "DefaultValue": saved}]},
        DataSetDefinitionValueAssignments={"input": saved},
    )
    add_data(cloud, bank_like(250), "other")
    other = {"DataSetReference": {"Name": "other"}}
    body = {
        "ExperimentName": "rest",
        "DataSetDefinitionValueAssignments": {"input": other},
        "Tags": {"a": "b"},
        "Properties": {"azureml.git.commit": "0", "azureml.runsource": "mine", "own": "yes"},
    }
    answer = ask("POST", made["Url"], json=body, params={"parentRunId": NOBODY})
    found = answer.json()
    assert (answer.status_code, found["PipelineId"], found["GraphId"]) == (200, made["Id"], made["GraphId"])
    assert found["RunHistoryExperimentName"] == "rest"
    assert found["DataSetDefinitionValueAssignments"] == {"input": other}
    assert (found["tags"], found["Description"]) == ({"a": "b"}, "Bank marketing")
    properties = found["Properties"]
    assert properties["azureml.runsource"] == "azureml.PipelineRun"
    assert (properties["own"], properties["azureml.git.commit"]) == ("yes", "0")
    assert (properties["runType"], properties["azureml.parentrunid"]) == ("HTTP", NOBODY)
    assert [each["Id"] for each in ask("GET", f"{RUNS}/Pipeline/{made['Id']}").json()] == [found["Id"]]
    run = find(cloud, found["Id"])
    (step,) = run.get_steps()
    assert step._row()["definition"]["data_rows"] == 250
    run.cancel()
    end_of(run)
    assert "'inputs'" in message(
        ask("POST", made["Url"], json={"ExperimentName": "rest", "ParameterAssignments": {"inputs": "1"}}), 400
    )
    assert "ExperimentName" in message(ask("POST", made["Url"], json={}), 400)


def test_what_the_local_backend_has_published_and_run_is_there_too(cloud: State, ask: Ask) -> None:
    pipeline = publish(cloud.workspace)
    (found,) = ask("GET", f"{PIPELINES}/Pipelines").json()
    assert json.loads(found["ParameterAssignments"]["iterations"]) == 3
    body = {"ExperimentName": "rest", "ParameterAssignments": {"iterations": "4"}}
    answer = ask("POST", found["Url"], json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["ParameterAssignments"] == {"iterations": "4"}
    run = Run.get(cloud.workspace, answer.json()["Id"])
    assert isinstance(run, PipelineRun)
    run.cancel()
    end_of(run)
    assert ask("GET", f"{RUNS}/Pipeline/{pipeline.id}").json()[0]["Status"]["StatusCode"] == "4"
