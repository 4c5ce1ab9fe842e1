from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import Workspace
from nbhelpers.local.listing import find_run, list_runs, runs_table
from nbhelpers.local.store import runs

from .rows import add_run


def test_a_real_run_and_one_that_reuses_it_show_the_same_children(seed: SimpleNamespace) -> None:
    again = seed.pipeline.submit("listing")
    found = {run.id: run for run in list_runs(seed.ws.store)}
    run, reused = found[seed.pipeline_run.id], found[again.id]
    assert (run.experiment, run.status, run.metric, run.note) == ("automl-bank", "Finished", "AUC_weighted", "")
    assert (run.completed, run.failed, run.planned) == (4, 0, 4)
    assert run.best == max(float(child.properties["score"]) for child in seed.step.get_children())
    assert run.seconds is not None
    assert 0 < run.seconds < 600
    assert (reused.completed, reused.best, reused.planned) == (4, run.best, 4)
    assert reused.note == f"reuses {run.id}"


def test_runs_come_newest_first_up_to_the_limit_and_of_one_experiment(workspace: Workspace) -> None:
    store = workspace.store
    ids = [add_run(store, days=days)[0] for days in (3, 1, 2)]
    other, _ = add_run(store, days=4, experiment="other")
    assert [run.id for run in list_runs(store)] == [ids[1], ids[2], ids[0], other]
    assert [run.id for run in list_runs(store, limit=2)] == [ids[1], ids[2]]
    assert [run.id for run in list_runs(store, "other")] == [other]
    with pytest.raises(
        UserErrorException, match=r"no experiment 'othr'; it has: bank, other.\nTo mend it: Name 'other'"
    ):
        list_runs(store, "othr")


@pytest.mark.parametrize(("metric", "best"), [("AUC_weighted", 0.75), ("normalized_root_mean_squared_error", 0.5)])
def test_the_best_score_is_of_a_completed_child_in_the_direction_of_the_metric(
    workspace: Workspace, metric: str, best: float
) -> None:
    children = [("Completed", "nan"), ("Completed", "0.5"), ("Completed", "0.75"), ("Failed", ""), ("Running", "")]
    add_run(workspace.store, children=children, facts={"primary_metric": metric})
    (run,) = list_runs(workspace.store)
    assert (run.completed, run.failed, run.planned, run.metric, run.best) == (3, 1, 5, metric, best)


def test_a_run_at_work_says_what_it_waits_for(workspace: Workspace) -> None:
    store = workspace.store
    old, _ = add_run(store, status="Failed", days=2)
    properties = {"nbhelpers.continues": old}
    run_id, step_id = add_run(store, status="Running", properties=properties, cancel_requested=True)
    with store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == step_id).values(status="Queued"))
    run, _ = list_runs(store)
    assert (run.id, run.status, run.completed, run.best) == (run_id, "Running", 0, None)
    assert run.note == f"continues {old}, cancel requested, waits for a slot"
    assert run.seconds is not None
    assert run.seconds > 24 * 3600  # it began a day ago and has not ended


def test_a_run_whose_worker_died_is_listed_as_failed(workspace: Workspace) -> None:
    add_run(workspace.store, status="Running", pid=2**22 + 1, heartbeat=time.time() - 5)
    assert [run.status for run in list_runs(workspace.store)] == ["Failed"]


def test_the_table_has_a_value_in_each_column_and_whole_ids(workspace: Workspace) -> None:
    store = workspace.store
    original, step = add_run(store, days=2, children=[("Completed", "0.75")])
    reused = {"azureml.reusedrunid": step, "azureml.reusedpipeline": original}
    second, _ = add_run(store, days=1, facts=reused)
    third, _ = add_run(store, status="NotStarted", days=0, started=None)
    header, *lines = [re.split("  +", line) for line in runs_table(list_runs(store)).splitlines()]
    by_id = {line[0]: dict(zip(header, line, strict=False)) for line in lines}
    assert [line[0] for line in lines] == [third, second, original]
    assert by_id[second] | {"Started": ""} == {
        "Run": second,
        "Experiment": "bank",
        "Status": "Finished",
        "Started": "",
        "Duration": "0:02:00",
        "Children": "1/5",
        "Failed": "0",
        "Best": "0.75000",
        "Metric": "AUC_weighted",
        "Note": f"reuses {original}",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", by_id[second]["Started"])
    assert [by_id[third][name] for name in ("Started", "Duration", "Best")] == ["-", "-", "-"]


def test_a_summary_can_be_written_as_json(workspace: Workspace) -> None:
    run_id, _ = add_run(workspace.store)
    (run,) = list_runs(workspace.store)
    assert json.loads(json.dumps(asdict(run)))["id"] == run_id


def test_a_run_is_found_by_any_of_its_ids_and_by_a_beginning(workspace: Workspace) -> None:
    add_run(workspace.store, days=2)
    run_id, step_id = add_run(workspace.store, children=[("Completed", "1")] * 12)
    for text in (run_id, step_id, f"{step_id}_1", f"{step_id}_11"):  # _1 is also the beginning of _11
        found, run = find_run(workspace, text)
        assert (found, run.id) == (text, run_id)
    assert find_run(workspace, run_id[:9])[0] == run_id
    assert find_run(workspace, step_id[:9])[0] == step_id  # not one of its children
    assert find_run(workspace, "latest")[0] == run_id


def test_what_names_no_run_or_several_is_refused(workspace: Workspace) -> None:
    with pytest.raises(UserErrorException, match="no run 'latest'"):
        find_run(workspace, "latest")
    run_id, step_id = add_run(workspace.store, children=[("Completed", "1")] * 12)
    with pytest.raises(UserErrorException, match=r"'abc' is too short .*\n.*at least 4 characters"):
        find_run(workspace, "abc")
    with pytest.raises(UserErrorException, match=f"no run '{run_id[:-2]}xy'.\nTo mend it: The nearest is {run_id}"):
        find_run(workspace, f"{run_id[:-2]}xy")
    with pytest.raises(UserErrorException, match=r"no run 'nowhere'.\n.*nbhelpers runs --all"):
        find_run(workspace, "nowhere")
    with pytest.raises(UserErrorException, match=f"beginning of 12 runs: {step_id}_0, .* …\n.*Give more of the id"):
        find_run(workspace, f"{step_id}_")
