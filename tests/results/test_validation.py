from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score

from nbhelpers import results
from nbhelpers.errors import DataError, UserErrorException

from .small_runs import bank_rows, class_rows, house_rows, npy


def test_out_of_fold_predictions_belong_to_their_rows(stored_bank, bank_train):
    table = results.out_of_fold(stored_bank, 1)
    assert list(table.columns) == ["fold", "true", "prediction", "probability_no", "probability_yes"]
    assert sorted(table.index) == list(range(400))
    np.testing.assert_array_equal(table["true"], bank_train["y"].iloc[table.index])
    assert set(table["fold"]) == {0, 1, 2}
    metrics = results.metrics_table(stored_bank)[1]
    assert accuracy_score(table["true"], table["prediction"]) == pytest.approx(metrics["accuracy"])
    by_fold = [roc_auc_score(part["true"] == "yes", part["probability_yes"]) for _, part in table.groupby("fold")]
    assert np.mean(by_fold) == pytest.approx(metrics["AUC_weighted"])


def test_out_of_fold_predictions_of_three_classes_and_of_numbers(stored_classes, stored_houses):
    table = results.out_of_fold(stored_classes)
    assert table.filter(like="probability_").columns.tolist() == [
        f"probability_{name}" for name in ("low", "mid", "top")
    ]
    assert (table["true"] == table["prediction"]).mean() > 0.6
    table = results.out_of_fold(stored_houses, 10)
    assert list(table.columns) == ["fold", "true", "prediction"]
    expected = results.metrics_table(stored_houses).loc["mean_absolute_error", 10]
    assert mean_absolute_error(table["true"], table["prediction"]) == pytest.approx(expected)


def test_a_child_that_there_is_not_and_one_that_failed_are_named(stored_bank):
    with pytest.raises(UserErrorException, match=r"no child of iteration 7(.|\n)*0, 1, 2, 10"):
        results.out_of_fold(stored_bank, 7)
    with pytest.raises(UserErrorException, match=r"Child run 2 has stored no predictions.npy, as it is Failed"):
        results.out_of_fold(stored_bank, 2)
    assert "as it is Failed" in results.slices(stored_bank, iteration=2).note


def test_without_predictions_there_is_a_sentence(bank_run, house_run):
    with pytest.raises(UserErrorException, match=r"Child run 10 has stored no predictions\.npy"):
        results.out_of_fold(bank_run)
    for run in (bank_run, house_run):
        for table in (results.slices(run), results.thresholds(run)):
            assert table.empty
            assert "has stored no predictions.npy" in table._repr_html_()


def test_without_training_rows_they_are_asked_for(stored_bank, bank_train):
    run = copy.copy(stored_bank)
    run.tags = {}
    with pytest.raises(UserErrorException, match=r"not at hand(.|\n)*train="):
        results.out_of_fold(run)
    assert "not at hand" in results.slices(run).note
    assert results.slices(run, train=bank_train).equals(results.slices(stored_bank))


def test_another_table_is_refused(stored_bank):
    with pytest.raises(DataError, match=r"has 90 rows(.|\n)*trained on 400 rows"):
        results.out_of_fold(stored_bank, train=bank_rows(90, 1))
    with pytest.raises(DataError, match="has 401 rows"):
        results.slices(stored_bank, train=bank_rows(401, 1))
    with pytest.raises(DataError, match="no column 'y'"):
        results.out_of_fold(stored_bank, train=bank_rows(400, 1).drop(columns="y"))


def test_rows_of_given_validation_data_are_counted_on_from_the_end(stored_bank, bank_train):
    run = copy.deepcopy(stored_bank)
    child = run.step.children[1]
    judged = np.arange(400, 430)
    run.step.files["outputs/scored_rows.npy"] = npy(np.column_stack([judged, np.zeros(30, dtype=int)]))
    child.files["predictions.npy"] = npy(np.tile([0.75, 0.25], (30, 1)))
    assert "judged on rows up to number 430" in results.slices(run, iteration=1).note
    both = pd.concat([bank_train, bank_rows(30, 9)])
    table = results.out_of_fold(run, 1, train=both)
    assert table["true"].tolist() == bank_rows(30, 9)["y"].tolist()
    assert table.index.tolist() == judged.tolist()


def test_slices_are_those_of_the_training_rows(stored_bank, stored_classes, stored_houses):
    table = results.slices(stored_bank, "poutcome")
    assert sorted(table["group"][1:]) == ["failure", "nonexistent", "success"]
    counts = bank_rows(400, 1)["poutcome"].value_counts()
    assert table.set_index("group")["rows"].drop("all rows").to_dict() == counts.to_dict()
    assert set(results.slices(stored_classes)["column"]) <= {"", "a", "b", "kind"}
    assert "mean_absolute_error" in results.slices(stored_houses)
    with pytest.raises(DataError, match="no column 'colour'"):
        results.slices(stored_bank, "colour")


def test_thresholds_are_chosen_and_judged_on_out_of_fold_predictions(stored_bank):
    table = results.thresholds(stored_bank, miss_cost=3)
    predictions = results.out_of_fold(stored_bank)
    assert table.index.name == "y = yes"
    positive, probability = predictions["true"] == "yes", predictions["probability_yes"]
    costs = [
        (3 * (positive & (probability < t)).sum() + (~positive & (probability >= t)).sum()) / 400 for t in probability
    ]
    assert table.loc["least cost", "cost"] == pytest.approx(min(costs))


def test_thresholds_of_a_class_by_name_and_by_the_label_that_the_run_looked_for(stored_classes):
    assert results.thresholds(stored_classes, positive="mid").index.name == "y = mid"
    run = copy.copy(stored_classes)
    run.step = copy.copy(run.step)
    run.step.properties = run.step.properties | {"AMLSettingsJsonString": '{"positive_label": "top"}'}
    assert results.thresholds(run).index.name == "y = top"
    with pytest.raises(UserErrorException, match=r"no class 'high'(.|\n)*'low', 'mid', 'top'"):
        results.thresholds(run, positive="high")


def test_a_regression_has_no_thresholds(stored_houses):
    assert results.thresholds(stored_houses).note == "Thresholds are for classification."


def test_a_test_shows_thresholds_of_validation_and_what_they_lead_to(stored_bank, bank_test):
    report = results.test_report(stored_bank, bank_test)
    table = report.thresholds(miss_cost=3)
    assert table.note == ""
    chosen = results.thresholds(stored_bank, miss_cost=3)
    pd.testing.assert_frame_equal(table.xs("validation", level="rows"), chosen, check_names=False, check_dtype=False)
    called = results.predict(stored_bank, bank_test)["probability_yes"] >= chosen.loc["best F1", "threshold"]
    assert table.loc[("best F1", "test"), "flagged"] == pytest.approx(called.mean())


def test_a_test_shows_calibration_and_importance_beside_those_of_training(
    stored_bank, stored_houses, bank_run, bank_test
):
    report = results.test_report(stored_bank, bank_test)
    assert list(report.calibration().columns) == ["validation", "test"]
    assert list(results.test_report(bank_run, bank_test).calibration().columns) == ["test"]
    assert list(results.test_report(stored_houses, house_rows(50, 3)).calibration().index) == ["bias", "slope"]
    table = report.importance().set_index("feature")["in_training"]
    assert table.to_dict() == results.importance(stored_bank).set_index("feature")["importance"].to_dict()
    names = [text.get_text() for text in report.plot_importance().axes[0].get_legend().get_texts()]
    assert names == ["in training", "test rows"]


def test_a_test_has_slices_of_its_own_rows(stored_classes):
    report = results.test_report(stored_classes, class_rows(120, 5))
    assert report.slices().loc[0, "rows"] == 120
    assert set(report.slices("kind")["group"]) == {"all rows", "s", "t"}
    with pytest.raises(DataError, match="Did you mean 'kind'"):
        report.slices("kid")
