from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nbhelpers.automl import Result, SerialPool, check_settings, search
from nbhelpers.automl.refitting import fit_child
from nbhelpers.automl.settings import Settings


@pytest.fixture(scope="module")
def settings() -> Settings:
    wanted = {"allowed_models": ["LogisticRegression", "DecisionTree"], "n_cross_validations": 2, "iterations": 5}
    return check_settings("classification", wanted | {"model_explainability": False})


@pytest.fixture(scope="module")
def found(table: Any, settings: Settings) -> Result:
    X, y, _ = table
    return search(X, y, settings, pool=SerialPool())


def test_the_best_child_becomes_the_model_that_the_search_has_given(
    table: Any, settings: Settings, found: Result
) -> None:
    X, y, _ = table
    assert found.best is not None
    assert found.model is not None
    members = [child for child in found.children if child.iteration in found.best.weights]
    model = fit_child(X, y, settings, found.best, members)
    assert [name for name, _ in model.steps] == [name for name, _ in found.model.steps]
    assert np.array_equal(model.predict_proba(X), found.model.predict_proba(X))


@pytest.mark.parametrize("iteration", range(5))
def test_any_child_becomes_a_model_about_as_good_as_its_score(
    table: Any, settings: Settings, found: Result, iteration: int
) -> None:
    X, y, _ = table
    child = found.children[iteration]
    members = [one for one in found.children if one.iteration in child.weights]
    model = fit_child(X, y, settings, child, members)
    assert np.mean(model.predict(X) == y) > child.metrics["accuracy"] - 0.05
    last = model.steps[-1][0]
    assert ("ensemble" in last or "voting" in last) == (child.algorithm == "StackEnsemble" or len(child.weights) > 1)
