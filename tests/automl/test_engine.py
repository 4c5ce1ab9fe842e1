from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn import metrics as sk

from nbhelpers.automl import TRUSTED_TYPES, Child, Result, TaskLostError, check_settings
from nbhelpers.automl.data import prepare
from nbhelpers.errors import DataError, TrainingError
from tests.automl.scripted import OutOfOrder, Scripted
from tests.automl.searches import CHEAP, ENSEMBLES, FAST, Slots, facts, run, tried


@pytest.fixture(scope="module")
def reference(table: Any) -> tuple[pd.DataFrame, Any, Result]:
    X, y, _ = table
    return X, y, run(X, y, iterations=7, **CHEAP)


def test_a_search_ends_with_judged_ensembles_and_a_model(reference):
    X, y, result = reference
    assert [child.iteration for child in result.children] == list(range(7))
    assert {child.status for child in result.children} == {"Completed"}
    assert [child.algorithm for child in result.children[5:]] == ["VotingEnsemble", "StackEnsemble"]
    for ensemble in result.children[5:]:
        assert sum(ensemble.weights.values()) == pytest.approx(1)
        assert set(ensemble.weights) <= set(range(5))
    assert (result.ended_by, result.classes, result.n_folds) == ("iterations", ["no", "yes"], 3)
    assert len(result.guardrails) >= 3
    assert sk.roc_auc_score(y == "yes", result.model.predict_proba(X)[:, 1]) > 0.85


def test_the_record_says_how_the_best_model_was_chosen(reference):
    _, _, result = reference
    assert {way["way"] for way in result.selection} == {"Best child alone", "VotingEnsemble", "StackEnsemble"}
    assert result.best is result.children[result.selection[0]["iteration"]]
    alone = next(way for way in result.selection if way["way"] == "Best child alone")
    leader = max(tried(result), key=lambda child: child.score)
    assert alone["iteration"] == leader.iteration
    assert alone["score"] <= leader.score  # being the best of several is luck in part, and not counted here


def test_a_child_s_record_agrees_with_its_out_of_fold_predictions(reference):
    X, y, result = reference
    _, data = prepare(X, y, check_settings("classification", FAST))
    truth = y.to_numpy()[data.scored]
    for child in result.children:
        assert child.predictions.shape == (300, 2)
        assert child.score == pytest.approx(np.mean(child.fold_scores))
        assert child.score == child.metrics["AUC_weighted"]
        by_fold = [
            sk.roc_auc_score(truth[data.parts == fold] == "yes", child.predictions[data.parts == fold, 1])
            for fold in range(3)
        ]
        assert child.fold_scores == pytest.approx(by_fold)
        matrix = np.array(child.tables["confusion_matrix"]["data"]["matrix"])
        assert (matrix == sk.confusion_matrix(truth, np.array(["no", "yes"])[child.predictions.argmax(axis=1)])).all()
        assert child.metrics["accuracy"] == pytest.approx(np.trace(matrix) / 300)


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
    again = run(X, y, iterations=7, **CHEAP)
    assert facts(again) == facts(result)
    assert again.model.predict_proba(X).tolist() == result.model.predict_proba(X).tolist()
    assert facts(run(X, y, iterations=7, **CHEAP | {"seed": 2})) != facts(result)


def test_processes_give_the_same_result(table):
    X, y, _ = table
    settings = {"iterations": 5, "allowed_models": ["LightGBM", "LogisticRegression"]}
    alone = run(X, y, **settings)
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as processes:
        both = run(X, y, pool=Slots(processes), **settings)
    assert facts(both) == facts(alone)
    assert both.model.predict_proba(X).tolist() == alone.model.predict_proba(X).tolist()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_slots_and_who_ends_first_change_nothing(table, task):
    X, y, value = table
    settings = {"task": task, "iterations": 45, "n_cross_validations": 5, "enable_early_stopping": False}
    settings["primary_metric"] = "AUC_weighted" if task == "classification" else "spearman_correlation"
    target = y if task == "classification" else value
    alone = run(X, target, pool=Scripted(), **settings)
    assert sum(child.raced for child in alone.children) > 1
    for slots in (2, 4):
        with ThreadPoolExecutor(slots) as threads:
            assert facts(run(X, target, pool=OutOfOrder(slots, threads), **settings)) == facts(alone)


def test_a_raced_child_is_given_up_after_some_folds_and_says_so(table):
    X, y, _ = table
    pool = Scripted()
    result = run(X, y, pool=pool, iterations=45, n_cross_validations=5, enable_early_stopping=False)
    raced = [child for child in result.children if child.raced]
    for child in raced:
        assert (child.status, child.score, child.predictions) == ("Canceled", None, None)
        assert 1 <= len(child.fold_scores) < 5
        assert "behind the best child" in child.error
        assert np.mean(child.fold_scores) < max(other.score or 0 for other in tried(result))
    folds = sum(name == "train_fold" for name, *_ in pool.tasks)
    assert folds == sum(len(child.fold_scores) for child in tried(result)) < 5 * len(tried(result))
    members = {iteration for child in result.children for iteration in child.weights}
    assert not members & {child.iteration for child in raced}


@pytest.mark.parametrize("known", [1, 5, 20, 41, 43])
def test_a_search_that_is_continued_ends_as_if_it_had_not_been_interrupted(table, known):
    X, y, _ = table
    settings = {"iterations": 43, "n_cross_validations": 5, "enable_early_stopping": False}
    whole, seen, pool = run(X, y, pool=Scripted(), **settings), [], Scripted()
    finished = whole.children[:known]
    again = run(X, y, pool=pool, finished=finished, on_child=seen.append, **settings)
    assert facts(again) == facts(whole)
    assert [child.iteration for child in seen] == list(range(43))
    assert all(again.children[k] is child for k, child in enumerate(finished[:41]))
    assert len(pool.trained()) == max(0, 41 - known)  # neither completed nor raced ones again
    assert [child.algorithm for child in again.children[41:]] == ["VotingEnsemble", "StackEnsemble"]
    assert not any(again.children[k] is whole.children[k] for k in (41, 42))  # they are made anew


def test_children_of_other_settings_or_folds_are_trained_again(table):
    X, y, _ = table
    boosted = {"iterations": 6, "allowed_models": ["LightGBM"]}
    whole = run(X, y, pool=Scripted(), **boosted)
    for changed in ({"seed": 2}, {"allowed_models": ["DecisionTree"]}):
        run(X, y, pool=(pool := Scripted()), finished=whole.children, **boosted | changed)
        assert len(pool.trained()) == 4
    cut = [replace(child, predictions=child.predictions[:-1]) for child in whole.children[:4]]
    run(X, y, pool=(pool := Scripted()), finished=cut, **boosted)
    assert len(pool.trained()) == 4


def test_canceled_and_lost_children_are_tried_again_and_failed_ones_are_not(table):
    X, y, _ = table
    whole = run(X, y, pool=Scripted(), iterations=6)
    ends = [{"status": "Canceled"}, {"status": "Failed", "lost": True}, {"status": "Failed"}]
    known = [
        replace(child, score=None, predictions=None, **end) for child, end in zip(whole.children[:3], ends, strict=True)
    ]
    again = run(X, y, pool=(pool := Scripted()), finished=known, iterations=6)
    assert len(pool.trained()) == 3
    assert [child.status for child in again.children[:4]] == ["Completed", "Completed", "Failed", "Completed"]


@pytest.mark.usefixtures("small_models")
@pytest.mark.parametrize("ensemble", ["VotingEnsemble", "StackEnsemble"])
@pytest.mark.parametrize(("task", "metric"), [("classification", "AUC_weighted"), ("regression", "r2_score")])
def test_every_ensemble_can_be_stored(table, monkeypatch, ensemble, task, metric):
    X, label, value = table
    monkeypatch.setattr("nbhelpers.automl.engine.by_preference", lambda ways, _: ways[::-1])
    other = {"enable_stack_ensemble" if ensemble == "VotingEnsemble" else "enable_voting_ensemble": False}
    models = ["LightGBM", "DecisionTree", "LogisticRegression" if task == "classification" else "ElasticNet"]
    result = run(
        *(X, label if task == "classification" else value, task),
        **{"iterations": 6, "primary_metric": metric, "allowed_models": models} | other,
    )
    assert result.best.algorithm == ensemble
    assert len(result.best.weights) > 1
    assert len(result.model.steps) == 2
    stored = skops.io.dumps(result.model)
    assert set(skops.io.get_untrusted_types(data=stored)) <= set(TRUSTED_TYPES)
    loaded = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))
    assert (loaded.predict(X) == result.model.predict(X)).all()
    if task == "classification":
        assert (loaded.predict_proba(X) == result.model.predict_proba(X)).all()


def test_a_regression_is_judged_by_its_own_metrics(table):
    X, _, value = table
    metric = "normalized_root_mean_squared_error"
    models = ["ElasticNet", "DecisionTree", "KNN"]
    result = run(X, value, "regression", iterations=6, primary_metric=metric, allowed_models=models)
    assert result.classes is None
    alone = next(way for way in result.selection if way["way"] == "Best child alone")
    assert result.children[alone["iteration"]].score == min(child.score for child in tried(result))
    assert set(result.best.tables) == {"residuals", "predicted_true"}
    assert result.best.predictions.shape == (300,)
    assert result.children[-1].tables["residuals"]["data"]["res_count"] == 300
    assert sk.r2_score(value, result.model.predict(X)) > 0.5


def test_several_classes_one_of_them_rare(table):
    X, _, value = table
    label = pd.Series(np.select([value > 2, value > 1], ["high", "some"], "low"), name="y")
    label[[0, 1]] = "odd"
    result = run(X, label, iterations=8, **CHEAP)
    assert result.classes == ["high", "low", "odd", "some"]
    assert {child.status for child in result.children} == {"Completed"}
    assert result.model.predict_proba(X).shape == (300, 4)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_single_hold_out_judges_ensembles_too(table, share):
    X, y, _ = table
    settings = CHEAP | {"n_cross_validations": None, "validation_size": share}
    result = run(X, y, iterations=7, **settings)
    assert result.n_folds == 1
    assert {child.status for child in result.children} == {"Completed"}
    assert {len(child.predictions) for child in result.children} == {round(300 * share)}
    assert len(result.selection) == 3
    assert result.model.predict(X).shape == (300,)


def test_a_single_row_to_judge_by_chooses_no_ensemble(table):
    X, _, y = table
    only = {"n_cross_validations": None, "cv_split_column_names": ["train"], "primary_metric": None}
    result = run(X.assign(train=X.index < 299), y, "regression", iterations=4, allowed_models=["KNN"], **only)
    assert [child.algorithm for child in result.children] == ["KNN"] * 4
    assert result.model.predict(X).shape == (300,)


def test_an_ensemble_that_fails_leaves_a_model(table):
    X, y, _ = table
    meta = {"stack_meta_learner_type": "LogisticRegression", "stack_meta_learner_kwargs": {"solver": "liblinear"}}
    result = run(X, y.where(X["amount"] > 0, "maybe"), iterations=5, **CHEAP, **meta)  # liblinear takes two classes
    *_, voting, stack = result.children
    assert (voting.status, stack.status, stack.algorithm) == ("Completed", "Failed", "StackEnsemble")
    assert "liblinear" in stack.error
    assert result.model.predict(X).shape == (300,)


def test_a_failed_child_is_recorded_and_the_search_goes_on(table):
    X, y, _ = table

    def dies(_: str, candidate: Any, fold: int = 0) -> None:
        if candidate.algorithm == "LightGBM" and fold == 1:
            raise MemoryError("no room left")

    result = run(X, y, iterations=7, pool=Scripted(dies))
    failed = [child for child in result.children if child.algorithm == "LightGBM"]
    assert failed
    assert {(child.status, child.error, child.score) for child in failed} == {
        ("Failed", "MemoryError: no room left", None)
    }
    members = set(result.best.weights or {result.best.iteration: 1})
    assert members
    assert not members & {child.iteration for child in failed}


def test_when_all_fail_the_first_reason_is_told(table):
    X, y, _ = table

    def dies(*_: Any) -> None:
        raise MemoryError("no room left")

    with pytest.raises(TrainingError, match="MemoryError: no room left"):
        run(X, y, iterations=3, pool=Scripted(dies))
    with pytest.raises(TrainingError, match="iteration_timeout_minutes"):
        run(X, y, iterations=2, pool=Scripted(), iteration_timeout_minutes=1e-9)


@pytest.mark.parametrize(("iterations", "ensembles"), [(1, 0), (2, 0), (3, 0), (4, 2), (5, 2)])
def test_ensembles_count_as_the_last_iterations(table, iterations, ensembles):
    X, y, _ = table
    result = run(X, y, pool=Scripted(), iterations=iterations)
    assert len(result.children) == iterations
    assert [child.algorithm in ENSEMBLES for child in result.children] == [False] * (iterations - ensembles) + [
        True
    ] * ensembles
    none = {"enable_voting_ensemble": False, "enable_stack_ensemble": False}
    without = run(X, y, pool=Scripted(), iterations=iterations, **none)
    assert len(tried(without)) == iterations
    assert len(without.selection) == 1


def test_one_completed_child_has_no_ensemble(table):
    X, y, _ = table

    def dies(_: str, candidate: Any, *__: int) -> None:
        if candidate.algorithm != "LightGBM":
            raise MemoryError("no room left")

    result = run(X, y, pool=Scripted(dies), iterations=6)
    assert len(result.children) == 4
    assert [child.status for child in result.children].count("Completed") == 1
    assert result.best is result.children[0]


def test_numbers_alone_need_no_featurization(table):
    X, y, _ = table
    result = run(X[["amount", "age", "größe [{m}]"]], y, iterations=3, featurization="off", **CHEAP)
    assert result.best.score > 0.6
    with pytest.raises(DataError, match="featurization"):
        run(X, y, iterations=3, featurization="off")


def test_children_are_reported_when_they_start_and_as_soon_as_they_end(table):
    X, y, _ = table
    seen: list[tuple[str, int]] = []
    second_ended = threading.Event()

    def on_child(child: Child) -> None:
        seen.append(("end", child.iteration))
        if child.iteration == 1:
            second_ended.set()

    with ThreadPoolExecutor(2) as threads:
        pool = OutOfOrder(2, threads)
        pool.before = lambda _, candidate, *__: second_ended.wait(60) if candidate == pool.tasks[0][1] else None
        result = run(X, y, iterations=3, pool=pool, on_start=lambda k, *_: seen.append(("start", k)), on_child=on_child)
    assert seen.index(("end", 1)) < seen.index(("end", 0))
    assert sorted(seen) == [("end", 0), ("end", 1), ("end", 2), ("start", 0), ("start", 1), ("start", 2)]
    assert [child.iteration for child in result.children] == [0, 1, 2]


def test_a_child_whose_process_died_is_lost_and_tried_again_when_the_search_is_continued(table):
    X, y, _ = table

    def dies(_: str, candidate: Any, *__: int) -> None:
        if candidate.algorithm == "LogisticRegression":
            raise TaskLostError("killed")

    whole = run(X, y, iterations=8, pool=Scripted())
    first = run(X, y, iterations=8, pool=Scripted(dies))
    lost = [child for child in first.children if child.lost]
    assert {(child.status, child.error) for child in lost} == {("Failed", "killed")}
    assert facts(run(X, y, iterations=8, pool=Scripted(), finished=first.children)) == facts(whole)


def test_numbers_with_fractions_are_classes_as_text(table):
    X, y, _ = table
    result = run(X, pd.Series(np.where(y == "yes", 2.0, 1.5), name="y"), iterations=2, **CHEAP)
    assert result.classes == ["1.5", "2"]
    assert set(result.model.predict(X)) == {"1.5", "2"}


@pytest.mark.usefixtures("small_models")
def test_numbers_of_any_size_are_learned_without_a_warning(recwarn):
    x = np.random.default_rng(0).normal(size=60)
    X = pd.DataFrame({"huge": x * 1e300, "tiny": x[::-1] * 1e-310, "plain": x**3})
    result = run(X, pd.Series(np.where(x > 0, "up", "down")), iterations=11, model_explainability=True)
    assert {child.status for child in result.children} == {"Completed"}
    assert not recwarn.list
