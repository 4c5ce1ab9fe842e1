"""The process that runs a pipeline: ``python -m nbhelpers.local.worker RUN_ID``, started on submit."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import NbhelpersError, StoreError
from nbhelpers.local.processes import BEAT, CANCELED, RUNNING, finish, work_folder
from nbhelpers.local.store import Store, now, open_store, runs, write_atomically

if TYPE_CHECKING:
    from nbhelpers.automl import Result
    from nbhelpers.automl.records import Prepared

LEGEND = """
****************************************************************************************
ITER: The iteration being evaluated.
PIPELINE: A summary description of the pipeline being evaluated.
DURATION: Time taken for the current iteration.
METRIC: The result of computing score on the fitted pipeline.
BEST: The best observed score thus far.
****************************************************************************************

 ITER   PIPELINE                                       DURATION      METRIC      BEST"""


class Heart(threading.Thread):
    """Tells the store each second that the run is alive, and notices when it shall stop.

    Attributes
    ----------
    cancelled : threading.Event
        Set when the run was asked to stop. Soon afterwards the process ends itself if it is still at work.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._run_id = run_id
        self._stopped = threading.Event()
        self.cancelled = threading.Event()

    def run(self) -> None:
        """Beat until stopped."""
        while True:
            try:
                self._beat()
            except StoreError as error:  # a full disk or a long lock may pass
                say("NoHeartbeat", error.problem)
            if self._stopped.wait(BEAT / 2 if self.cancelled.is_set() else BEAT):
                return

    def stop(self) -> None:
        """Stop beating; returns after the last beat."""
        self._stopped.set()
        self.join()

    def _beat(self) -> None:
        mine = runs.c.id == self._run_id
        with self._store.writing() as connection:
            row = connection.execute(sa.select(runs.c.status, runs.c.cancel_requested).where(mine)).one()
            connection.execute(runs.update().where(mine).values(heartbeat=time.time()))
        if row.status not in RUNNING:
            say(row.status, "The run was ended from outside.")
            os._exit(1)
        if self.cancelled.is_set():
            say("Canceled", CANCELED["message"])
            finish(self._store, self._run_id, "Canceled", CANCELED)
            os._exit(0)
        if row.cancel_requested:
            self.cancelled.set()


def main(run_id: str) -> None:
    """Run a pipeline to its end; whatever happens is in the store afterwards."""
    store = open_store()
    both = sa.or_(runs.c.id == run_id, runs.c.parent_id == run_id)
    start = {"status": "Running", "started": now(), "pid": os.getpid(), "heartbeat": time.time()}
    with store.writing() as connection:
        if not connection.execute(runs.update().where(both, runs.c.status == "NotStarted").values(start)).rowcount:
            print("The run was ended before it started.", flush=True)
            return
    (step,) = store.all(sa.select(runs).where(runs.c.parent_id == run_id))
    heart = Heart(store, run_id)
    heart.start()
    error: dict[str, str] | None = None
    values: dict[str, Any] = {}
    try:
        values = work(store, dict(step), heart.cancelled)
    except NbhelpersError as problem:
        _print_traceback()
        code = "SystemError" if isinstance(problem, StoreError) else "UserError"
        error = {"code": code, "message": problem.problem, "remedy": problem.remedy}
    except Exception as problem:
        _print_traceback()
        error = {"code": "SystemError", "message": f"The search failed: {type(problem).__name__}: {problem}"}
    heart.stop()
    if heart.cancelled.is_set():
        status, error, values = "Canceled", CANCELED, {}
    else:
        status = "Failed" if error else "Finished"
    say(status, error["message"] if error else "")
    finish(store, run_id, status, error, values)


def _print_traceback() -> None:
    with contextlib.suppress(OSError):  # the log may be on a disk that is full
        traceback.print_exc()


def work(store: Store, step: Mapping[str, Any], cancelled: threading.Event) -> dict[str, Any]:
    """Train; or wait for an earlier run that is at work on the same, and take over what it leaves.

    Parameters and values as those of `train`.
    """
    if "nbhelpers.waits_for" not in step["properties"]:
        return train(store, step, cancelled)
    from nbhelpers.local.reuse import find_reusable, reused_values

    definition = step["definition"]
    set_status(store, step["id"], "Queued")
    say("Queued", step["properties"]["nbhelpers.reuse"])
    while True:
        reuse = find_reusable(store, definition, definition["fingerprint_parts"], before=step["created"])
        if reuse.running is None or cancelled.wait(2 * BEAT):
            break
    if cancelled.is_set():
        return {}
    say("Running", reuse.why)
    properties = {name: value for name, value in step["properties"].items() if name != "nbhelpers.waits_for"}
    properties["nbhelpers.reuse"] = reuse.why
    if reuse.original is not None:
        return reused_values(reuse.original, properties)
    if reuse.interrupted is not None:
        properties["nbhelpers.continues"] = reuse.interrupted["id"]
    mine = runs.c.id == step["parent_id"]
    with store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == step["id"]).values(properties=properties))
        pipeline: dict[str, str] = dict(connection.execute(sa.select(runs.c.properties).where(mine)).scalar_one())
        pipeline.pop("nbhelpers.waits_for")
        if reuse.interrupted is not None:
            pipeline["nbhelpers.continues"] = reuse.interrupted["parent_id"]
        connection.execute(runs.update().where(mine).values(properties=pipeline))
    set_status(store, step["id"], "Running")
    return train(store, {**step, "properties": properties}, cancelled)


def set_status(store: Store, step_id: str, status: str) -> None:
    """Say that a step that has not ended is Queued, or Running again."""
    mine = runs.update().where(runs.c.id == step_id, runs.c.status.in_(RUNNING))
    with store.writing() as connection:
        connection.execute(mine.values(status=status))


def train(store: Store, step: Mapping[str, Any], cancelled: threading.Event) -> dict[str, Any]:
    """Search for a model and write the step's outputs.

    Parameters
    ----------
    store : Store
    step : mapping
        The row of the step run.
    cancelled : threading.Event
        Ends the search when set.

    Returns
    -------
    dict
        Columns of the step's row: ``properties`` and ``tags``.
    """
    began = time.monotonic()  # imports and reading take a part of the experiment's time
    import numpy as np

    from nbhelpers import automl
    from nbhelpers.local.children import SCORED_ROWS, ChildKeeper, finished_children, to_json, to_npy
    from nbhelpers.local.models import save_model
    from nbhelpers.local.pool import SlotPool
    from nbhelpers.local.slots import Slots
    from nbhelpers.local.tables import checked_settings, read_tables

    definition, step_id = step["definition"], step["id"]
    outputs = store.run_folder(step_id) / "outputs"
    checked = checked_settings(definition)
    finished = {}
    if interrupted := step["properties"].get("nbhelpers.continues"):
        finished = finished_children(store, interrupted)
        say("ModelSelection", f"Continuing run {interrupted}, which has finished {len(finished)} child runs.")
    keeper = ChildKeeper(store, step, checked.primary_metric, finished)
    slots = Slots(store, definition["compute_target"], definition["max_nodes"], step["parent_id"])
    size = min(definition["max_nodes"], checked.max_concurrent_iterations, automl.LAG)

    def show_queue(waits: bool) -> None:
        status, message = ("Queued", "All slots are in use by other runs.") if waits else ("Running", "A slot is free.")
        say(status, f"{definition['compute_target']}: {message}")
        set_status(store, step_id, status)

    def keep_prepared(prepared: Prepared) -> None:
        faults = {"schema_type": "fault_verifier", "schema_version": "1.0.0", "faults": prepared.guardrails}
        write_atomically(outputs / "verifier_results.json", to_json(faults))
        write_atomically(outputs / SCORED_ROWS, to_npy(np.column_stack([prepared.rows, prepared.folds])))
        say("ModelSelection", "Beginning model selection.")
        print(LEGEND, flush=True)

    with SlotPool(store, slots, size, work_folder(store, step_id), show_queue) as pool:
        say("DatasetEvaluation", "Reading the training data.")
        training, validation = read_tables(store, definition)
        result = automl.search(
            *training,
            checked,
            pool=pool,
            validation=validation,
            finished=list(finished.values()),
            on_prepared=keep_prepared,
            on_start=keeper.start,
            on_child=keeper.keep,
            should_stop=cancelled.is_set,
            elapsed=time.monotonic() - began,
        )
    if result.best is None or result.model is None:  # cancelled before a child completed
        return {}
    say("ModelSelection", f"Ended by {result.ended_by}; writing outputs.")
    write_atomically(outputs / "metrics_data", to_json(keeper.metrics_data))
    if result.importance:
        write_atomically(outputs / "feature_importance.json", to_json(result.importance))
    digest = save_model(store, step_id, result.model)
    say("Completed", f"Best child run: {result.best.iteration}, {result.best.score}.")
    return {
        "properties": step["properties"] | _result_properties(result, len(training[0])) | {"model_digest": digest},
        "tags": step["tags"] | {"automl_best_child_run_id": f"{step_id}_{result.best.iteration}"},
    }


def say(phase: str, message: str) -> None:
    """Write a phase of the run to the log, with the time."""
    with contextlib.suppress(OSError):  # the log may be on a disk that is full
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ} Current status: {phase}. {message}", flush=True)


def _result_properties(result: Result, rows: int) -> dict[str, str]:
    from nbhelpers.local.children import plain, to_json

    properties = {
        "ended_by": result.ended_by,
        "num_cross_validation": str(result.n_folds),
        "training_type": "MeanCrossValidation" if result.n_folds > 1 else "TrainAndValidation",
        "train_rows": str(rows),
        "nbhelpers.selection": to_json(result.selection).decode(),
    }
    if result.classes is not None:
        properties["classes"] = json.dumps([plain(value) for value in result.classes])
    return properties


if __name__ == "__main__":
    main(sys.argv[1])
