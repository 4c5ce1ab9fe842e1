from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from nbhelpers.automl import Child, Result, selection
from nbhelpers.errors import TrainingError
from tests.automl.scripted import Scripted
from tests.automl.searches import run


class _Final:
    """Makes tasks of the final fit fail by number, from 0, or lets them take time on a made up clock."""

    def __init__(self, fails: Callable[[int], bool] = lambda _: False) -> None:
        self.fails, self.number = fails, -1

    def __call__(self, name: str, *_: Any) -> None:
        if name != "refit":
            return
        self.number += 1
        if self.fails(self.number):
            raise MemoryError(f"no room for number {self.number}")


@pytest.fixture
def several(table: Any, monkeypatch: Any) -> Callable[..., Result]:
    """A search that prefers the voting ensemble, then the stack, then the best child."""
    X, y, _ = table
    monkeypatch.setattr("nbhelpers.automl.engine.by_preference", lambda ways, _: [*ways[1:], ways[0]])
    return lambda **settings: run(X, y, **{"iterations": 12, "enable_early_stopping": False} | settings)


def test_members_that_cannot_be_fitted_are_left_out(several):
    result = several(pool=Scripted(_Final(lambda number: number == 0)))
    assert result.best.algorithm == "VotingEnsemble"
    weights = result.best.weights
    heaviest = next(iter(weights))
    names = [name for name, _ in result.model[-1].estimators]
    assert set(names) == {str(member) for member in weights} - {str(heaviest)}
    assert result.model[-1].weights == [weights[int(name)] for name in names]


def test_the_next_way_is_gone_if_no_member_can_be_fitted(several):
    sound = several(pool=Scripted())
    n_members = len(sound.children[-2].weights)
    result = several(pool=Scripted(_Final(lambda number: number < n_members)))
    assert result.best.algorithm == "StackEnsemble"
    assert result.model is not None


def test_when_nothing_can_be_fitted_the_reason_is_told(several):
    with pytest.raises(TrainingError, match="fitted on all rows: MemoryError"):
        several(pool=Scripted(_Final(lambda _: True)))


def test_any_completed_child_is_better_than_no_model(table):
    X, y, _ = table
    first = run(X, y, pool=Scripted(), iterations=2)  # too few for ensembles

    def dies(name: str, candidate: Any, *_: int) -> None:
        if name == "refit" and candidate.algorithm == first.best.algorithm:
            raise MemoryError("no room left")

    result = run(X, y, pool=Scripted(dies), iterations=2)
    assert result.best.algorithm != first.best.algorithm
    assert result.model is not None


@pytest.mark.parametrize("minutes_of_a_fit", [0.6, 50])
def test_a_model_is_there_even_if_the_final_fits_outlast_the_time(several, monkeypatch, minutes_of_a_fit):
    ahead, clock = 0.0, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)
    final = _Final()

    def slow(name: str, *task: Any) -> None:
        nonlocal ahead
        final(name, *task)
        ahead += 60 * minutes_of_a_fit if name == "refit" else 0

    result = several(pool=Scripted(slow), experiment_timeout_minutes=1)
    assert result.best.algorithm == "VotingEnsemble"
    assert final.number + 1 < len(result.best.weights)
    assert result.model is not None


def test_cancelling_during_the_final_fits_gives_no_model(several):
    pool = Scripted()
    result = several(pool=pool, should_stop=lambda: any(name == "refit" for name, *_ in pool.tasks))
    assert (result.ended_by, result.model) == ("canceled", None)
    assert result.best is not None


def test_a_stack_that_cannot_be_joined_leaves_the_next_way(several, monkeypatch):
    monkeypatch.setattr("nbhelpers.automl.engine.by_preference", lambda ways, _: ways[::-1])
    sound, learn = several(pool=Scripted()), selection.ensemble.stack
    assert sound.best.algorithm == "StackEnsemble"
    calls = []

    def stack(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 1:
            raise ValueError("too few members")
        return learn(*arguments)

    monkeypatch.setattr(selection.ensemble, "stack", stack)
    result = several(pool=Scripted())
    assert len(calls) == 2
    assert result.best.algorithm == "VotingEnsemble"


def test_after_the_ways_come_the_best_children_of_each_algorithm_the_best_first(table):
    X, y, _ = table
    refitted: list[str] = []

    def dies(name: str, candidate: Any, *_: int) -> None:
        if name == "refit":
            refitted.append(candidate.algorithm)
            raise MemoryError("no room left")

    children: dict[int, Child] = {}
    models = {"allowed_models": ["LightGBM", "LogisticRegression", "RandomForest"]}
    with pytest.raises(TrainingError):
        run(
            X,
            y,
            pool=Scripted(dies),
            iterations=12,
            on_child=lambda one: children.update({one.iteration: one}),
            **models,
        )
    scored = [one for one in children.values() if one.score is not None and not one.weights]
    ranked = sorted(scored, key=lambda one: -(one.score or 0))
    best_of = list(dict.fromkeys(one.algorithm for one in ranked))
    assert refitted[-len(best_of) :] == best_of
