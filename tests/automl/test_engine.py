from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn import metrics as sk

from nbhelpers.automl import TRUSTED_TYPES, Child, Result, SerialPool, TaskLostError, check_settings, search
from nbhelpers.errors import DataError, TrainingError

FAST = {"n_cross_validations": 3, "primary_metric": "AUC_weighted", "seed": 1}


class Slots:
    """Two slots of an executor."""

    slots = 2
    queued_seconds = 0.0

    def __init__(self, executor: Any) -> None:
        self.submit = executor.submit


class Watched(SerialPool):
    """A serial pool that counts its tasks, and in which some die."""

    def __init__(self, dies: Callable[..., bool] = lambda *_: False) -> None:
        self.tasks: list[tuple[Any, ...]] = []
        self.dies = dies

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        self.tasks.append((function.__name__, *args[1:]))
        if self.dies(*args[1:]):
            future: Future[Any] = Future()
            future.set_exception(MemoryError("no room left"))
            return future
        return super().submit(function, *args)


def run(X: Any, y: Any, task: str = "classification", pool: Any = None, finished: Any = (), **settings: Any) -> Result:
    hooks = {name: settings.pop(name) for name in ("on_start", "on_child", "should_stop") if name in settings}
    wanted = check_settings(task, FAST | settings)
    return search(X, y, wanted, pool=pool or SerialPool(), finished=finished, **hooks)


def facts(result: Result, X: Any) -> list[Any]:
    """All of a result that may not depend on where and how fast it was computed."""
    found: list[Any] = [result.ended_by, result.best and result.best.iteration, result.model.predict_proba(X).tolist()]
    for child in result.children:
        found += [child.iteration, child.algorithm, child.preprocessor, child.parameters, child.status, child.weights]
        found += [child.score, child.metrics, child.fold_scores, child.tables, np.asarray(child.predictions).tolist()]
    return found


@pytest.fixture(scope="module")
def reference(table: Any) -> tuple[pd.DataFrame, Any, Result]:
    X, y, _ = table
    return X, y, run(X, y, iterations=6)


def test_a_search_ends_with_a_judged_ensemble_and_a_model(reference):
    X, y, result = reference
    assert [child.iteration for child in result.children] == list(range(6))
    assert [child.status for child in result.children] == ["Completed"] * 6
    assert result.children[5].algorithm == "VotingEnsemble"
    assert sum(result.children[5].weights.values()) == pytest.approx(1)
    assert (result.ended_by, result.classes, result.n_folds) == ("iterations", ["no", "yes"], 3)
    assert len(result.guardrails) == 3
    assert result.best.score == max(child.score for child in result.children)
    assert sk.roc_auc_score(y == "yes", result.model.predict_proba(X)[:, 1]) > 0.9


def test_a_child_s_record_agrees_with_its_out_of_fold_predictions(reference):
    _, y, result = reference
    for child in result.children:
        assert child.predictions.shape == (300, 2)
        assert child.score == pytest.approx(np.mean(child.fold_scores))
        assert child.score == child.metrics["AUC_weighted"]
        matrix = np.array(child.tables["confusion_matrix"]["data"]["matrix"])
        assert (matrix == sk.confusion_matrix(y, np.array(["no", "yes"])[child.predictions.argmax(axis=1)])).all()
        assert child.metrics["accuracy"] == pytest.approx(np.trace(matrix) / 300)
    lightgbm = result.children[0].parameters
    assert 1 <= lightgbm["n_estimators"] < 2000


def test_the_model_takes_raw_rows_in_any_order_of_columns(reference):
    X, _, result = reference
    assert result.model.steps[0][0] == "datatransformer"
    assert result.model.classes_.tolist() == ["no", "yes"]
    odd = X[X.columns[::-1]].head(4).assign(job=["pilot", None, "miner", "clerk"], age=[None, 30, 31, 32])
    assert set(result.model.predict(odd)) <= {"no", "yes"}
    with pytest.raises(DataError, match="'age'"):
        result.model.predict(X.drop(columns="age"))


def test_the_same_seed_gives_the_same_result(reference):
    X, y, result = reference
    assert facts(run(X, y, iterations=6), X) == facts(result, X)
    assert facts(run(X, y, iterations=6, seed=2), X) != facts(result, X)


def test_slots_do_not_change_the_result(reference):
    X, y, result = reference
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as processes:
        assert facts(run(X, y, iterations=6, pool=Slots(processes)), X) == facts(result, X)


def test_slots_do_not_change_what_is_proposed_on_results(table):
    X, y, _ = table
    settings = {"iterations": 12, "allowed_models": ["LightGBM"]}  # from the fifth on, some vary the best one
    alone = run(X, y, **settings)
    with ThreadPoolExecutor(2) as threads:
        assert facts(run(X, y, pool=Slots(threads), **settings), X) == facts(alone, X)


def test_a_final_fit_that_fails_is_an_error_with_its_reason(table):
    X, y, _ = table
    pool = Watched()
    pool.dies = lambda *_: pool.tasks[-1][0] == "refit"
    with pytest.raises(TrainingError, match="fitted on all rows: MemoryError"):
        run(X, y, iterations=2, pool=pool)


def test_finished_children_are_not_trained_again(reference):
    X, y, result = reference
    pool, seen = Watched(), []
    again = run(X, y, iterations=6, pool=pool, finished=result.children[:3], on_child=seen.append)
    assert facts(again, X) == facts(result, X)
    assert [child.iteration for child in seen] == list(range(6))
    trained = [task for task in pool.tasks if task[0] == "train_fold"]
    assert len(trained) == 2 * 3
    complete = run(X, y, iterations=6, pool=(idle := Watched()), finished=result.children)
    assert {task[0] for task in idle.tasks} == {"refit"}
    assert complete.children[-1] is result.children[-1]  # the ensemble, too
    changed = run(X, y, iterations=3, pool=(other := Watched()), finished=result.children[:3], seed=2)
    assert [task[0] for task in other.tasks].count("train_fold") == 2 * 3
    assert changed.children[0].parameters != result.children[0].parameters


def kinds() -> list[Any]:
    votes = [
        pytest.param(task, {"iterations": 6, "primary_metric": metric}, id=f"{task}-ensemble")
        for task, metric in (("classification", "AUC_weighted"), ("regression", "r2_score"))
    ]
    linear = {"classification": "LogisticRegression", "regression": "ElasticNet"}
    singles = [
        pytest.param(task, {"iterations": 8, "allowed_models": [name], "primary_metric": metric}, id=f"{task}-{name}")
        for task, metric in (("classification", "accuracy"), ("regression", "normalized_mean_absolute_error"))
        for name in ("LightGBM", "RandomForest", linear[task])
    ]
    return votes + singles


@pytest.mark.parametrize(("task", "settings"), kinds())
def test_every_kind_of_model_survives_storing(table, task, settings):
    X, label, value = table
    X = X.assign(note=[f"remark {i} on a thing or two" for i in range(len(X))])
    one = settings | ({"iterations": 2} if "allowed_models" in settings else {})
    result = run(X, label if task == "classification" else value, task, **one)
    steps = [name for name, _ in result.model.steps]
    assert steps[0] == "datatransformer"
    stored = skops.io.dumps(result.model)
    assert set(skops.io.get_untrusted_types(data=stored)) <= set(TRUSTED_TYPES)
    loaded = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))
    assert (loaded.predict(X) == result.model.predict(X)).all()
    if task == "classification":
        assert (loaded.predict_proba(X) == result.model.predict_proba(X)).all()


def test_a_regression_is_judged_by_its_own_metrics(table):
    X, _, value = table
    result = run(X, value, "regression", iterations=4, primary_metric="normalized_root_mean_squared_error")
    assert result.classes is None
    assert result.best.score == min(child.score for child in result.children)
    assert set(result.best.tables) == {"residuals", "predicted_true"}
    assert result.best.predictions.shape == (300,)
    assert result.children[-1].tables["residuals"]["data"]["res_count"] == 300
    assert sk.r2_score(value, result.model.predict(X)) > 0.5


def test_several_classes_one_of_them_rare(table):
    X, _, value = table
    label = pd.Series(np.select([value > 2, value > 1], ["high", "some"], "low"), name="y")
    label[[0, 1]] = "odd"
    result = run(X, label, iterations=4)
    assert result.classes == ["high", "low", "odd", "some"]
    assert [child.status for child in result.children] == ["Completed"] * 4
    assert result.model.predict_proba(X).shape == (300, 4)


def test_a_failed_child_is_recorded_and_the_search_goes_on(table):
    X, y, _ = table
    pool = Watched(lambda candidate, fold=0: candidate.algorithm == "LightGBM" and fold == 1)
    result = run(X, y, iterations=5, pool=pool)
    assert [child.status for child in result.children] == ["Failed", "Failed", "Completed", "Completed", "Completed"]
    assert result.children[0].error == "MemoryError: no room left"
    assert result.children[0].score is None
    assert set(result.best.weights or {result.best.iteration: 1}) <= {2, 3}


def test_when_all_fail_the_first_reason_is_told(table):
    X, y, _ = table
    with pytest.raises(TrainingError, match="MemoryError: no room left"):
        run(X, y, iterations=3, pool=Watched(lambda *_: True))
    with pytest.raises(TrainingError, match="iteration_timeout_minutes"):
        run(X, y, iterations=2, iteration_timeout_minutes=1e-9)


def test_cancelling_stops_between_folds_and_gives_no_model(table):
    X, y, _ = table
    pool = Watched()
    result = run(X, y, iterations=6, pool=pool, should_stop=lambda: len(pool.tasks) >= 5)
    assert (result.ended_by, result.model) == ("canceled", None)
    assert len(pool.tasks) == 5
    assert [child.status for child in result.children] == ["Completed", "Canceled"]
    assert result.best.iteration == 0


def test_an_exit_score_stops_four_children_after_it_was_reached(table):
    X, y, _ = table
    result = run(X, y, iterations=20, experiment_exit_score=0.6)
    assert result.ended_by == "exit_score"
    assert [child.algorithm for child in result.children][4:] == ["VotingEnsemble"]


def test_early_stopping_follows_its_rule(table):
    X, y, _ = table
    linear = {"allowed_models": ["LogisticRegression"], "early_stopping_n_iters": 4, "iterations": 100}
    result = run(X, y, **linear)
    assert result.ended_by == "early_stopping"
    scores = [child.score for child in result.children[:-1]]
    known = len(scores) - 3  # what was known when the next child was not started
    stops = [n for n in range(21, len(scores)) if max(scores[n - 4 : n]) <= max(scores[: n - 4])]
    assert stops[0] == known
    assert run(X, y, **linear | {"iterations": 30, "enable_early_stopping": False}).ended_by == "iterations"


def test_the_time_limit_leaves_a_model(table):
    X, y, _ = table
    result = run(X, y, experiment_timeout_minutes=0.1, enable_early_stopping=False)
    assert result.ended_by == "experiment_timeout"
    assert result.best is not None
    assert result.model.predict(X).shape == (300,)


def test_too_little_time_for_any_model_is_an_error(table):
    X, y, _ = table
    with pytest.raises(TrainingError, match="experiment_timeout_minutes"):
        run(X, y, experiment_timeout_minutes=1e-6)


@pytest.mark.parametrize(("iterations", "ensemble"), [(1, False), (2, False), (3, True)])
def test_an_ensemble_counts_as_the_last_iteration(table, iterations, ensemble):
    X, y, _ = table
    result = run(X, y, iterations=iterations)
    assert len(result.children) == iterations
    assert (result.children[-1].algorithm == "VotingEnsemble") == ensemble
    without = run(X, y, iterations=iterations, enable_voting_ensemble=False)
    assert "VotingEnsemble" not in {child.algorithm for child in without.children}


def test_numbers_alone_need_no_featurization(table):
    X, y, _ = table
    result = run(X[["amount", "age", "größe [{m}]"]], y, iterations=3, featurization="off")
    assert result.best.score > 0.6
    with pytest.raises(DataError, match="featurization"):
        run(X, y, iterations=3, featurization="off")


def test_children_are_reported_when_they_start_and_as_soon_as_they_end(table):
    X, y, _ = table
    seen: list[tuple[str, int]] = []
    second_ended = threading.Event()

    def held(function: Callable[..., Any], *args: Any) -> Any:
        second_ended.wait(60)
        return function(*args)

    class Held(SerialPool):
        """Two slots; the first child waits for the end of the second."""

        slots = 2
        first: Any = None

        def submit(self, function: Callable[..., Any], /, data: Any, candidate: Any, *rest: Any) -> Future[Any]:
            self.first = self.first or candidate
            work = (held, function) if candidate is self.first else (function,)
            return threads.submit(*work, data, candidate, *rest)

    def on_child(child: Child) -> None:
        seen.append(("end", child.iteration))
        if child.iteration == 1:
            second_ended.set()

    with ThreadPoolExecutor(2) as threads:
        pool = Held()
        result = run(X, y, iterations=3, pool=pool, on_start=lambda k, *_: seen.append(("start", k)), on_child=on_child)
    assert seen == [("start", 0), ("start", 1), ("end", 1), ("end", 0), ("end", 2)]
    assert [child.iteration for child in result.children] == [0, 1, 2]


def test_a_child_whose_process_died_is_lost_and_tried_again_when_the_search_is_continued(reference):
    X, y, result = reference

    class Dying(SerialPool):
        def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
            if function.__name__ == "train_fold" and args[1].algorithm == "RandomForest":
                future: Future[Any] = Future()
                future.set_exception(TaskLostError("killed"))
                return future
            return super().submit(function, *args)

    first = run(X, y, iterations=6, pool=Dying())
    lost = [child for child in first.children if child.lost]
    assert {(child.status, child.error) for child in lost} == {("Failed", "killed")}
    again = run(X, y, iterations=6, finished=first.children)
    assert facts(again, X) == facts(result, X)


@pytest.mark.parametrize(("waits", "ended_by"), [(True, "iterations"), (False, "experiment_timeout")])
def test_waiting_for_slots_does_not_count_as_time_of_the_experiment(table, monkeypatch, waits, ended_by):
    X, y, _ = table
    ahead = 0.0

    class Slow(SerialPool):
        """Each of its tasks takes a minute, which may be all waiting."""

        def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
            nonlocal ahead
            ahead += 60
            self.queued_seconds += 60 * waits
            return super().submit(function, *args)

    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)
    assert run(X, y, iterations=3, pool=Slow(), experiment_timeout_minutes=4).ended_by == ended_by


def test_numbers_with_fractions_are_classes_as_text(table):
    X, y, _ = table
    result = run(X, pd.Series(np.where(y == "yes", 2.0, 1.5), name="y"), iterations=2)
    assert result.classes == ["1.5", "2"]
    assert set(result.model.predict(X)) == {"1.5", "2"}


def test_numbers_of_any_size_are_learned_without_a_warning(recwarn):
    x = np.random.default_rng(0).normal(size=60)
    X = pd.DataFrame({"huge": x * 1e300, "tiny": x[::-1] * 1e-310, "plain": x**3})
    result = run(X, pd.Series(np.where(x > 0, "up", "down")), iterations=9)
    assert [child.status for child in result.children] == ["Completed"] * 9
    assert not recwarn.list
