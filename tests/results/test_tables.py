from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from nbhelpers import results
from nbhelpers.errors import UserErrorException
from nbhelpers.metrics import CLASSIFICATION_METRICS

from .small_runs import ChildRun, StepRun


def search(metric, *children):
    return StepRun(list(children), None, children[0], primary_metric=metric)


def child(number, score, algorithm="LightGBM", status="Completed", **facts):
    return ChildRun(number, algorithm, status, score="" if score is None else score, run_preprocessor="", **facts)


def with_ensemble():
    """Children 0 to 3, and an ensemble of 3 (weight 0.75) and 1."""
    members = {"ensembled_iterations": json.dumps([1, 3]), "ensemble_weights": json.dumps([0.25, 0.75])}
    return search(
        "AUC_weighted",
        child(4, 0.95, "VotingEnsemble", fold_scores=json.dumps([0.94, 0.96]), **members),
        child(3, 0.94),
        child(2, None, "RandomForest", "Canceled"),
        child(1, 0.9, "LogisticRegression"),
        child(0, None, "RandomForest", "Failed", error="out of memory"),
    )


def test_leaderboard_has_the_best_first_and_the_failed_last():
    board = results.leaderboard(with_ensemble())
    assert list(board["iteration"]) == [4, 3, 1, 2, 0]
    assert list(board["status"]) == ["Completed"] * 3 + ["Canceled", "Failed"]
    assert list(board.columns[:4]) == ["iteration", "algorithm", "preprocessor", "AUC_weighted"]
    assert list(board.index) == [1, 2, 3, 4, 5]
    assert board.loc[5, "reason"] == "out of memory"
    assert board.loc[1, "fold_std"] == pytest.approx(np.std([0.94, 0.96], ddof=1))
    assert board.attrs == {"primary_metric": "AUC_weighted", "higher_is_better": True}


def test_leaderboard_of_an_error_has_the_lowest_first():
    board = results.leaderboard(search("normalized_root_mean_squared_error", child(0, 0.2), child(1, 0.1)))
    assert list(board["iteration"]) == [1, 0]
    assert board.attrs["higher_is_better"] is False


def test_leaderboard_of_a_real_search_takes_a_pipeline_run_or_its_step(bank_run):
    board = results.leaderboard(bank_run)
    pd.testing.assert_frame_equal(board, results.leaderboard(bank_run.step))
    assert board.loc[board["iteration"] == 1, "fit_seconds"].item() == 1.5
    assert board.iloc[-1][["status", "reason"]].tolist() == ["Failed", "The fold has one class only."]


def test_leaderboard_marks_children_that_were_taken_over():
    run = search("accuracy", child(0, 0.5), child(1, 0.6))
    run.children[0].properties["nbhelpers.taken_over_from"] = "old_0"
    assert results.leaderboard(run)["status"].tolist() == ["Completed", "Completed, taken over"]
    assert results.timeline(run)["status"].tolist() == ["Completed, taken over", "Completed"]


def test_equal_scores_keep_the_order_of_the_iterations():
    board = results.leaderboard(search("accuracy", child(2, 0.5), child(0, 0.5), child(1, 0.5)))
    assert list(board["iteration"]) == [0, 1, 2]


def test_ensemble_lists_members_by_weight_with_their_own_score():
    members = results.ensemble(with_ensemble())
    assert members.to_dict("list") == {
        "iteration": [3, 1],
        "weight": [0.75, 0.25],
        "algorithm": ["LightGBM", "LogisticRegression"],
        "preprocessor": ["", ""],
        "AUC_weighted": [0.94, 0.9],
    }


def test_members_of_an_ensemble_that_was_not_chosen_can_be_asked_for():
    run = with_ensemble()
    run.tags["automl_best_child_run_id"] = "step_3"
    assert results.ensemble(run).note.endswith("of iteration 3 alone.")
    assert results.ensemble(run, 4)["iteration"].tolist() == [3, 1]
    with pytest.raises(UserErrorException, match="no child of iteration 9"):
        results.ensemble(run, 9)


def test_gaps_are_to_the_best_model_fold_by_fold_and_of_a_raced_child_on_its_first_folds():
    run = search(
        "accuracy",
        child(0, 0.8, fold_scores="[0.7, 0.8, 0.9]"),
        child(1, 0.7, fold_scores="[0.6, 0.75, 0.75]", **{"nbhelpers.fitted": "LGBMClassifier"}),
        child(2, None, status="Canceled", fold_scores="[0.5, 0.6]", error="Raced: after 2 of 3 folds."),
    )
    board = results.leaderboard(run).set_index("iteration")
    assert board["gap"].tolist() == pytest.approx([0, 0.1, 0.2])
    assert board.loc[1, "gap_error"] == pytest.approx(np.std([0.1, 0.05, 0.15], ddof=1) / 3**0.5)
    assert board.loc[2, ["status", "reason"]].tolist() == ["Canceled", "Raced: after 2 of 3 folds."]
    assert board["fitted"].tolist() == ["", "LGBMClassifier", ""]
    assert board["weight"].tolist()[0] == 1


def test_the_gap_of_an_error_is_positive_where_it_is_greater():
    run = search(
        "normalized_mean_absolute_error", child(0, 0.2, fold_scores="[0.2]"), child(1, 0.3, fold_scores="[0.3]")
    )
    assert results.leaderboard(run)["gap"].tolist() == pytest.approx([0, 0.1])


def test_a_stack_without_weights_still_lists_its_members():
    stack = child(1, 0.9, "StackEnsemble", ensembled_iterations="[0]")
    members = results.ensemble(search("accuracy", child(0, 0.8), stack))
    assert members["iteration"].tolist() == [0]
    assert members["weight"].isna().all()


def test_without_an_ensemble_the_table_of_members_is_empty(bank_run):
    members = results.ensemble(bank_run)
    assert members.empty
    assert list(members.columns) == ["iteration", "weight", "algorithm", "preprocessor", "AUC_weighted"]


def test_verdict_tells_what_the_ensemble_adds():
    assert results.verdict(with_ensemble()) == (
        "Chosen out of 3 pipelines: VotingEnsemble of iteration 4, AUC_weighted 0.9500 ± 0.0141 "
        "(mean ± standard deviation over the folds; higher is better); "
        "the best single one, LightGBM of iteration 3, has 0.9400, 0.0100 lower."
    )


def test_verdict_of_a_single_best_compares_with_the_next():
    run = search("normalized_mean_absolute_error", child(0, 0.25), child(1, 0.2))
    assert "0.2000 (lower is better)" in results.verdict(run)
    assert results.verdict(run).endswith("; the next single one, LightGBM of iteration 0, has 0.2500, 0.0500 higher.")


def test_verdict_of_equal_scores_says_so():
    verdict = results.verdict(search("accuracy", child(0, 0.5), child(1, 0.5)))
    assert verdict.endswith("LightGBM of iteration 1, has 0.5000, no different.")


def test_verdict_of_a_lone_child_and_of_none():
    assert results.verdict(search("accuracy", child(0, 0.5))) == (
        "Chosen out of 1 pipeline: LightGBM of iteration 0, accuracy 0.5000 (higher is better)."
    )
    with pytest.raises(UserErrorException, match="None of the 1 children"):
        results.verdict(search("accuracy", child(0, None, status="Failed")))


def test_guardrails_are_a_row_each(bank_run):
    assert results.guardrails(bank_run).to_dict("records") == [
        {
            "type": "Class balancing detection",
            "status": "Alerted",
            "description": "A small class was found.",
            "details": "Size of the smallest class: 60, Name: yes",
        }
    ]


def test_a_run_without_guardrails_has_an_empty_table(bank_run, monkeypatch):
    for nothing in ({}, None, []):
        monkeypatch.setattr(bank_run.step, "get_guardrails", lambda found=nothing, **_: found)
        assert results.guardrails(bank_run).empty


def test_metrics_table_has_plain_numbers_by_name_and_iteration(bank_run):
    table = results.metrics_table(bank_run)
    assert list(table.index) == sorted(CLASSIFICATION_METRICS)
    assert list(table.columns) == [0, 1, 10]
    assert set(table.dtypes.map(str)) == {"float64"}
    board = results.leaderboard(bank_run).set_index("iteration")
    for iteration in table:
        assert table.loc["AUC_weighted", iteration] == pytest.approx(board.loc[iteration, "AUC_weighted"])


def test_timeline_keeps_the_best_so_far_over_failed_children():
    table = results.timeline(with_ensemble())
    assert list(table["iteration"]) == [0, 1, 2, 3, 4]
    assert table["best_so_far"].isna().tolist() == [True, False, False, False, False]
    assert table["best_so_far"].tolist()[1:] == [0.9, 0.9, 0.94, 0.95]


def test_timeline_sums_the_times_where_the_run_tells_them():
    run = search("accuracy", child(0, 0.2, fit_time=1, predict_time=0.5), child(1, 0.3), child(2, 0.1, fit_time=2))
    assert results.timeline(run)["training_seconds"].tolist() == [1.5, 1.5, 3.5]
    assert results.timeline(search("accuracy", child(0, 0.2)))["training_seconds"].isna().all()


def test_timeline_of_an_error_goes_down():
    table = results.timeline(search("normalized_mean_absolute_error", child(0, 0.2), child(1, 0.3), child(2, 0.1)))
    assert table["best_so_far"].tolist() == [0.2, 0.2, 0.1]
