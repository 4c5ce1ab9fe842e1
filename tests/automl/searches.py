"""Searches of the tests of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbhelpers.automl import Child, Result, SerialPool, check_settings, search

FAST = {"n_cross_validations": 3, "primary_metric": "AUC_weighted", "seed": 1, "model_explainability": False}
CHEAP = {"allowed_models": ["LogisticRegression", "KNN", "DecisionTree", "BernoulliNaiveBayes", "LinearSVM"]}
ENSEMBLES = {"VotingEnsemble", "StackEnsemble"}


class Slots:
    """Two slots of an executor."""

    slots = 2
    queued_seconds = 0.0

    def __init__(self, executor: Any) -> None:
        self.submit = executor.submit


def run(X: Any, y: Any, task: str = "classification", pool: Any = None, finished: Any = (), **settings: Any) -> Result:
    names = ("on_start", "on_child", "should_stop", "elapsed")
    hooks = {name: settings.pop(name) for name in names if name in settings}
    wanted = check_settings(task, FAST | settings)
    return search(X, y, wanted, pool=pool or SerialPool(), finished=finished, **hooks)


def facts(result: Result) -> list[Any]:
    """All of a result that may not depend on where and how fast it was computed."""
    found: list[Any] = [result.ended_by, result.best and result.best.iteration, result.selection]
    for child in result.children:
        found += [child.iteration, child.algorithm, child.preprocessor, child.parameters, child.status, child.weights]
        found += [child.score, child.metrics, child.fold_scores, child.tables, np.asarray(child.predictions).tolist()]
        found += [child.raced, child.error]
    return found


def tried(result: Result) -> list[Child]:
    return [child for child in result.children if child.algorithm not in ENSEMBLES]
