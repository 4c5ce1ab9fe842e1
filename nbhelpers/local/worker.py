"""The process that runs a pipeline: ``python -m nbhelpers.local.worker RUN_ID``, started on submit."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import NbhelpersError, StoreError
from nbhelpers.local.processes import BEAT, CANCELED, RUNNING, finish
from nbhelpers.local.store import Store, now, open_store, runs, write_atomically

if TYPE_CHECKING:
    from nbhelpers.automl import Child, Result

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
        Set when the run was asked to stop. A second later the process ends itself if it is still at work.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._run_id = run_id
        self._stopped = threading.Event()
        self.cancelled = threading.Event()

    def run(self) -> None:
        """Beat until stopped."""
        while not self._stopped.wait(BEAT):
            try:
                self._beat()
            except StoreError as error:  # a full disk or a long lock may pass
                print(f"No heartbeat: {error.problem}", flush=True)

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
            print("The run was ended from outside.", flush=True)
            os._exit(1)
        if self.cancelled.is_set():
            finish(self._store, self._run_id, "Canceled", CANCELED)
            print("Canceled.", flush=True)
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
    error, values = None, {}
    try:
        values = train(store, dict(step), heart.cancelled)
    except NbhelpersError as problem:
        traceback.print_exc()
        error = {"code": "UserError", "message": problem.problem, "remedy": problem.remedy}
    except Exception as problem:
        traceback.print_exc()
        error = {"code": "SystemError", "message": f"The search failed: {type(problem).__name__}: {problem}"}
    heart.stop()
    if heart.cancelled.is_set():
        finish(store, run_id, "Canceled", CANCELED)
    elif error:
        finish(store, run_id, "Failed", error)
    else:
        finish(store, run_id, "Finished", step_values=values)


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
    from nbhelpers import automl
    from nbhelpers.local.dataset import Dataset
    from nbhelpers.local.models import save_model
    from nbhelpers.local.workspace import Workspace

    definition, step_id = step["definition"], step["id"]
    say("DatasetEvaluation", "Reading the training data.")
    frame = Dataset.from_digest(Workspace(store), definition["data_digest"]).to_pandas_dataframe()
    label = definition["label_column_name"]
    settings = dict(definition["settings"])
    checked = automl.check_settings(settings.pop("task"), settings)
    say("ModelSelection", "Beginning model selection.")
    print(LEGEND, flush=True)
    keeper = ChildKeeper(store, step, checked.primary_metric)
    result = automl.search(
        frame.drop(columns=label),
        frame[label],
        checked,
        pool=automl.SerialPool(),
        on_child=keeper.keep,
        should_stop=cancelled.is_set,
    )
    if result.best is None or result.model is None:  # cancelled before a child completed
        return {}
    say("ModelSelection", f"Ended by {result.ended_by}; writing outputs.")
    outputs = store.run_folder(step_id) / "outputs"
    write_atomically(outputs / "metrics_data", _json(keeper.metrics_data))
    faults = {"schema_type": "fault_verifier", "schema_version": "1.0.0", "faults": result.guardrails}
    write_atomically(outputs / "verifier_results.json", _json(faults))
    digest = save_model(store, step_id, result.model)
    say("Completed", f"Best child run: {result.best.iteration}, {result.best.score}.")
    return {
        "properties": step["properties"] | _result_properties(result, len(frame)) | {"model_digest": digest},
        "tags": step["tags"] | {"automl_best_child_run_id": f"{step_id}_{result.best.iteration}"},
    }


class ChildKeeper:
    """Writes each child as it ends: its files, its row, a line in the log.

    Attributes
    ----------
    metrics_data : dict
        ``{child run id: {metric: [value]}}``, the form of the metrics output.
    """

    def __init__(self, store: Store, step: Mapping[str, Any], primary_metric: str) -> None:
        from nbhelpers.metrics import greater_is_better

        self.metrics_data: dict[str, dict[str, list[Any]]] = {}
        self._store = store
        self._step = step
        self._metric = primary_metric
        self._goal = f"{primary_metric}_{'max' if greater_is_better(primary_metric) else 'min'}"
        self._best = float("nan")
        self._algorithms: dict[int, str] = {}

    def keep(self, child: Child) -> None:
        """Write a child."""
        child_id = f"{self._step['id']}_{child.iteration}"
        folder = self._store.run_folder(child_id)
        self._algorithms[child.iteration] = child.algorithm
        for name, table in child.tables.items():
            write_atomically(folder / "outputs" / name, _json(table))
        if child.predictions is not None:
            import numpy as np

            content = io.BytesIO()
            np.save(content, child.predictions, allow_pickle=False)
            write_atomically(folder / "predictions.npy", content.getvalue())
        references = {name: f"aml://artifactId/ExperimentRun/dcid.{child_id}/{name}" for name in child.tables}
        metrics = child.metrics | references
        ended = datetime.now(UTC)
        row = {
            "id": child_id,
            "parent_id": self._step["id"],
            "experiment": self._step["experiment"],
            "kind": "child",
            "name": child_id,
            "number": child.iteration,
            "status": child.status,
            "created": ended.isoformat(),
            "started": (ended - timedelta(seconds=child.fit_seconds + child.predict_seconds)).isoformat(),
            "ended": ended.isoformat(),
            "error": {"code": "UserError", "message": child.error} if child.error else None,
            "definition": {},
            "properties": self._properties(child),
            "tags": {},
            "metrics": metrics,
        }
        with self._store.writing() as connection:
            connection.execute(runs.insert().values(row))
        if metrics:
            self.metrics_data[child_id] = {name: [value] for name, value in metrics.items()}
        self._log(child)

    def _properties(self, child: Child) -> dict[str, str]:
        properties = {
            "runTemplate": "automl_child",
            "iteration": str(child.iteration),
            "run_algorithm": child.algorithm,
            "run_preprocessor": child.preprocessor,
            "score": "" if child.score is None else repr(float(child.score)),
            "primary_metric": self._metric,
            "goal": self._goal,
            "fit_time": repr(float(child.fit_seconds)),
            "predict_time": repr(float(child.predict_seconds)),
            "pipeline_spec": json.dumps(child.parameters),
            "fold_scores": json.dumps([float(score) for score in child.fold_scores]),
        }
        if child.weights:
            properties |= {
                "pipeline_id": "__AutoML_Ensemble__",
                "ensembled_iterations": json.dumps([int(member) for member in child.weights]),
                "ensembled_algorithms": json.dumps([self._algorithms[member] for member in child.weights]),
                "ensembled_run_ids": json.dumps([f"{self._step['id']}_{member}" for member in child.weights]),
                "ensemble_weights": json.dumps([float(weight) for weight in child.weights.values()]),
            }
        return properties

    def _log(self, child: Child) -> None:
        score = float("nan") if child.score is None else child.score
        pick = max if self._goal.endswith("max") else min
        self._best = pick((value for value in (self._best, score) if value == value), default=float("nan"))
        duration = timedelta(seconds=round(child.fit_seconds + child.predict_seconds))
        pipeline = f"{child.preprocessor} {child.algorithm}".strip()
        print(f"{child.iteration:5d}   {pipeline:<45}  {duration!s:>8}  {score:10.4f}{self._best:10.4f}", flush=True)
        if child.error:
            print(f"        ERROR: {child.error}", flush=True)


def say(phase: str, message: str) -> None:
    """Write a phase of the search to the log."""
    print(f"Current status: {phase}. {message}", flush=True)


def _result_properties(result: Result, rows: int) -> dict[str, str]:
    properties = {
        "ended_by": result.ended_by,
        "num_cross_validation": str(result.n_folds),
        "training_type": "MeanCrossValidation" if result.n_folds > 1 else "TrainAndValidation",
        "train_rows": str(rows),
    }
    if result.classes is not None:
        properties["classes"] = json.dumps([_plain(value) for value in result.classes])
    return properties


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python value it holds; others, such as dates, as text."""
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, str | int | float | bool) else str(value)


def _json(value: object) -> bytes:
    return json.dumps(value, default=_plain).encode()


if __name__ == "__main__":
    main(sys.argv[1])
