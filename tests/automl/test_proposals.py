from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl.algorithms import ALGORITHMS
from nbhelpers.automl.data import TrainingData, prepare
from nbhelpers.automl.pipelines import CALIBRATED, WITHOUT_WEIGHTS, Candidate
from nbhelpers.automl.proposals import portfolio, propose
from nbhelpers.automl.records import Child
from nbhelpers.automl.settings import Settings, check_settings
from nbhelpers.automl.training import train_fold
from nbhelpers.automl.validation import Split
from nbhelpers.errors import DataError

EVERY = [pytest.param(task, name, id=f"{task}-{name}") for task, names in ALGORITHMS.items() for name in names]


def data_of(settings: Settings, n_rows: int = 300, width: int = 3, categorical: Sequence[int] = (0,)) -> TrainingData:
    """A table that proposals can be made for, of which they see no number."""
    classify = settings.task == "classification"
    target = np.arange(n_rows) % 2 if classify else np.arange(n_rows) / n_rows
    return TrainingData(
        matrix=np.zeros((n_rows, width)),
        target=target,
        labels=target,
        classes=np.array([0, 1]) if classify else None,
        splits=[Split(np.arange(n_rows // 2, n_rows), np.arange(n_rows // 2))],
        final=np.arange(n_rows),
        positions=np.arange(n_rows),
        categorical=list(categorical),
        primary_metric=settings.primary_metric,
        threads=1,
    )


def made_up(iteration: int, candidate: Candidate, **facts: Any) -> Child:
    """A child with a score that its settings decide."""
    text = json.dumps([candidate.algorithm, candidate.preprocessor, candidate.parameters], sort_keys=True)
    score = (zlib.crc32(text.encode()) % 1000) / 1000
    known: dict[str, Any] = {"status": "Completed", "score": score} | facts
    return Child(iteration, candidate.algorithm, candidate.preprocessor, candidate.parameters, **known)


def proposals(n: int, settings: Settings, data: TrainingData) -> list[Candidate]:
    """What a search would propose whose children come in four behind, as their results are known then."""
    children: list[Child] = []
    for k in range(n):
        candidate = propose(k, settings, data, children[: max(0, k - 3)])
        rounds = {"rounds": 17} if "learning_rate" in candidate.parameters else {}
        child = made_up(k, candidate)
        children.append(replace(child, parameters=child.parameters | rounds))
    return [
        Candidate(c.algorithm, c.preprocessor, {k: v for k, v in c.parameters.items() if k != "rounds"})
        for c in children
    ]


def settings_of(candidate: Candidate) -> str:
    bare = {name: value for name, value in candidate.parameters.items() if name != "random_state"}
    return json.dumps([candidate.algorithm, candidate.preprocessor, bare], sort_keys=True)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_first_is_lightgbm_and_the_first_five_differ(task):
    settings = check_settings(task, {})
    names = [propose(k, settings, data_of(settings), []).algorithm for k in range(5)]
    assert names[0] == "LightGBM"
    assert len(set(names)) == 5


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_proposals_are_the_same_each_time_and_all_different(task):
    settings = check_settings(task, {"seed": 4})
    data = data_of(settings)
    found = proposals(45, settings, data)
    assert found == proposals(45, settings, data)
    assert len({settings_of(each) for each in found}) == 45
    other = proposals(45, check_settings(task, {"seed": 5}), data)
    assert [settings_of(each) for each in found[40:]] != [settings_of(each) for each in other[40:]]


def test_proposals_do_not_depend_on_what_is_in_the_table():
    settings = check_settings("classification", {})
    data = data_of(settings)
    other = replace(data, matrix=data.matrix + 1, target=1 - data.target)
    assert proposals(40, settings, data) == proposals(40, settings, other)


def test_the_portfolio_does_not_depend_on_results():
    settings = check_settings("classification", {})
    data = data_of(settings)
    fixed = len(portfolio(settings, data))
    results = [made_up(k, propose(k, settings, data, []), score=0.01 * k) for k in range(fixed)]
    assert [propose(k, settings, data, []) for k in range(fixed)] == [
        propose(k, settings, data, results[:k]) for k in range(fixed)
    ]
    drawn = {settings_of(propose(fixed, settings, data, some)) for some in (results, results[::-1], [])}
    flipped = [replace(child, score=1 - (child.score or 0)) for child in results]
    assert settings_of(propose(fixed, settings, data, flipped)) not in drawn


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_an_algorithm_that_alone_is_allowed_is_proposed_for_ever(task, name):
    settings = check_settings(task, {"allowed_models": [name]})
    found = proposals(14, settings, data_of(settings))
    assert {each.algorithm for each in found} == {name}
    for candidate in found:
        assert json.loads(json.dumps(candidate.parameters)) == candidate.parameters
    assert len({settings_of(each) for each in found}) > 10


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_blocked_models_are_never_proposed(task):
    blocked = ["LightGBM", "RandomForest", "TensorFlowDNN"]
    settings = check_settings(task, {"blocked_models": blocked})
    assert not {each.algorithm for each in proposals(45, settings, data_of(settings))} & set(blocked)


def test_algorithms_that_need_much_time_for_many_rows_are_left_out_of_large_tables_unless_asked_for():
    settings = check_settings("classification", {})
    small, long, wide = (data_of(settings, n_rows, width) for n_rows, width in ((300, 3), (50_000, 3), (3_000, 1_000)))
    names = [{each.algorithm for each in portfolio(settings, data)} for data in (small, long, wide)]
    assert {"KNN", "SVM", "TensorFlowDNN"} <= names[0]
    assert not {"KNN", "SVM"} & names[1]
    assert not {"KNN", "SVM", "TensorFlowDNN"} & names[2]
    asked = check_settings("classification", {"allowed_models": ["KNN", "SVM"]})
    assert {each.algorithm for each in proposals(20, asked, long)} == {"KNN", "SVM"}


def test_a_rare_class_leaves_out_what_is_calibrated_by_folds():
    settings = check_settings("classification", {"allowed_models": [*CALIBRATED, "LightGBM"]})
    data = data_of(settings)
    data.target[:] = 0
    data.target[[3, 200]] = 1
    assert {each.algorithm for each in proposals(20, settings, data)} == {"LightGBM"}


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_cannot_weight_rows_is_not_proposed_for_weighted_ones(task):
    settings = check_settings(task, {"weight_column_name": "w"})
    data = replace(data_of(settings), weights=np.ones(300))
    assert not {each.algorithm for each in proposals(45, settings, data)} & set(WITHOUT_WEIGHTS)


def test_only_tables_with_categories_have_them_encoded_by_choice():
    settings = check_settings("regression", {"allowed_models": ["LightGBM"]})
    fixed = len(portfolio(settings, data_of(settings)))
    drawn = {
        name: {
            each.preprocessor for each in proposals(fixed + 25, settings, data_of(settings, categorical=some))[fixed:]
        }
        for name, some in (("with", [0]), ("without", []))
    }
    assert len(drawn["with"]) > 1
    assert drawn["without"] == {""}


def test_the_best_families_are_drawn_from_most():
    settings = check_settings("classification", {})
    data = data_of(settings)
    fixed = portfolio(settings, data)
    results = [
        made_up(k, propose(k, settings, data, []), score=0.9 if each.algorithm == "KNN" else 0.5)
        for k, each in enumerate(fixed)
    ]
    names = [propose(len(fixed) + k, settings, data, results).algorithm for k in range(24)]
    families = len({each.algorithm for each in fixed})
    assert names.count("KNN") > 24 / families
    assert len(set(names)) > 4  # others have a turn, too


@pytest.mark.parametrize(("metric", "best"), [("AUC_weighted", 0.9), ("normalized_root_mean_squared_error", 0.1)])
def test_the_best_model_that_was_screened_with_a_fast_rate_is_refined_with_a_slow_one(metric, best):
    task = "classification" if metric == "AUC_weighted" else "regression"
    settings = check_settings(task, {"allowed_models": ["LightGBM"], "primary_metric": metric})
    data = data_of(settings)
    fast = {"learning_rate": 0.1, "num_leaves": 17, "rounds": 80, "random_state": 1}
    screened = Child(0, "LightGBM", "", fast, "Completed", score=best)
    worse = Child(1, "LightGBM", "", fast | {"num_leaves": 99}, "Completed", score=0.5)
    start = len(portfolio(settings, data))
    refined = [
        each
        for k in range(4)
        if (each := propose(start + k, settings, data, [worse, screened])).parameters["num_leaves"] == 17
    ]
    assert len(refined) == 1
    assert refined[0].parameters["learning_rate"] < 0.05
    assert "rounds" not in refined[0].parameters


@pytest.mark.parametrize(
    "facts", [{}, {"status": "Failed", "score": None}, {"status": "Canceled", "score": None, "raced": True}]
)
def test_no_model_is_refined_twice_even_if_that_failed_or_was_given_up(facts):
    settings = check_settings("classification", {"allowed_models": ["LightGBM"]})
    data = data_of(settings)
    start = len(portfolio(settings, data))
    fast = {"learning_rate": 0.1, "num_leaves": 17, "random_state": 1}
    results = [Child(0, "LightGBM", "", fast, "Completed", score=0.9)]
    first = [propose(start + k, settings, data, results) for k in range(4)]
    refined = next(each for each in first if each.parameters["num_leaves"] == 17)
    results.append(made_up(1, refined, **facts))
    again = [propose(start + 4 + k, settings, data, results) for k in range(4)]
    assert settings_of(refined) not in {settings_of(each) for each in again}


@pytest.mark.parametrize(("task", "name"), EVERY)
@pytest.mark.usefixtures("small_models")
def test_what_is_drawn_can_be_trained(task, name):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=80), "b": rng.choice(["u", "v", None], 80)})
    y = pd.Series(np.where(X["a"] > 0, "yes", "no") if task == "classification" else X["a"] + rng.normal(size=80))
    settings = check_settings(task, {"allowed_models": [name], "n_cross_validations": 2})
    _, data = prepare(X, y, settings)
    start = len(portfolio(settings, data))
    for candidate in proposals(start + 5, settings, data)[start:]:
        assert np.isfinite(train_fold(data, candidate, 0).predictions).all()


def test_what_was_learned_of_a_family_moves_what_is_drawn_of_it():
    settings = check_settings("regression", {"allowed_models": ["ElasticNet"], "primary_metric": "r2_score"})
    data = data_of(settings)
    start = len(portfolio(settings, data))
    rng = np.random.default_rng(0)

    def results(better: Any) -> list[Child]:
        alphas = np.exp(rng.uniform(np.log(1e-5), np.log(0.3), 40))
        return [
            Child(k, "ElasticNet", "MaxAbsScaler", {"alpha": a, "l1_ratio": 0.5}, "Completed", score=better(np.log(a)))
            for k, a in enumerate(alphas.tolist())
        ]

    def drawn(known: list[Child]) -> float:
        return float(np.median([propose(start + k, settings, data, known).parameters["alpha"] for k in range(20)]))

    assert drawn(results(lambda log: log)) > 3 * drawn(results(lambda log: -log))


@pytest.mark.parametrize(("shape", "quick"), [((300, 3), False), ((400, 2000), True), ((90_000, 40), True)])
def test_boosting_starts_with_fast_learning_rates_where_a_round_costs_much(shape, quick):
    settings = check_settings("classification", {})
    rates = [
        candidate.parameters["learning_rate"]
        for candidate in portfolio(settings, data_of(settings, *shape, categorical=()))
        if "learning_rate" in candidate.parameters
    ]
    assert rates
    assert all((rate > 0.06) == quick for rate in rates)
    first = portfolio(settings, data_of(settings, *shape, categorical=()))[0].algorithm
    assert (first == "LogisticRegression") == quick


def test_models_that_a_rare_class_rules_out_are_refused_if_no_other_may_be_trained():
    settings = check_settings("classification", {"allowed_models": ["SVM", "LinearSVM"]})
    data = replace(data_of(settings), target=np.array([0] * 295 + [1] * 5))
    with pytest.raises(DataError, match=r"SVM and LinearSVM cannot be trained: a class has 5 rows, and they need 6"):
        portfolio(settings, data)
    both = check_settings("classification", {"allowed_models": ["SVM", "KNN"]})
    assert {candidate.algorithm for candidate in portfolio(both, data)} == {"KNN"}


def test_rows_of_validation_data_do_not_make_a_class_less_rare():
    settings = check_settings("classification", {"allowed_models": ["SVM"]})
    data = replace(data_of(settings), target=np.array([0] * 205 + [1] * 95), final=np.arange(210))
    with pytest.raises(DataError, match="a class has 5 rows"):
        portfolio(settings, data)
