"""Runs of the local backend, seen through the services: they were not sent as graphs."""

from __future__ import annotations

from nbhelpers.emulator.state import State

from ..local.rows import add_run
from .conftest import Ask
from .sent import PIPELINES

DEFINITION = {"description": "local", "steps": [{}]}


def test_a_run_of_the_local_backend_has_a_graph_of_its_steps(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, facts={"azureml.nodeid": "0a0b0c0d"}, definition=DEFINITION)
    graph_id = ask("GET", f"{PIPELINES}/PipelineRuns/{run_id}").json()["GraphId"]
    graph = ask("GET", f"{PIPELINES}/Graphs/{graph_id}").json()
    (node,) = graph["ModuleNodes"]
    assert (graph["Id"], node["Id"], node["ModuleId"]) == (graph_id, "0a0b0c0d", step_id)
    assert ask("GET", f"{PIPELINES}/Graphs/{graph_id}/Interface").json() == {}
    module = ask("GET", f"{PIPELINES}/Modules/{step_id}").json()
    assert (module["Data"]["Name"], module["Interface"]["Ports"]) == ("step", {"Inputs": [], "Outputs": []})


def test_what_is_no_pipeline_run_has_no_graph_and_what_is_no_step_no_module(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, children=[("Finished", "0.9")])
    for path in (f"Graphs/{step_id}", "Graphs/none", f"Modules/{run_id}", f"Modules/{step_id}_0"):
        assert ask("GET", f"{PIPELINES}/{path}").status_code == 404


def test_the_graph_of_such_a_run_is_not_published_through_the_services(cloud: State, ask: Ask) -> None:
    run_id, step_id = add_run(cloud.workspace.store, facts={"azureml.nodeid": "0a0b0c0d"}, definition=DEFINITION)
    graph = ask("GET", f"{PIPELINES}/Graphs/{run_id}").json()
    answer = ask("POST", f"{PIPELINES}/Pipelines/Create", json={"Name": "bank", "Graph": graph})
    assert answer.status_code == 400
    assert step_id in answer.text
    assert "publish the run with that" in answer.text
