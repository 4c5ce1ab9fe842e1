from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from nbhelpers.automl.candidates import propose, steps_of
from nbhelpers.automl.records import Child
from nbhelpers.automl.settings import ALGORITHMS, check_settings


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_first_five_are_of_every_family_with_lightgbm_first(task):
    settings = check_settings(task, {})
    names = [propose(k, settings, 1000, []).algorithm for k in range(5)]
    assert names[0] == "LightGBM"
    assert set(names) == set(ALGORITHMS[task])


def test_proposals_depend_on_the_seed_and_are_all_different():
    settings = check_settings("classification", {"seed": 4})
    proposals = [propose(k, settings, 1000, []) for k in range(30)]
    assert proposals == [propose(k, settings, 1000, []) for k in range(30)]
    texts = {json.dumps([p.preprocessor, {**p.parameters, "random_state": 0}], sort_keys=True) for p in proposals}
    assert len(texts) == 30
    other = check_settings("classification", {"seed": 5})
    assert proposals[20:] != [propose(k, other, 1000, []) for k in range(20, 30)]


@pytest.mark.parametrize("name", ["LightGBM", "RandomForest", "LogisticRegression"])
def test_only_allowed_models_are_proposed(name):
    settings = check_settings("classification", {"allowed_models": [name]})
    assert {propose(k, settings, 1000, []).algorithm for k in range(25)} == {name}


def test_some_drawn_models_vary_the_best_one_so_far():
    settings = check_settings("classification", {"primary_metric": "AUC_weighted"})
    first = propose(0, settings, 1000, [])
    good = Child(0, "LightGBM", "", first.parameters | {"num_leaves": 500}, "Completed", score=0.9)
    bad = Child(1, "LightGBM", "", first.parameters | {"num_leaves": 4}, "Completed", score=0.8)
    leaves = [propose(8, settings, 1000, results).parameters["num_leaves"] for results in ([good, bad], [bad, good])]
    assert min(leaves) > 100


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_proposal_can_be_built(task):
    settings = check_settings(task, {})
    for k in range(20):
        candidate = propose(k, settings, 5000, [])
        steps = steps_of(candidate, task, [0], threads=2)
        assert len(steps) == (2 if candidate.preprocessor else 1)
        if candidate.algorithm in ("LightGBM", "RandomForest"):
            model = steps[-1][1]
            assert getattr(model, "regressor", model).n_jobs == 2


def test_a_forest_learns_a_target_of_any_scale():
    X = np.linspace(0, 1, 200).reshape(-1, 1)
    forest = steps_of(propose(2, check_settings("regression", {}), 200, []), "regression", [0], threads=1)[-1][1]
    assert isinstance(forest.regressor, RandomForestRegressor)
    assert forest.fit(X, 1e-9 * X[:, 0]).score(X, 1e-9 * X[:, 0]) > 0.9


def test_forests_of_very_small_tables_see_all_their_rows():
    assert propose(2, check_settings("classification", {}), 50, []).parameters["max_samples"] is None
    assert propose(2, check_settings("classification", {}), 5000, []).parameters["max_samples"] == 0.5
