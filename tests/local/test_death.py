"""Workers that are killed in each phase of a run, and runs that go on where they stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa

from nbhelpers.local import ComputeTarget, Workspace
from nbhelpers.local.store import slots

from .faults import (
    FOLDS,
    KILL,
    KILL_WORKER,
    NOTE,
    TRAIN_FOLD,
    assert_failed,
    completed,
    create_target,
    end_of,
    plant,
    result,
    submit,
    taken_over,
    trained,
    undisturbed,
    wait_until,
    worker_pid,
)

#: Where the worker is killed, how, and how many of the seven children have completed by then at least. The candidates'
#: random states are their iterations.
PHASES = {
    "while data is prepared": ("nbhelpers.automl.data:prepare", KILL, 0),
    "between children": ("nbhelpers.local.children:ChildKeeper.start", f"if args[1] == 3: {KILL}", 2),
    "while a fold is trained": (TRAIN_FOLD, f"if args[1].parameters['random_state'] == 2: {KILL_WORKER}", 1),
    "while a child is written": (
        "nbhelpers.local.store:write_atomically",
        f"if args[0].name == 'predictions.npy' and args[0].parent.name.endswith('_2'): {KILL}",
        1,
    ),
    "while an ensemble is chosen": ("nbhelpers.automl.ensemble:vote", KILL, 5),
    "while the model is fitted": ("nbhelpers.automl.training:refit", KILL_WORKER, 7),
    "before the model is written": ("nbhelpers.local.models:save_model", KILL, 7),
    "before the end is recorded": ("nbhelpers.local.processes:finish", KILL, 7),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_whose_worker_is_killed_fails_with_the_reason_and_is_continued_without_repeating_a_child(
    target: ComputeTarget, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    place, kill, least = PHASES[phase]
    plant(monkeypatch, {place: kill})
    run = submit(target)
    assert_failed(run)
    done = completed(run)
    assert len(done) >= least

    plant(monkeypatch, NOTE)
    again = run.continue_run()
    assert end_of(again) == "Finished"
    (step,), (step_again,) = run.get_steps(), again.get_steps()
    assert again.properties["nbhelpers.continues"] == run.id
    assert step_again.properties["nbhelpers.continues"] == step.id
    candidates = [iteration for iteration in done if iteration < 5]  # ensembles are chosen anew
    assert taken_over(again) == {iteration: f"{step.id}_{iteration}" for iteration in candidates}
    assert trained(again) == sorted(FOLDS * [iteration for iteration in range(5) if iteration not in done])
    assert result(again) == undisturbed()


def test_submitting_again_continues_by_itself_a_run_that_was_killed_twice(
    target: ComputeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, kill, _ = PHASES["while a fold is trained"]
    plant(monkeypatch, {place: kill})
    first = submit(target)
    assert_failed(first)
    plant(monkeypatch, {"nbhelpers.automl.training:refit": KILL_WORKER})
    second = submit(target)
    assert_failed(second)
    plant(monkeypatch, NOTE)
    third = submit(target)
    assert end_of(third) == "Finished"

    steps = [next(run.get_steps()) for run in (first, second, third)]
    done = completed(first)
    assert steps[1].properties["nbhelpers.reuse"] == (
        f"continued: run {first.id} failed, and its {len(done)} finished child runs are kept"
    )
    assert steps[2].properties["nbhelpers.reuse"] == (
        f"continued: run {second.id} failed, and its 7 finished child runs are kept"
    )
    assert [run.properties.get("nbhelpers.continues") for run in (first, second, third)] == [None, first.id, second.id]
    assert taken_over(second) == {iteration: f"{steps[0].id}_{iteration}" for iteration in done}
    assert taken_over(third) == {iteration: f"{steps[1].id}_{iteration}" for iteration in range(5)}
    assert trained(third) == []
    assert result(third) == undisturbed()


#: The first four children end in ways in which processes end.
DEATHS = """
{0: lambda: ctypes.string_at(0), 1: lambda: os.kill(os.getpid(), signal.SIGKILL), 2: lambda: bytes(2**62),
 3: lambda: os._exit(3)}.get(args[1].parameters["random_state"], int)()
"""


def test_children_whose_processes_die_fail_alone_and_take_no_slot_with_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {TRAIN_FOLD: DEATHS})
    run = submit(create_target(workspace, max_nodes=1), iterations=8)
    assert end_of(run) == "Finished"
    (step,) = run.get_steps()
    children = list(step.get_children())
    assert [child.get_status() for child in children] == ["Failed"] * 4 + ["Completed"] * 4
    errors = [child.get_details()["error"]["error"]["message"] for child in children[:4]]
    reasons = ("ended by SIGSEGV", "ended by SIGKILL, mostly for want of memory", "MemoryError", "exit code 3")
    assert all(reason in error for reason, error in zip(reasons, errors, strict=True)), errors
    assert all(error in step.get_logs() for error in errors)
    assert workspace.store.all(sa.select(slots)) == []


def test_a_moment_without_processes_costs_no_child(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    once = "if not os.path.exists('once'): open('once', 'w').close(); raise BlockingIOError(11, 'No more processes')"
    plant(monkeypatch, {"multiprocessing.popen_forkserver:Popen._launch": once})
    run = submit(create_target(workspace, max_nodes=1))
    assert end_of(run) == "Finished"
    assert completed(run) == set(range(7))


def test_a_child_that_was_lost_is_tried_again_when_the_run_is_continued(
    target: ComputeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = f"if args[1].parameters['random_state'] == 3: {KILL}"
    plant(monkeypatch, {TRAIN_FOLD: lost, "nbhelpers.local.models:save_model": KILL})
    run = submit(target)
    assert_failed(run)
    assert completed(run) == {0, 1, 2, 4, 5, 6}
    plant(monkeypatch, NOTE)
    again = run.continue_run()
    assert end_of(again) == "Finished"
    assert trained(again) == [3] * FOLDS
    assert set(taken_over(again)) == {0, 1, 2, 4}
    assert result(again) == undisturbed()


def test_a_finished_run_with_a_lost_child_is_continued_and_not_reused(
    target: ComputeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {TRAIN_FOLD: f"if args[1].parameters['random_state'] == 3: {KILL}"})
    run = submit(target)
    assert end_of(run) == "Finished"
    plant(monkeypatch, {})
    again = submit(target)
    (step,) = again.get_steps()
    assert step.properties["nbhelpers.reuse"] == (
        f"continued: run {run.id} lost processes of child runs, and its 6 finished child runs are kept"
    )
    assert end_of(again) == "Finished"
    assert result(again) == undisturbed()
    assert next(submit(target).get_steps()).properties["azureml.reusedpipeline"] == again.id


#: Waits for a run that another process has submitted.
WAIT = """
import sys
from nbhelpers.local import Run, Workspace
run = Run.get(Workspace.from_config(), sys.argv[1])
print(run.get_status(), flush=True)
run.wait_for_completion(show_output=False)
"""


def test_a_process_that_only_waits_is_told_when_the_worker_is_killed(target: ComputeTarget) -> None:
    run = submit(target, iterations=500)
    wait_until(lambda: completed(run))
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAIT, run.id], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "Running\n"
    os.kill(worker_pid(run), signal.SIGKILL)
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert f"ActivityFailedException: Run {run.id} is Failed: The worker process died." in errors
    assert_failed(run)
