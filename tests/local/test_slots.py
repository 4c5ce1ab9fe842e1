from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from nbhelpers.errors import StoreError
from nbhelpers.local import AmlCompute, ComputeTarget, Experiment, Workspace
from nbhelpers.local.processes import finish
from nbhelpers.local.slots import Slots
from nbhelpers.local.store import Store, now, open_store, runs, slots


def running(store: Store, run_id: str, heartbeat: float | None = None) -> str:
    """A pipeline run and its step that are at work, as far as the store knows."""
    row = {
        "experiment": "e",
        "name": "run",
        "status": "Running",
        "created": now(),
        "heartbeat": heartbeat or time.time(),
    }
    empty: dict[str, dict[str, str]] = {"definition": {}, "properties": {}, "tags": {}, "metrics": {}}
    with store.writing() as connection:
        connection.execute(runs.insert().values(row | empty | {"id": run_id, "kind": "pipeline"}))
        step = {"id": f"{run_id}-step", "kind": "step", "parent_id": run_id}
        connection.execute(runs.insert().values(row | empty | step))
    return run_id


@pytest.fixture
def store(workspace: Workspace) -> Store:
    Experiment(workspace, "e")
    ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))
    return workspace.store


def test_the_first_tickets_are_the_slots_and_the_others_wait_in_their_order(store: Store) -> None:
    one, two = (Slots(store, "cpu", 9, running(store, name)) for name in ("one", "two"))
    a, b, c, d = one.draw(), one.draw(), two.draw(), one.draw()
    assert [one.is_first(ticket) for ticket in (a, b, c, d)] == [True, True, False, False]
    one.give_back(a)
    assert [two.is_first(c), one.is_first(d)] == [True, False]
    one.give_back(b)
    assert one.is_first(d)


def test_compute_targets_have_slots_of_their_own(store: Store) -> None:
    run_id = running(store, "one")
    for _ in range(2):
        Slots(store, "cpu", 2, run_id).draw()
    other = Slots(store, "deleted-meanwhile", 1, run_id)
    ticket, next_ticket = other.draw(), other.draw()
    assert other.is_first(ticket)
    assert not other.is_first(next_ticket)


def test_a_compute_target_that_grows_lets_more_work_begin(workspace: Workspace, store: Store) -> None:
    mine = Slots(store, "cpu", 2, running(store, "one"))
    tickets = [mine.draw() for _ in range(3)]
    assert not mine.is_first(tickets[2])
    ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=3))
    assert mine.is_first(tickets[2])


def test_a_run_that_ends_leaves_no_ticket_behind(store: Store) -> None:
    one, two = (Slots(store, "cpu", 2, running(store, name)) for name in ("one", "two"))
    one.draw(), one.draw()
    ticket = two.draw()
    assert two.other_runs() == ["one"]
    finish(store, "one", "Failed", {"code": "WorkerLost", "message": "It died."})
    assert two.is_first(ticket)
    assert two.other_runs() == []
    with pytest.raises(StoreError, match="Run one is Failed"):
        one.draw()


def test_work_whose_ticket_was_taken_away_does_not_begin(store: Store) -> None:
    one = Slots(store, "cpu", 2, running(store, "one"))
    ticket = one.draw()
    assert one.is_first(ticket)
    one.give_back(ticket)
    assert not one.is_first(ticket)


def _work(home: Path, run_id: str) -> None:
    mine = Slots(open_store(home), "cpu", 2, run_id)
    for _ in range(15):
        ticket = mine.draw()
        while not mine.is_first(ticket):
            time.sleep(0.002)
        with (home / f"at-work-{run_id}").open("x"):
            at_work = len(list(home.glob("at-work-*")))
        (home / "most").open("a").write(f"{at_work}\n")
        time.sleep(0.005)
        (home / f"at-work-{run_id}").unlink()
        mine.give_back(ticket)


def test_processes_never_take_more_slots_than_there_are(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    names = [running(store, f"run-{k}") for k in range(4)]
    processes = [context.Process(target=_work, args=(store.home, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    counts = {int(line) for line in (store.home / "most").read_text().split()}
    assert counts == {1, 2} or counts == {2}
    assert store.all(sa.select(slots)) == []
