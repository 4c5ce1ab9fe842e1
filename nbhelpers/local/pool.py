"""The processes that train the child runs of a run.

Each has a pipe of its own and shares nothing with the others, so that any of them can end at any moment, by us or by
the system, without harm to the rest; and a slot is given back when its process is known to be done, not before. (The
process pools of the libraries hand out tasks through one shared queue and do not say when a cancelled task has
stopped.)
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import joblib

from nbhelpers.automl import TaskLostError
from nbhelpers.errors import StoreError
from nbhelpers.local.processes import settle
from nbhelpers.local.slots import Slots
from nbhelpers.local.store import Store, not_written

#: Seconds between two looks at the queue for slots, and at whether a task was cancelled.
POLL = 0.05
#: Seconds for which all work must wait before the run says so: runs that take turns shall not say it at each turn.
PATIENCE = 10.0
#: Seconds for which starting a process is tried.
_START = 30.0
#: What models are made of, loaded once for all processes.
_LIBRARIES = (
    "lightgbm",
    "xgboost",
    "nbhelpers.automl.stopping",
    "sklearn.calibration",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.svm",
)
#: Seconds between two looks at whether the other runs in the queue are alive.
_SETTLE = 2.0


class SlotPool:
    """A pool (see `nbhelpers.automl.Pool`) of processes that work in slots of a compute target.

    Parameters
    ----------
    store : Store
    queue_of_slots : Slots
    size : int
        How many tasks run at a time where there are slots for them.
    folder : Path
        For the training data, which the processes share as a memory-mapped file.
    on_queue : callable
        Told True when all work of the run has waited for slots for `PATIENCE` seconds, and False when some goes on.
    """

    def __init__(
        self, store: Store, queue_of_slots: Slots, size: int, folder: Path, on_queue: Callable[[bool], None]
    ) -> None:
        self.slots = size
        self._store = store
        self._queue = queue_of_slots
        self._file = folder / "training_data.joblib"
        self._on_queue = on_queue
        self._data: object = None
        self._broken: StoreError | None = None
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._working = 0
        self._queued_since: float | None = None
        self._queued = 0.0
        self._told = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(size)]

    def __enter__(self) -> SlotPool:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    @property
    def queued_seconds(self) -> float:
        """How long so far all work of the run had to wait for slots."""
        with self._lock:
            now = 0.0 if self._queued_since is None else time.monotonic() - self._queued_since
            return self._queued + now

    def submit(self, function: Callable[..., Any], data: object, /, *args: Any) -> Future[Any]:
        """Run a function of the training data (the same each time) and other arguments as soon as there is a slot.

        Raises
        ------
        StoreError
            The training data or the queue for slots cannot be written.
        """
        if self._broken:
            raise self._broken
        if self._data is None:
            self._data = data
            try:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                joblib.dump(data, self._file)
            except OSError as error:
                with contextlib.suppress(OSError):
                    self._file.unlink()  # its beginning would take the room in which the store notes this
                raise not_written(self._file, error) from error
        assert data is self._data  # noqa: S101 - the processes keep what they have loaded
        task = _Task((function, str(self._file), args))
        self._tasks.put(task)
        return task

    def _serve(self) -> None:
        """Do one task after the other, each in a slot, and all in one process unless it dies."""
        process: _Process | None = None
        with contextlib.suppress(OSError, EOFError):  # tried again when there is a task
            process = _Process()
        while (task := self._tasks.get()) is not None:
            try:
                with self._slot(task):
                    if not task.cancelled():
                        task.began = time.monotonic()
                        process = process if process and process.is_alive() else _started(task)
                        if process and not process.do(task):
                            process = None
                if task.cancelled():
                    task.fail(TaskLostError("cancelled"))  # wakes whoever waits for its end
            except StoreError as error:  # no reason to fail one child after the other: the search is over
                self._broken = error
                task.fail(TaskLostError(error.problem))
            except Exception as error:
                if process:
                    process.end()  # its pipe may be half read
                    process = None
                task.fail(TaskLostError(f"{type(error).__name__}: {error}"))
        if process:
            process.end()

    @contextlib.contextmanager
    def _slot(self, task: _Task) -> Iterator[None]:
        """A slot; or none, if the task is cancelled before there is one."""
        ticket = self._queue.draw()
        try:
            if not self._queue.is_first(ticket):
                self._count(waiting=1)
                try:
                    self._wait(ticket, task)
                finally:
                    self._count(waiting=-1)
            self._count(working=1)
            try:
                yield
            finally:
                self._count(working=-1)
        finally:
            self._queue.give_back(ticket)

    def _wait(self, ticket: int, task: _Task) -> None:
        settled = time.monotonic()
        while not task.cancelled() and not self._queue.is_first(ticket):
            if time.monotonic() - settled > _SETTLE:  # a dead run gives no ticket back
                for run_id in self._queue.other_runs():
                    settle(self._store, run_id)
                settled = time.monotonic()
            self._tell()
            time.sleep(POLL)

    def _count(self, waiting: int = 0, working: int = 0) -> None:
        with self._lock:
            self._waiting += waiting
            self._working += working
            queued = self._waiting > 0 and self._working == 0
            if queued and self._queued_since is None:
                self._queued_since = time.monotonic()
            if not queued and self._queued_since is not None:
                self._queued += time.monotonic() - self._queued_since
                self._queued_since = None
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            waits = self._queued_since is not None and time.monotonic() - self._queued_since >= PATIENCE
            if waits != self._told:
                self._told = waits
                self._on_queue(waits)


class _Task(Future[Any]):
    """The future of a piece of work: a function, the file of its first argument, and the others."""

    def __init__(self, work: tuple[Callable[..., Any], str, tuple[Any, ...]]) -> None:
        super().__init__()
        self.work = work
        self.began: float | None = None  # when it had its slot
        self._over = False

    def succeed(self, value: object) -> None:
        if self._take():
            self.set_result(value)

    def fail(self, error: BaseException) -> None:
        if self._take():
            self.set_exception(error)

    def _take(self) -> bool:
        """Whether an outcome is wanted: not a second one, and none if the task was cancelled (who waits is told)."""
        over, self._over = self._over, True
        return not over and self.set_running_or_notify_cancel()


class _Process:
    """A process that does one task after the other."""

    #: Starting a process looks after the ended ones, which only one thread at a time may do.
    _lock = threading.Lock()

    def __init__(self) -> None:
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        with self._lock:
            self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        """Whether it is still there: the system may have killed it while it was idle."""
        with self._lock:
            return bool(self._process.is_alive())

    def do(self, task: _Task) -> bool:
        """Do a task; False if the process is gone afterwards, as it died or as the task was cancelled."""
        try:
            self._connection.send(task.work)
            while not self._connection.poll(POLL):
                if task.cancelled():
                    self.end()
                    return False
            done, value = self._connection.recv()
        except (EOFError, OSError):
            self.end()
            task.fail(TaskLostError(f"The process of the child run {self._cause()}."))
            return False
        (task.succeed if done else task.fail)(value)
        return True

    def end(self) -> None:
        """Kill the process: it holds nothing that must be closed."""
        with self._lock:
            self._process.kill()
            self._process.join()
        self._connection.close()

    def _cause(self) -> str:
        code = self._process.exitcode or 0
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (", mostly for want of memory" if name == "SIGKILL" else ": it crashed")


def _started(task: _Task) -> _Process | None:
    """A new process; None if the task is cancelled before the system has given one.

    Raises
    ------
    StoreError
        For half a minute there was none.
    """
    deadline = time.monotonic() + _START
    while not task.cancelled():
        try:
            return _Process()
        except (OSError, EOFError) as error:  # a moment without memory, or without the process that forks others
            if time.monotonic() > deadline:
                raise StoreError(
                    f"No process could be started for child runs: {type(error).__name__}: {error}.",
                    "end programs that need much memory, then continue the run: its finished child runs are kept",
                ) from error
            time.sleep(10 * POLL)
    return None


@cache
def _context() -> Any:
    """Processes are forked from one that has loaded the engine; where a system cannot do that, started anew."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nbhelpers.automl.engine", *_LIBRARIES, __name__])
    return context


def _work(connection: Connection) -> None:
    """What a process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for the run
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform == "linux":  # short of memory, the system shall choose this process and not the run's own
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")
    while True:
        try:
            function, file, args = connection.recv()
        except EOFError:
            return
        answer: tuple[bool, object]
        try:
            answer = True, function(_load(file), *args)
        except Exception as error:
            traceback.print_exc()
            answer = False, _portable(error)
        try:
            connection.send(answer)
        except Exception as error:  # the value cannot be pickled
            traceback.print_exc()
            connection.send((False, _portable(error)))


def _end_with_parent() -> None:
    """Leave no process behind when the run's own is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this process has been started by one
    wait([parent.sentinel])
    os._exit(1)


@cache
def _load(file: str) -> Any:
    return joblib.load(file, mmap_mode="r")  # the run's own process has just written it, into a private folder


def _portable(error: Exception) -> Exception:
    """The error, or what it says if it does not survive the way to the other process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
