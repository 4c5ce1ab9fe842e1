from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbhelpers.local import AmlCompute, AutoMLConfig, AutoMLStep, ComputeTarget, Pipeline, Workspace
from nbhelpers.local.processes import log_file
from nbhelpers.local.store import Store

from ..local.conftest import bank_like
from ..local.rows import add_run
from .conftest import COMMAND, assert_refused, loaded, nbhelpers


def test_an_empty_workspace_says_what_to_run_and_is_not_made(home: Path, tmp_path: Path) -> None:
    result = nbhelpers(home, "runs")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"No runs in the workspace {home}. To make one: nbhelpers run\n"
    assert nbhelpers(home, "runs", "--json").stdout == "[]\n"
    for command in ("logs", "cancel", "continue"):
        result = nbhelpers(home, command, "latest")
        assert_refused(result, f"error: There is no workspace in {home}.\nTo mend it: Make one with `nbhelpers run`")
    assert list(tmp_path.iterdir()) == []


def test_runs_prints_a_table_or_json(store: Store) -> None:
    ids = [add_run(store, days=days, children=[("Completed", "0.75")])[0] for days in range(1, 23)]
    result = nbhelpers(store.home, "runs")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["Run", *ids[:20]]
    assert "0.75000  AUC_weighted" in result.stdout
    found = json.loads(nbhelpers(store.home, "runs", "--json", "--all").stdout)
    assert [run["id"] for run in found] == ids
    assert (found[0]["status"], found[0]["best"], found[0]["seconds"]) == ("Finished", 0.75, 120)
    assert len(json.loads(nbhelpers(store.home, "runs", "--json", "--limit", "3", "--experiment", "bank").stdout)) == 3


def test_runs_and_logs_load_nothing_heavy(store: Store) -> None:
    _, step_id = add_run(store)
    log_file(store, step_id).write_text("")
    heavy = {"papermill", "nbformat", "pandas", "sklearn", "pyarrow", "duckdb", "matplotlib", "jinja2", "IPython"}
    for arguments in (["runs"], ["logs", "latest"]):
        assert not heavy & loaded(store.home, *arguments)


def test_the_log_of_a_reused_run_is_that_of_the_original(store: Store) -> None:
    original, step_id = add_run(store, days=2)
    reuse = {"azureml.reusedrunid": step_id, "azureml.reusedpipeline": original}
    reuser, _ = add_run(store, children=[("Completed", "1")], facts=reuse)
    log_file(store, step_id).write_bytes("first … line\n\xff".encode() + b"\xff")
    for text, notice in ((original[:8], ""), (f"{step_id}", ""), (reuser, f"Run {reuser} reuses run {original}")):
        environment = {**os.environ, "NBHELPERS_HOME": str(store.home)}
        done = subprocess.run([*COMMAND, "logs", text], capture_output=True, check=True, env=environment)
        assert done.stdout == log_file(store, step_id).read_bytes()
        assert notice in done.stderr.decode()


def test_following_a_run_that_has_ended_ends_and_says_how(store: Store) -> None:
    run_id, step_id = add_run(store, status="Failed")
    log_file(store, step_id).write_text("line\n")
    result = nbhelpers(store.home, "logs", "latest", "--follow")
    assert (result.returncode, result.stdout) == (0, "line\n")
    assert result.stderr.splitlines() == [
        f"Run {run_id} is Failed: It broke.",
        f"To go on where it stopped: nbhelpers continue {run_id}",
    ]


def test_what_has_ended_is_not_cancelled(store: Store) -> None:
    run_id, step_id = add_run(store, children=[("Completed", "1")])
    result = nbhelpers(store.home, "cancel", f"{step_id}_0")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Run {step_id}_0 is part of pipeline run {run_id}.",
        f"Run {run_id} has ended already: Finished.",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "--experiment", "bnak"], "error: The workspace has no experiment 'bnak'; it has: bank.\nTo mend it"),
        (["runs", "--experiment", "\udcff"], "no experiment '\\udcff'"),
        (["runs", "--limit", "0"], "Invalid value for '--limit'"),
        (["runs", "--limit", "9" * 30], "Invalid value for '--limit'"),
        (["runs", "--limit", "3", "--all"], "error: --all and --limit contradict each other"),
        (["logs"], "Missing argument 'RUN'"),
        (["logs", "abc"], "error: 'abc' is too short to name a run"),
        (["logs", "nowhere"], "error: The workspace has no run 'nowhere'"),
        (["logs", "\udcff\udcff\udcff\udcff"], "error: The workspace has no run '\\udcff"),
        (["logs", "latest"], "has no log"),
        (["cancel", "nowhere"], "error: The workspace has no run 'nowhere'"),
        (["continue", "nowhere"], "error: The workspace has no run 'nowhere'"),
        (["continue", "latest"], "is Finished, so there is nothing to continue"),
    ],
)
def test_a_mistake_ends_with_code_2_and_one_message(store: Store, arguments: list[str], message: str) -> None:
    add_run(store)
    assert_refused(nbhelpers(store.home, *arguments), message)


@pytest.fixture
def long_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a real run that is at work, and would be for minutes."""
    monkeypatch.setenv("NBHELPERS_HOME", str(home))
    workspace = Workspace.from_config()
    target = ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))
    data = {"training_data": bank_like(1000), "label_column_name": "y", "iterations": 500}
    config = AutoMLConfig("classification", compute_target=target, **data)
    run = Pipeline(workspace, AutoMLStep("automl_module", config)).submit("long")
    yield run.id
    for left in workspace.experiments["long"].get_runs():
        left.cancel()
        left.wait_for_completion(show_output=False, raise_on_error=False)


def test_a_run_is_followed_left_cancelled_and_continued(long_run: str, home: Path) -> None:
    with subprocess.Popen([*COMMAND, "logs", "latest", "-f"], stdout=-1, stderr=-1, text=True) as follower:
        assert follower.stdout is not None
        assert any("LightGBM" in line for line in follower.stdout)  # waits for the first child run
        follower.send_signal(signal.SIGINT)
        _, errors = follower.communicate()
    assert follower.returncode == 130
    assert errors == f"\nRun {long_run} goes on. To end it: nbhelpers cancel {long_run}\n"
    (run,) = json.loads(nbhelpers(home, "runs", "--json").stdout)
    assert (run["status"], run["planned"]) == ("Running", 500)
    assert run["completed"] >= 1

    with subprocess.Popen([*COMMAND, "logs", "latest", "-f"], stdout=-1, stderr=-1, text=True) as follower:
        result = nbhelpers(home, "cancel", long_run)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"Run {long_run}: Canceled.\n"
        _, errors = follower.communicate()
    assert follower.returncode == 0
    assert errors.startswith(f"Run {long_run} is Canceled: The run was cancelled.\n")

    result = nbhelpers(home, "continue", long_run)
    assert (result.returncode, result.stderr) == (0, "")
    new, old = json.loads(nbhelpers(home, "runs", "--json").stdout)
    assert (new["continues"], old["status"]) == (long_run, "Canceled")
    assert f"Submitted PipelineRun {new['id']}" in result.stdout
    assert result.stdout.endswith(f"\nTo follow it: nbhelpers logs {new['id']} --follow\n")
    result = nbhelpers(home, "continue", "latest")
    assert result.returncode == 2
    assert "so there is nothing to continue" in result.stderr
