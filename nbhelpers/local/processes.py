"""Worker processes: starting one for a run, and noticing that it is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nbhelpers.errors import StoreError
from nbhelpers.local.store import Store, now, runs, slots

#: States of a run that has not ended.
RUNNING = ("NotStarted", "Queued", "Running")
#: Seconds between two heartbeats of a worker.
BEAT = 1.0
#: Seconds without a heartbeat after which a worker counts as dead.
STALE = 15.0
SILENT = "The worker process stopped answering."
#: The folder of a run with what it needs only while it is at work.
WORK = "work"
#: The error record of a run that was cancelled.
CANCELED = {"code": "Canceled", "message": "The run was cancelled."}
#: Parallel work is done by several processes, so that NumPy's libraries shall not start threads as well.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


def log_file(store: Store, step_id: str) -> Path:
    """Where a step run's log is kept."""
    return store.run_folder(step_id) / "log.txt"


def work_folder(store: Store, step_id: str) -> Path:
    """Where a step run keeps what it needs only while it is at work."""
    return store.run_folder(step_id) / WORK


def start_worker(store: Store, run_id: str, step_id: str) -> None:
    """Start the worker of a pipeline run, in a session of its own so that it outlives this process.

    Raises
    ------
    StoreError
        The system did not start the process, or the log cannot be written; the run is Failed.
    """
    log = log_file(store, step_id)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                # -P: no module in the current folder can shadow one that the worker imports.
                [sys.executable, "-P", "-m", "nbhelpers.local.worker", run_id],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=store.home,
                env=os.environ | _ONE_THREAD | {"NBHELPERS_HOME": str(store.home)},
            )
    except OSError as error:
        problem = f"The worker process of run {run_id} could not be started: {error.strerror}."
        finish(store, run_id, "Failed", {"code": "WorkerLost", "message": problem})
        raise StoreError(problem, f"check that {store.home} can be written to and that memory is left") from error
    # Reaps the worker when it ends: until then its process id looks alive.
    threading.Thread(target=process.wait, daemon=True).start()
    with store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == run_id).values(pid=process.pid, heartbeat=time.time()))


def finish(
    store: Store,
    run_id: str,
    status: str,
    error: Mapping[str, str] | None = None,
    step_values: Mapping[str, Any] | None = None,
) -> None:
    """End a pipeline run, its step and children at work in one transaction, unless something else has ended it.

    Parameters
    ----------
    store : Store
    run_id : str
        The pipeline run.
    status : {"Finished", "Failed", "Canceled"}
    error : mapping, optional
        ``code`` and ``message`` of a failure, and its ``remedy`` if there is one.
    step_values : mapping, optional
        Columns of the step's row to set, too.
    """
    end = {"status": status, "ended": now(), "error": dict(error) if error else None}
    mine = runs.c.parent_id == run_id
    with store.writing() as connection:
        connection.execute(slots.delete().where(slots.c.run_id == run_id))
        ended = connection.execute(runs.update().where(runs.c.id == run_id, runs.c.status.in_(RUNNING)).values(**end))
        if not ended.rowcount:
            return
        step_id: str = connection.execute(sa.select(runs.c.id).where(mine)).scalar_one()
        connection.execute(runs.update().where(mine).values(**end, **(step_values or {})))
        children = runs.update().where(runs.c.parent_id == step_id, runs.c.status.in_(RUNNING))
        connection.execute(children.values(**end))
    shutil.rmtree(work_folder(store, step_id), ignore_errors=True)


def settle(store: Store, run_id: str) -> None:
    """End a pipeline run whose worker is gone: as Failed, or as Canceled if that was asked for."""
    row = _row(store, run_id)
    loss = _loss(row)
    if loss == SILENT:
        with store.writing():  # had the store been locked, so had the worker: those that wait beat first
            pass
        time.sleep(2 * BEAT)  # when a machine wakes from sleep, every heartbeat is old for a moment
        row = _row(store, run_id)
        loss = _loss(row)
    if loss and row["cancel_requested"]:
        finish(store, run_id, "Canceled", CANCELED)
    elif loss:
        finish(store, run_id, "Failed", {"code": "WorkerLost", "message": loss})


def settle_all(store: Store) -> None:
    """End the runs whose worker is gone."""
    for row in store.all(sa.select(runs.c.id).where(runs.c.kind == "pipeline", runs.c.status.in_(RUNNING))):
        settle(store, row["id"])


def _loss(row: sa.RowMapping) -> str | None:
    """Why the worker of a run that has not ended counts as gone; None while it does not."""
    if row["status"] not in RUNNING:
        return None
    silence = time.time() - row["heartbeat"]
    # A worker that beats is alive, although a container may not see its process.
    if silence > 3 * BEAT and row["pid"] is not None and not _is_alive(row["pid"]):
        return "The worker process died."
    return SILENT if silence > STALE else None


def _row(store: Store, run_id: str) -> sa.RowMapping:
    row = store.one(sa.select(runs).where(runs.c.id == run_id))
    assert row is not None  # noqa: S101 - callers have read the run already
    return row


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # where os.kill ends the process; its heartbeat has to tell
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process: it lives
        return True
    try:  # one that has ended is in the list until its parent takes note, which in a container may be never
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return True
