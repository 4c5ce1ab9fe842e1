from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from nbhelpers.automl import LAG, SerialPool, engine, final_fit, proposals
from nbhelpers.errors import TrainingError
from tests.automl import scripted
from tests.automl.scripted import OutOfOrder, Scripted
from tests.automl.searches import Slots, run, tried


def test_cancelling_stops_between_folds_and_gives_no_model(table):
    X, y, _ = table
    pool = Scripted()
    result = run(X, y, iterations=6, pool=pool, should_stop=lambda: len(pool.tasks) >= 5)
    assert (result.ended_by, result.model) == ("canceled", None)
    assert len(pool.tasks) == 5
    assert [child.status for child in result.children] == ["Completed", "Canceled"]
    assert result.best.iteration == 0


def test_cancelling_does_not_wait_for_folds_of_other_slots(table):
    X, y, _ = table
    stop, release, begun, canceled = threading.Event(), threading.Event(), threading.Event(), []

    class Held(OutOfOrder):
        """The second child never ends by itself; the end of a fold of the first is when the user cancels."""

        def submit(self, function: Callable[..., Any], /, data: Any, *args: Any) -> Future[Any]:
            second = bool(self.tasks) and args[0] != self.tasks[0][1]
            future = super().submit(function, data, *args)
            if not second:
                future.add_done_callback(lambda _: stop.set())
                return future
            held: Future[Any] = Future()
            held.add_done_callback(lambda each: canceled.append(each.cancelled()))
            begun.set()
            threads.submit(lambda: release.wait(60) and not held.cancelled() and held.set_exception(OSError()))
            return held

    with ThreadPoolExecutor(4) as threads:
        result = run(X, y, iterations=6, pool=Held(2, threads), should_stop=lambda: begun.is_set() and stop.is_set())
        assert canceled == [True]
        release.set()
    assert result.ended_by == "canceled"


def test_an_exit_score_stops_four_children_after_it_was_reached(table):
    X, y, _ = table
    settings = {"iterations": 30, "primary_metric": "accuracy", "pool": Scripted()}
    scores = [child.score or 0 for child in tried(run(X, y, **settings))]
    reached = next(k for k, score in enumerate(scores) if score > 0.6)
    result = run(X, y, experiment_exit_score=scores[reached], **settings)
    assert result.ended_by == "exit_score"
    assert len(tried(result)) == reached + LAG


def test_early_stopping_follows_its_rule(table):
    X, y, _ = table
    settings = {"early_stopping_n_iters": 4, "iterations": 100, "pool": Scripted()}
    result = run(X, y, **settings)
    assert result.ended_by == "early_stopping"
    scores = [-1 if child.score is None else child.score for child in tried(result)]
    known = len(scores) - LAG + 1  # what was known when the next child was not started
    stops = [n for n in range(21, len(scores)) if max(scores[n - 4 : n]) <= max(scores[: n - 4])]
    assert stops[0] == known
    assert run(X, y, **settings | {"iterations": 30, "enable_early_stopping": False}).ended_by == "iterations"


@pytest.mark.parametrize("slots", [1, 2])
def test_the_time_limit_leaves_a_model(table, slots):
    X, y, _ = table
    began = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        pool = SerialPool() if slots == 1 else Slots(threads)
        models = {"allowed_models": ["RandomForest", "LogisticRegression", "LightGBM"]}
        result = run(X, y, pool=pool, experiment_timeout_minutes=0.06, enable_early_stopping=False, **models)
    assert result.ended_by == "experiment_timeout"
    assert result.model.predict(X).shape == (300,)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("slots", [1, 2])
def test_no_more_is_started_than_fits_in_the_time(table, monkeypatch, slots):
    X, y, _ = table
    ahead, clock, lock = 0.0, time.monotonic, threading.Lock()
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)

    def slow(*_: Any) -> None:
        nonlocal ahead
        with lock:
            ahead += 60 / slots

    with ThreadPoolExecutor(slots) as threads:
        pool = OutOfOrder(slots, threads)
        pool.before = slow
        result = run(X, y, pool=pool, experiment_timeout_minutes=30, enable_early_stopping=False)
    assert result.ended_by == "experiment_timeout"
    assert ahead <= 31 * 60 + 60 * len(result.best.weights or [1])
    assert 1 < len([child for child in tried(result) if child.status == "Completed"]) <= 10 * slots
    assert result.model is not None


def test_too_little_time_for_any_model_is_an_error(table):
    X, y, _ = table
    with pytest.raises(TrainingError, match="experiment_timeout_minutes"):
        run(X, y, experiment_timeout_minutes=1e-6)


def test_slow_children_do_not_keep_a_search_from_using_what_is_left_of_its_time(table, monkeypatch):
    X, y, _ = table
    ahead, clock, fold_of = 0.0, time.monotonic, scripted.made_up_fold
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)

    def made_up_fold(data: Any, candidate: Any, fold: int) -> Any:
        nonlocal ahead
        seconds = 0.1 if candidate.algorithm == "LogisticRegression" else 100
        ahead += seconds
        return replace(fold_of(data, candidate, fold), fit_seconds=seconds)

    monkeypatch.setattr(scripted, "made_up_fold", made_up_fold)
    monkeypatch.setattr(engine, "refit_seconds", lambda *_: 1.0)
    settings = {"experiment_timeout_minutes": 20, "enable_early_stopping": False, "pool": Scripted()}
    result = run(X, y, allowed_models=["LightGBM", "LogisticRegression"], **settings)
    assert result.ended_by == "experiment_timeout"
    assert ahead > 1100


@pytest.mark.parametrize(("first", "status"), [("LightGBM", "Completed"), ("RandomForest", "Canceled")])
def test_a_child_that_takes_most_of_the_time_is_given_up_unless_it_is_the_first_boosted_one(
    table, monkeypatch, first, status
):
    X, y, _ = table
    ahead, clock, fold_of = 0.0, time.monotonic, scripted.made_up_fold
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)

    def made_up_fold(data: Any, candidate: Any, fold: int) -> Any:
        nonlocal ahead
        seconds = 200 if candidate.algorithm == first else 1
        ahead += seconds
        return replace(fold_of(data, candidate, fold), fit_seconds=seconds)

    monkeypatch.setattr(scripted, "made_up_fold", made_up_fold)
    monkeypatch.setattr(engine, "refit_seconds", lambda *_: 1.0)
    monkeypatch.setattr(engine, "is_behind", lambda *_: 0.0)
    monkeypatch.setattr(proposals, "_MOST_COST", 0)  # a linear model comes first
    models = ["LogisticRegression", first]
    result = run(X, y, pool=Scripted(), experiment_timeout_minutes=20, iterations=5, allowed_models=models)
    slow = next(child for child in result.children if child.algorithm == first)
    assert slow.iteration > 0
    assert slow.status == status


def test_a_fold_that_ends_after_the_time_counts(table):
    X, y, _ = table
    pool = Scripted(lambda *_: time.sleep(0.3))
    result = run(X, y, pool=pool, n_cross_validations=None, validation_size=0.3, experiment_timeout_minutes=0.004)
    assert (result.ended_by, len(tried(result))) == ("experiment_timeout", 1)
    assert result.model is not None


def test_waiting_for_a_slot_is_no_time_of_an_iteration(table):
    X, y, _ = table

    class Busy(OutOfOrder):
        """All tasks but the first wait for half a second before they begin."""

        def submit(self, function: Callable[..., Any], /, data: Any, *args: Any) -> Future[Any]:
            task: Any = Future()
            task.began = None

            def work() -> None:
                time.sleep(0.5)
                task.began = time.monotonic()
                task.set_result(scripted.made_up(function)(data, *args))

            threads.submit(work)
            return task

    with ThreadPoolExecutor(2) as threads:
        result = run(X, y, iterations=3, pool=Busy(2, threads), iteration_timeout_minutes=0.005)
    assert {child.status for child in result.children} == {"Completed"}


def test_a_search_that_has_its_score_ends_by_that_though_its_time_is_over_too(table, monkeypatch):
    X, y, _ = table
    settings = {"primary_metric": "accuracy", "experiment_exit_score": 0.0, "experiment_timeout_minutes": 60}
    monkeypatch.setattr(engine._Search, "_least_seconds", lambda search: 1e9 * (len(search.children) >= LAG))
    assert run(X, y, pool=Scripted(), **settings).ended_by == "exit_score"


def test_time_that_was_over_before_the_search_counts(table):
    X, y, _ = table
    with pytest.raises(TrainingError, match="experiment_timeout_minutes"):
        run(X, y, pool=Scripted(), experiment_timeout_minutes=60, elapsed=3600)
    assert run(X, y, pool=Scripted(), experiment_timeout_minutes=60, elapsed=3000, iterations=2).model is not None


def test_at_most_half_of_the_time_is_kept_for_fitting_the_final_model(table, monkeypatch):
    X, y, _ = table
    ahead, clock, ends = 0.0, time.monotonic, []
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)
    monkeypatch.setattr(engine, "refit_seconds", lambda *_: 100.0)

    def slow(*_: Any) -> None:
        nonlocal ahead
        ahead += 10

    settings = {"experiment_timeout_minutes": 20, "enable_early_stopping": False, "pool": Scripted(slow)}
    result = run(X, y, on_child=lambda _: ends.append(ahead), **settings)
    assert result.ended_by == "experiment_timeout"
    assert 500 < ends[len(tried(result)) - 1] <= 601


@pytest.mark.parametrize(("seconds", "latest"), [(0.0, 1200), (300.0, 900)])
def test_time_is_kept_for_saving_the_model(table, monkeypatch, seconds, latest):
    X, y, _ = table
    ahead, clock, ends = 0.0, time.monotonic, []
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)
    monkeypatch.setattr(engine, "refit_seconds", lambda *_: 1.0)
    monkeypatch.setattr(engine, "SAVING", seconds)

    def slow(*_: Any) -> None:
        nonlocal ahead
        ahead += 5

    settings = {"experiment_timeout_minutes": 20, "enable_early_stopping": False, "allowed_models": ["RandomForest"]}
    settings |= {"enable_voting_ensemble": False, "enable_stack_ensemble": False}
    run(X, y, on_child=lambda _: ends.append(ahead), pool=Scripted(slow), **settings)
    assert latest - 100 < ends[-1] <= latest


@pytest.mark.parametrize(("seconds", "repeats", "latest"), [(10, 3, 1170), (50, 1, 1140), (70, 0, 1200)])
def test_time_is_kept_for_importance_if_a_twentieth_is_enough(table, monkeypatch, seconds, repeats, latest):
    X, y, _ = table
    ahead, clock, ends = 0.0, time.monotonic, []
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)
    for module in (engine, final_fit):
        monkeypatch.setattr(module, "importance_seconds", lambda *given: seconds * given[3])
        monkeypatch.setattr(module, "refit_seconds", lambda *_: 1.0)

    def slow(name: str, *_: Any) -> None:
        nonlocal ahead
        ahead += 5 if name == "train_fold" else 0

    pool = Scripted(slow)
    settings = {"experiment_timeout_minutes": 20, "enable_early_stopping": False, "model_explainability": True}
    result = run(X, y, on_child=lambda _: ends.append(ahead), pool=pool, **settings)
    assert latest - 30 < ends[-1] <= latest
    assert [task[-1] for task in pool.tasks if task[0] == "permutation_importance"] == [repeats] * bool(repeats)
    assert bool(result.importance) == bool(repeats)


def test_a_fold_that_outlasts_the_time_of_an_iteration_is_ended_while_it_is_training(table):
    X, y, _ = table
    release, canceled = threading.Event(), []

    class Stuck(OutOfOrder):
        """The first child trains until someone stops it."""

        def submit(self, function: Callable[..., Any], /, data: Any, *args: Any) -> Future[Any]:
            if self.tasks:
                return super().submit(function, data, *args)
            self.tasks.append((function.__name__, *args))
            stuck: Future[Any] = Future()
            stuck.add_done_callback(lambda each: canceled.append(each.cancelled()))
            return stuck

    with ThreadPoolExecutor(2) as threads:
        result = run(X, y, iterations=6, pool=Stuck(2, threads), iteration_timeout_minutes=0.01)
        release.set()
    assert canceled == [True]
    assert [child.status for child in result.children] == ["Failed"] + ["Completed"] * 5
    assert "iteration_timeout_minutes" in result.children[0].error


@pytest.mark.parametrize(("waits", "ended_by"), [(True, "iterations"), (False, "experiment_timeout")])
def test_waiting_for_slots_does_not_count_as_time_of_the_experiment(table, monkeypatch, waits, ended_by):
    X, y, _ = table
    ahead, clock = 0.0, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)

    def slow(*_: Any) -> None:
        """Takes a minute, which may be all waiting."""
        nonlocal ahead
        ahead += 60
        pool.queued_seconds += 60 * waits

    pool = Scripted(slow)
    assert run(X, y, iterations=3, pool=pool, experiment_timeout_minutes=4).ended_by == ended_by
