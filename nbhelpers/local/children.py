"""The child runs of an AutoML step in the store: written as they go on, read again to continue an interrupted run."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from nbhelpers.errors import StoreError
from nbhelpers.local.processes import RUNNING
from nbhelpers.local.store import Store, now, runs, write_atomically
from nbhelpers.metrics import greater_is_better

if TYPE_CHECKING:
    import numpy.typing as npt

    from nbhelpers.automl import Child

PREDICTIONS = "predictions.npy"
#: In the outputs of a step, an array of shape (m, 2): the row in the training table and the fold of each of a child's
#: predictions.
SCORED_ROWS = "scored_rows.npy"
#: Error codes of a child whose process died, and of one that was given up since others are far better.
LOST, RACED = "ProcessLost", "Raced"
#: Azure ML's ids of the pipelines of ensembles.
ENSEMBLES = {"VotingEnsemble": "__AutoML_Ensemble__", "StackEnsemble": "__AutoML_Stack_Ensemble__"}


class ChildKeeper:
    """Writes the children of a step run: a row when one starts; its files, its result and a line of the log at its end.

    Parameters
    ----------
    store : Store
    step : mapping
        The row of the step run.
    primary_metric : str
    finished : mapping of str to Child, optional
        Children of an earlier run that may be kept again, by their ids there.

    Attributes
    ----------
    metrics : dict
        By iteration, the metrics of a child with references to its tables.
    """

    def __init__(
        self, store: Store, step: Mapping[str, Any], primary_metric: str, finished: Mapping[str, Child] | None = None
    ) -> None:
        self.metrics: dict[int, dict[str, Any]] = {}
        self._store = store
        self._step = step
        self._metric = primary_metric
        self._origins = {id(child): run_id for run_id, child in (finished or {}).items()}
        self._started: set[int] = set()
        self._best = float("nan")
        self._algorithms: dict[int, str] = {}

    @property
    def metrics_data(self) -> dict[str, dict[str, list[Any]]]:
        """``{child run id: {metric: [value]}}`` by iteration, the form of the metrics output."""
        return {
            self._id(iteration): {name: [value] for name, value in metrics.items()}
            for iteration, metrics in sorted(self.metrics.items())
            if metrics
        }

    def start(self, iteration: int, algorithm: str, preprocessor: str) -> None:
        """Write that a child is at work."""
        from nbhelpers.automl.pipelines import AZURE_PREPROCESSORS

        properties = {
            "runTemplate": "automl_child",
            "iteration": str(iteration),
            "run_algorithm": algorithm,
            "run_preprocessor": AZURE_PREPROCESSORS.get(preprocessor, preprocessor),
            "nbhelpers.preprocessor": preprocessor,  # what a run that is continued needs
            "score": "",
            "primary_metric": self._metric,
            "goal": self._goal,
        }
        time_now = now()
        row = {
            "id": self._id(iteration),
            "parent_id": self._step["id"],
            "experiment": self._step["experiment"],
            "kind": "child",
            "name": self._id(iteration),
            "number": iteration,
            "status": "Running",
            "created": time_now,
            "started": time_now,
            "definition": {},
            "properties": properties,
            "tags": {},
            "metrics": {},
        }
        with self._store.writing() as connection:
            self._check_step(connection)
            connection.execute(runs.insert().values(row))
        self._started.add(iteration)

    def keep(self, child: Child) -> None:
        """Write a child that has ended: first its files, then that it has ended, so that what is there is whole."""
        self._algorithms[child.iteration] = child.algorithm
        child_id = self._id(child.iteration)
        if child.iteration not in self._started:  # nothing was trained: an ensemble, or a child of an earlier run
            self.start(child.iteration, child.algorithm, child.preprocessor)
        folder = self._store.run_folder(child_id)
        for name, table in child.tables.items():
            write_atomically(folder / "outputs" / name, to_json(table))
        if child.predictions is not None:
            write_atomically(folder / PREDICTIONS, to_npy(child.predictions))
        references = {name: f"aml://artifactId/ExperimentRun/dcid.{child_id}/{name}" for name in child.tables}
        self.metrics[child.iteration] = child.metrics | references
        mine = runs.c.id == child_id
        with self._store.writing() as connection:
            self._check_step(connection)
            started: dict[str, str] = connection.execute(sa.select(runs.c.properties).where(mine)).scalar_one()
            end = {
                "status": child.status,
                "ended": now(),
                "error": _error(child),
                "properties": started | self._results(child),
                "metrics": self.metrics[child.iteration],
            }
            connection.execute(runs.update().where(mine).values(end))
        self._log(child)

    def _check_step(self, connection: sa.Connection) -> None:
        """Write nothing more into a run that was ended from outside, which has ended its children, too."""
        status = connection.execute(sa.select(runs.c.status).where(runs.c.id == self._step["id"])).scalar_one_or_none()
        if status not in RUNNING:
            raise StoreError(f"The run was ended from outside: it is {status}.", "start another run")

    def _id(self, iteration: int) -> str:
        return f"{self._step['id']}_{iteration}"

    @property
    def _goal(self) -> str:
        return f"{self._metric}_{'max' if greater_is_better(self._metric) else 'min'}"

    def _results(self, child: Child) -> dict[str, str]:
        properties = {
            "score": "" if child.score is None else repr(float(child.score)),
            "fit_time": repr(float(child.fit_seconds)),
            "predict_time": repr(float(child.predict_seconds)),
            "pipeline_spec": json.dumps(child.parameters),
            "fold_scores": json.dumps([float(score) for score in child.fold_scores]),
            "nbhelpers.fitted": child.fitted,
        }
        if id(child) in self._origins:
            properties["nbhelpers.taken_over_from"] = self._origins[id(child)]
        if child.weights:
            properties |= {
                "pipeline_id": ENSEMBLES[child.algorithm],
                "ensembled_iterations": json.dumps([int(member) for member in child.weights]),
                "ensembled_algorithms": json.dumps([self._algorithms[member] for member in child.weights]),
                "ensembled_run_ids": json.dumps([self._id(member) for member in child.weights]),
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
            print(f"        {'' if child.raced else 'ERROR: '}{child.error}", flush=True)


def finished_children(store: Store, step_id: str) -> dict[str, Child]:
    """The completed, failed and raced children of a step run, and of the runs that it continued.

    Parameters
    ----------
    store : Store
    step_id : str

    Returns
    -------
    dict
        Child by run id, those of the latest run for each iteration; without those whose files are gone.
    """
    found: dict[int, tuple[str, Child]] = {}
    next_id: str | None = step_id
    while next_id and (step := store.one(sa.select(runs).where(runs.c.id == next_id))) is not None:
        raced = runs.c.error["code"].as_string() == RACED
        ended = sa.select(runs).where(runs.c.parent_id == next_id, runs.c.status.in_(("Completed", "Failed")) | raced)
        for row in store.all(ended):
            if row["number"] not in found and (child := _read(store, row)) is not None:
                found[row["number"]] = row["id"], child
        next_id = step["properties"].get("nbhelpers.continues")
    return dict(found.values())


def _read(store: Store, row: sa.RowMapping) -> Child | None:
    """A child as it was; None if its files or facts are not all there."""
    from nbhelpers.automl import Child

    facts, folder, error = row["properties"], store.run_folder(row["id"]), row["error"]
    completed = row["status"] == "Completed"
    tables = [name for name, value in row["metrics"].items() if isinstance(value, str)]
    try:
        members = json.loads(facts.get("ensembled_iterations", "[]"))
        weights = json.loads(facts.get("ensemble_weights", "[]"))
        return Child(
            iteration=row["number"],
            algorithm=facts["run_algorithm"],
            preprocessor=facts["nbhelpers.preprocessor"],
            parameters=json.loads(facts["pipeline_spec"]),
            status=row["status"],
            score=float(facts["score"]) if completed else None,
            metrics={name: value for name, value in row["metrics"].items() if name not in tables},
            fold_scores=json.loads(facts["fold_scores"]),
            tables={name: json.loads((folder / "outputs" / name).read_bytes()) for name in tables},
            fit_seconds=float(facts["fit_time"]),
            predict_seconds=float(facts["predict_time"]),
            error=error["message"] if error else None,
            lost=bool(error) and error["code"] == LOST,
            raced=bool(error) and error["code"] == RACED,
            fitted=facts["nbhelpers.fitted"],
            predictions=np.load(folder / PREDICTIONS, allow_pickle=False) if completed else None,
            weights=dict(zip(members, weights, strict=True)),
        )
    except (OSError, ValueError, KeyError):
        return None


def _error(child: Child) -> dict[str, str] | None:
    code = LOST if child.lost else RACED if child.raced else "UserError"
    return {"code": code, "message": child.error} if child.error else None


def plain(value: Any) -> Any:
    """A NumPy scalar as the Python value it holds; others, such as dates, as text."""
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, str | int | float | bool) else str(value)


def to_json(value: object) -> bytes:
    """JSON of what may hold NumPy scalars."""
    return json.dumps(value, default=plain).encode()


def to_npy(array: npt.NDArray[Any]) -> bytes:
    """The content of an ``.npy`` file."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()
