"""What Azure's runs do not tell is left out, and nothing fails for want of it."""

from __future__ import annotations

import copy
import json

import pandas as pd
import pytest

from nbhelpers import results
from nbhelpers.errors import UserErrorException
from nbhelpers.results.runs import label_column, settings

#: The properties of a child run of Azure that the functions look at.
TOLD = ("iteration", "run_algorithm", "run_preprocessor", "score", "fit_time")


@pytest.fixture
def run(bank_run):
    run = copy.deepcopy(bank_run)
    step = run.step
    step.properties = {
        "StepType": "AutoMLStep",
        "primary_metric": step.properties["primary_metric"],
        "AMLSettingsJsonString": json.dumps({"label_column_name": "y", "iterations": 4, "whitelist_models": None}),
    }
    for child in step.children:
        child.properties = {name: text for name, text in child.properties.items() if name in TOLD}
    return run


def test_label_and_settings_come_from_the_json_of_the_settings(run):
    assert label_column(run) == "y"
    assert settings(run)["iterations"] == 4


def test_tables_have_gaps_for_what_is_not_told(run, bank_run):
    board, full = results.leaderboard(run), results.leaderboard(bank_run)
    assert board[["iteration", "AUC_weighted"]].equals(full[["iteration", "AUC_weighted"]])
    assert board[["fold_std", "predict_seconds"]].isna().all(axis=None)
    assert results.ensemble(run).empty
    assert "±" not in results.verdict(run)
    assert len(results.timeline(run)) == 4


def test_the_model_is_tested_and_described(run, bank_test):
    report = results.test_report(run, bank_test)
    assert report.metrics["accuracy"] > 0.5
    assert pd.isna(report.split.loc["training", "rows"])
    card = results.model_card(run, report)
    assert "| iterations | 4 |" in card
    assert "whitelist_models" not in card
    assert "search ended by" not in card


def test_what_azure_does_not_store_is_a_sentence(run, bank_test):
    for table in (results.selection(run), results.importance(run), results.slices(run), results.thresholds(run)):
        assert table.empty
        assert table.note.endswith(".")
    for plot in (results.plot_importance, results.plot_correlation, results.plot_curves, results.plot_ensemble):
        assert plot(run).alt.endswith(".")
    report = results.test_report(run, bank_test)
    assert list(report.calibration().columns) == ["test"]
    assert report.importance()["in_training"].isna().all()
    assert "Chosen on these test rows" in report.decisions().note
    assert results.best_by_algorithm(run)["parameters"].eq("").all()


def test_curves_are_drawn_from_the_tables_that_azure_stores(run, stored_bank):
    for child, stored in zip(run.step.children, stored_bank.step.children, strict=True):
        child.metrics = stored.metrics
        child.files = {name.removeprefix("outputs/"): content for name, content in stored.files.items()}
        child.files.pop("predictions.npy", None)
    assert len(results.plot_curves(run).axes) == 4


def test_plots_are_drawn(run):
    for plot in results.plot_scores, results.plot_algorithms, results.plot_tradeoff:
        assert plot(run)


def test_a_run_that_tells_no_label_asks_for_it(run, bank_test):
    del run.step.properties["AMLSettingsJsonString"]
    with pytest.raises(UserErrorException, match="does not say which column is the label"):
        results.test_report(run, bank_test)
