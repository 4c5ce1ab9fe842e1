from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from nbhelpers.automl import TaskLostError
from nbhelpers.errors import StoreError
from nbhelpers.local import AmlCompute, ComputeTarget, Experiment, Workspace
from nbhelpers.local.pool import SlotPool
from nbhelpers.local.slots import Slots
from nbhelpers.local.store import slots

from .faults import is_gone, wait_until
from .test_slots import running


@pytest.fixture
def make_pool(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes pools of runs that share two slots; `states` holds what they said of the queue."""
    monkeypatch.setattr("nbhelpers.local.pool.PATIENCE", 0.1)
    Experiment(workspace, "e")
    ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))
    pools: list[SlotPool] = []

    def make(run_id: str, size: int = 2) -> SimpleNamespace:
        queue = Slots(workspace.store, "cpu", 2, running(workspace.store, run_id))
        states: list[bool] = []
        pool = SlotPool(workspace.store, queue, size, tmp_path / run_id, states.append)
        pools.append(pool.__enter__())
        return SimpleNamespace(pool=pool, queue=queue, states=states, submit=lambda f, *a: pool.submit(f, DATA, *a))

    yield make
    for pool in pools:
        pool.__exit__()
    assert workspace.store.all(sa.select(slots)) == []  # whatever a test did


DATA = {"matrix": np.arange(6.0).reshape(3, 2)}


def facts(data: Any, power: int) -> tuple[Any, ...]:
    matrix = data["matrix"]
    return os.getpid(), type(matrix).__name__, matrix.flags.writeable, (matrix**power).tolist()


def rest(_data: Any, folder: Path, seconds: float = 60.0) -> None:
    (folder / f"{os.getpid()}").touch()
    time.sleep(seconds)


def die(_data: Any, how: str) -> None:
    if how == "segfault":
        ctypes.string_at(0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    raise MemoryError("no room left")


class Awkward(Exception):
    """Cannot be unpickled: it wants two arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def raise_awkward(_data: Any) -> None:
    raise Awkward("out of ", "luck")


def test_tasks_share_the_training_data_as_a_memory_mapped_file(make_pool: Callable[..., Any], tmp_path: Path) -> None:
    one = make_pool("one")
    results = [future.result(60) for future in [one.submit(facts, power) for power in (1, 2, 3)]]
    assert {(kind, writeable) for _, kind, writeable, _ in results} == {("memmap", False)}
    assert [values for *_, values in results] == [(DATA["matrix"] ** power).tolist() for power in (1, 2, 3)]
    assert os.getpid() not in {pid for pid, *_ in results}
    assert (tmp_path / "one").stat().st_mode & 0o077 == 0  # nobody else may change what is loaded


@pytest.mark.parametrize(
    ("how", "error", "reason"),
    [
        ("segfault", TaskLostError, "was ended by SIGSEGV: it crashed"),
        ("killed", TaskLostError, "was ended by SIGKILL, mostly for want of memory"),
        ("exit", TaskLostError, "ended with exit code 3"),
        ("memory", MemoryError, "no room left"),
    ],
)
def test_a_task_that_dies_fails_alone(
    make_pool: Callable[..., Any], how: str, error: type[Exception], reason: str
) -> None:
    one = make_pool("one", size=1)
    with pytest.raises(error, match=reason):
        one.submit(die, how).result(60)
    assert one.submit(facts, 1).result(60)[1] == "memmap"


def test_an_error_that_cannot_travel_is_told_in_words(make_pool: Callable[..., Any]) -> None:
    with pytest.raises(RuntimeError, match="Awkward: out of luck"):
        make_pool("one").submit(raise_awkward).result(60)


def test_cancelling_ends_the_process_of_the_task(make_pool: Callable[..., Any], tmp_path: Path) -> None:
    one = make_pool("one", size=1)
    (tmp_path / "pids").mkdir()
    future = one.submit(rest, tmp_path / "pids")
    wait_until(lambda: list((tmp_path / "pids").iterdir()))
    (pid,) = (int(path.name) for path in (tmp_path / "pids").iterdir())
    assert future.cancel()
    wait_until(lambda: is_gone(pid))
    assert one.submit(facts, 1).result(60)


def test_work_of_two_runs_shares_the_slots_and_the_one_that_waits_says_so(
    make_pool: Callable[..., Any], tmp_path: Path
) -> None:
    one, two = make_pool("one"), make_pool("two")
    (tmp_path / "pids").mkdir()
    long = [one.submit(rest, tmp_path / "pids") for _ in range(2)]
    wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    waiting = two.submit(facts, 1)
    wait_until(lambda: two.states == [True])
    assert not waiting.done()
    for future in long:
        future.cancel()
    assert waiting.result(60)
    wait_until(lambda: two.states == [True, False])
    assert two.pool.queued_seconds > 0
    assert (one.states, one.pool.queued_seconds) == ([], 0)


def test_a_process_that_died_while_it_was_idle_costs_no_task(make_pool: Callable[..., Any]) -> None:
    one = make_pool("one", size=1)
    pid = one.submit(facts, 1).result(60)[0]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid))
    assert one.submit(facts, 1).result(60)[0] != pid


def give_function(_data: Any) -> object:
    return lambda: None


def test_a_result_that_cannot_be_pickled_is_the_tasks_error(make_pool: Callable[..., Any]) -> None:
    one = make_pool("one", size=1)
    with pytest.raises(Exception, match=r"pickle .*lambda"):
        one.submit(give_function).result(60)
    assert one.submit(facts, 1).result(60)


class Unreadable:
    """Raises where it is unpickled, but not where it is made."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_read, (os.getpid(),))


def _read(pid: int) -> None:
    if pid != os.getpid():
        raise ValueError("cannot be read here")


def give_unreadable(_data: Any) -> object:
    return Unreadable()


def test_a_result_that_cannot_be_read_fails_its_task_alone(make_pool: Callable[..., Any]) -> None:
    one = make_pool("one", size=1)
    with pytest.raises(TaskLostError, match="ValueError: cannot be read here"):
        one.submit(give_unreadable).result(60)
    assert one.submit(facts, 1).result(60)


def test_a_system_that_starts_no_processes_ends_the_work(
    make_pool: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("nbhelpers.local.pool._Process.__init__", refuse)
    monkeypatch.setattr("nbhelpers.local.pool._START", 0.1)
    one = make_pool("one", size=1)
    with pytest.raises(TaskLostError, match="No process could be started"):
        one.submit(facts, 1).result(60)
    with pytest.raises(StoreError, match="Resource temporarily unavailable"):
        one.submit(facts, 1)


def test_a_cancelled_task_leaves_the_queue(make_pool: Callable[..., Any], tmp_path: Path) -> None:
    one, two = make_pool("one"), make_pool("two", size=1)
    (tmp_path / "pids").mkdir()
    long = [one.submit(rest, tmp_path / "pids") for _ in range(2)]
    wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    waiting = two.submit(facts, 1)
    wait_until(lambda: two.states == [True])
    assert waiting.cancel()
    wait_until(lambda: two.states == [True, False])
    for future in long:
        future.cancel()
    wait(long)


def test_the_slots_of_a_dead_run_are_free_again(
    make_pool: Callable[..., Any], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbhelpers.local.pool._SETTLE", 0.1)
    from nbhelpers.local.store import runs

    dead = Slots(workspace.store, "cpu", 2, running(workspace.store, "dead"))
    dead.draw(), dead.draw()
    with workspace.store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == "dead").values(pid=2**22 + 1, heartbeat=time.time() - 5))
    assert make_pool("one").submit(facts, 1).result(60)


def test_a_store_that_cannot_be_written_ends_the_work(make_pool: Callable[..., Any], workspace: Workspace) -> None:
    one = make_pool("one", size=1)
    assert one.submit(facts, 1).result(60)
    with workspace.store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE slots RENAME TO elsewhere")
    try:
        with pytest.raises(TaskLostError, match="no such table"):
            one.submit(facts, 1).result(60)
        with pytest.raises(StoreError, match="no such table"):
            one.submit(facts, 1)
    finally:
        with workspace.store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO slots")


def test_training_data_that_cannot_be_written_is_an_error_with_a_remedy(
    make_pool: Callable[..., Any], tmp_path: Path
) -> None:
    one = make_pool("one")
    (tmp_path / "one").touch()
    with pytest.raises(StoreError, match=r"training_data\.joblib cannot be written: .*\n.*Make room"):
        one.submit(facts, 1)
