from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from nbhelpers import results

from .small_runs import ChildRun, StepRun


def search(metric, *children):
    return StepRun(list(children), None, children[0], primary_metric=metric)


def test_selection_has_a_row_for_each_way_in_the_order_of_the_run():
    run = search("AUC_weighted", ChildRun(0, "LightGBM", score=0.9))
    ways = [("StackEnsemble", 5, 0.95, 0.2), ("VotingEnsemble", 4, 0.94, 0.25), ("Best child alone", 0, 0.93, 0.3)]
    names = ("way", "iteration", "score", "loss")
    run.properties["nbhelpers.selection"] = json.dumps([dict(zip(names, way, strict=True)) for way in ways])
    table = results.selection(run)
    assert list(table.columns) == ["way", "iteration", "AUC_weighted", "loss"]
    assert [tuple(row) for row in table.itertuples(index=False)] == ways


def test_what_a_run_of_azure_does_not_tell_is_a_sentence(bank_run):
    table = results.selection(bank_run)
    assert table.empty
    assert "does not tell how" in table._repr_html_()
    table = results.importance(bank_run)
    assert list(table.columns) == ["feature", "importance", "std"]
    assert "has stored no feature_importance.json" in repr(table)
    assert results.plot_importance(bank_run).axes[0].texts[0].get_text() == table.note


def test_the_best_of_each_algorithm_comes_with_what_all_of_them_took():
    run = search(
        "accuracy",
        ChildRun(
            0, "LightGBM", score=0.7, fit_time=1.0, predict_time=0.5, pipeline_spec='{"num_leaves": 7, "rounds": 9}'
        ),
        ChildRun(1, "RandomForest", score=0.8, fit_time=2.0),
        ChildRun(2, "LightGBM", score=0.9, fit_time=4.0, pipeline_spec='{"num_leaves": 31}'),
        ChildRun(3, "LightGBM", "Failed", error="out of memory", fit_time=8.0),
        ChildRun(4, "TensorFlowDNN", "Failed", error="out of memory"),
    )
    table = results.best_by_algorithm(run).set_index("algorithm")
    assert table.index.tolist() == ["LightGBM", "RandomForest", "TensorFlowDNN"]
    assert table["iteration"].tolist() == [2, 1, 4]
    assert table["tried"].tolist() == [3, 1, 1]
    assert table.loc["LightGBM", "seconds"] == 13.5
    assert table["accuracy"].tolist()[:2] == [0.9, 0.8]
    assert np.isnan(table.loc["TensorFlowDNN", ["accuracy", "seconds"]].astype(float)).all()
    assert table.loc["LightGBM", "parameters"] == "num_leaves=31"


def test_the_best_of_an_error_is_the_lowest():
    run = search(
        "normalized_mean_absolute_error", ChildRun(0, "LightGBM", score=0.2), ChildRun(1, "LightGBM", score=0.1)
    )
    assert results.best_by_algorithm(run)["iteration"].tolist() == [1]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ('{"objects": [{"param_kwargs": {}}, {"param_kwargs": {"C": 0.1, "solver": "saga"}}]}', "C=0.1, solver=saga"),
        ('{"objects": []}', "objects=[]"),
        ("no JSON", ""),
        ("", ""),
    ],
)
def test_parameters_are_read_from_what_azure_keeps(spec, text):
    run = search("accuracy", ChildRun(0, "LightGBM", score=0.7, pipeline_spec=spec))
    assert results.best_by_algorithm(run)["parameters"].tolist() == [text]


def test_importance_of_training_has_the_most_important_column_first(stored_bank):
    table = results.importance(stored_bank)
    assert table["feature"].tolist() == ["poutcome", "pdays", "campaign", "duration", "age"]
    assert table["importance"].is_monotonic_decreasing
    figure = results.plot_importance(stored_bank, top=2)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["poutcome", "pdays"]
    assert "how much worse AUC_weighted gets" in figure.alt


def test_columns_as_important_as_each_other_are_in_the_order_of_their_names(stored_bank):
    run = copy.deepcopy(stored_bank)
    found = [{"column": name, "importance": 0.0, "std": 0.0} for name in "bca"]
    run.step.files["outputs/feature_importance.json"] = json.dumps(found).encode()
    assert results.importance(run)["feature"].tolist() == ["a", "b", "c"]
