"""A pool whose models are made up: searches of many children in no time, with scores that a test decides."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline

from nbhelpers.automl import SerialPool
from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.pipelines import IN_ROUNDS, Candidate
from nbhelpers.automl.training import FoldResult, score


def number_of(candidate: Candidate) -> int:
    """A number that the settings of a candidate decide."""
    settings = {name: value for name, value in candidate.parameters.items() if name != "rounds"}
    text = json.dumps([candidate.algorithm, candidate.preprocessor, settings], sort_keys=True)
    return zlib.crc32(text.encode())


def made_up_fold(data: TrainingData, candidate: Candidate, fold: int) -> FoldResult:
    """Predictions that know as much of the truth as the number of the candidate says, one time in three nothing."""
    number, rows = number_of(candidate), data.splits[fold].valid
    rng = np.random.default_rng([number, fold])
    skill = 0.0 if number % 3 == 0 else 0.5 + number % 100 / 1000
    if data.classes is None:
        predictions = skill * data.target[rows] + rng.normal(size=len(rows))
    else:
        logits = skill * 2 * (data.target[rows] - 0.5) + rng.normal(size=len(rows))
        p = 1 / (1 + np.exp(-logits))
        predictions = np.column_stack([1 - p, p])
    values, tables = score(data, predictions, rows)
    rounds = float(number % 50 + fold) if candidate.algorithm in IN_ROUNDS else None
    return FoldResult(fold, predictions, values, tables, 0.01, 0.001, rounds)


def made_up_model(data: TrainingData, candidate: Candidate) -> Pipeline:
    dummy = DummyRegressor() if data.classes is None else DummyClassifier()
    return Pipeline([(candidate.algorithm.lower(), dummy)]).fit(data.matrix, data.labels)


def made_up(function: Callable[..., Any]) -> Callable[..., Any]:
    return {"train_fold": made_up_fold, "refit": made_up_model}.get(function.__name__, function)


class Scripted(SerialPool):
    """One slot; keeps what was asked for as (name of the function, candidate, fold if there is one).

    Parameters
    ----------
    before : function of such a task
        Called before it is done; what it raises goes into the task's future.
    """

    def __init__(self, before: Callable[..., Any] = lambda *_: None) -> None:
        self.tasks: list[tuple[Any, ...]] = []
        self.before = before

    def submit(self, function: Callable[..., Any], /, data: TrainingData, *args: Any) -> Future[Any]:
        self.tasks.append((function.__name__, *args))
        return super().submit(self._do, function, data, *args)

    def _do(self, function: Callable[..., Any], data: TrainingData, *args: Any) -> Any:
        self.before(function.__name__, *args)
        return made_up(function)(data, *args)

    def trained(self) -> list[Candidate]:
        """The candidates of which a fold was trained."""
        return [candidate for name, candidate, *fold in self.tasks if name == "train_fold" and fold == [0]]


class OutOfOrder(Scripted):
    """Several slots, in which tasks take different times."""

    def __init__(self, slots: int, executor: ThreadPoolExecutor) -> None:
        super().__init__(lambda _, candidate, *__: time.sleep(number_of(candidate) % 7 * 0.002))
        self.slots, self.executor = slots, executor

    def submit(self, function: Callable[..., Any], /, data: TrainingData, *args: Any) -> Future[Any]:
        self.tasks.append((function.__name__, *args))
        return self.executor.submit(self._do, function, data, *args)
