from __future__ import annotations

import io
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from nbhelpers import results
from nbhelpers.errors import DataError, ModelError, UserErrorException
from nbhelpers.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS

from .small_runs import StepRun, bank_rows, class_rows, finished, house_rows, train


@pytest.fixture(scope="module")
def report(bank_run, bank_test, bank_train):
    return results.test_report(bank_run, bank_test, train=bank_train)


def status(report, code):
    return report.checks().set_index("code").loc[code, "status"]


def finding(report, code):
    return report.checks().set_index("code").loc[code, "finding"]


def test_predict_gives_labels_and_probabilities_by_row(bank_run, bank_test):
    shuffled = bank_test.sample(frac=1, random_state=0)
    table = results.predict(bank_run, shuffled)
    assert list(table.columns) == ["prediction", "probability_no", "probability_yes"]
    assert table.index.equals(shuffled.index)
    model = bank_run.step.model
    assert (table["prediction"] == model.predict(shuffled)).all()
    np.testing.assert_allclose(table.filter(like="probability"), model.predict_proba(shuffled))


def test_predict_takes_a_data_set_without_a_label_in_any_column_order(bank_run, bank_test):
    unlabelled = bank_test.drop(columns="y").assign(note="new")
    turned = unlabelled[unlabelled.columns[::-1]]
    dataset = SimpleNamespace(to_pandas_dataframe=lambda: turned)
    pd.testing.assert_frame_equal(results.predict(bank_run, dataset), results.predict(bank_run, bank_test))


def test_predict_of_a_regression_is_one_column(house_run):
    rows = house_rows(20, seed=3)
    table = results.predict(house_run, rows)
    assert list(table.columns) == ["prediction"]
    assert table["prediction"].corr(rows["y"]) > 0.8


def test_missing_columns_are_named(bank_run, bank_test):
    with pytest.raises(DataError, match=r"lacks columns .*: duration, pdays"):
        results.predict(bank_run, bank_test.drop(columns=["pdays", "duration"]))


def test_values_of_another_type_and_no_rows_are_explained(bank_run, bank_test):
    with pytest.raises(ModelError, match="cannot use these rows") as caught:
        results.predict(bank_run, bank_test.assign(age="old"))
    assert "types" in caught.value.remedy
    with pytest.raises(DataError, match="no rows"):
        results.predict(bank_run, bank_test.head(0))


def test_a_model_that_cannot_be_loaded_is_explained(bank_run, bank_test, monkeypatch):
    def broken():
        raise ImportError("No module named 'xgboost'")

    monkeypatch.setattr(bank_run.step, "get_output", broken)
    with pytest.raises(ModelError, match="cannot be loaded here: No module named 'xgboost'"):
        results.predict(bank_run, bank_test)


def test_report_has_all_metrics_of_the_task(report, house_run, bank_run, bank_test):
    assert list(report.metrics) == list(CLASSIFICATION_METRICS)
    probability = results.predict(bank_run, bank_test)["probability_yes"]
    assert report.metrics["AUC_weighted"] == pytest.approx(roc_auc_score(bank_test["y"], probability))
    rows = house_rows(50, seed=3)
    regression = results.test_report(house_run, rows)
    assert list(regression.metrics) == list(REGRESSION_METRICS)
    assert regression.metrics["r2_score"] == pytest.approx(r2_score(rows["y"], house_run.step.model.predict(rows)))


def test_normalized_errors_are_shares_of_the_training_range(house_run):
    rows, training = house_rows(50, seed=3), house_rows(300, seed=1)
    report = results.test_report(house_run, rows, train=training)
    expected = report.metrics["mean_absolute_error"] / np.ptp(training["y"])
    assert report.metrics["normalized_mean_absolute_error"] == pytest.approx(expected)


def test_comparison_has_the_primary_metric_first_and_a_gap_that_is_positive_when_worse(report):
    table = report.comparison
    assert list(table.index) == ["AUC_weighted", *sorted(set(CLASSIFICATION_METRICS) - {"AUC_weighted"})]
    assert list(table.columns) == ["validation", "test", "gap", "allowed", "flag"]
    for metric, sign in (("accuracy", 1), ("log_loss", -1)):
        row = table.loc[metric]
        assert row["gap"] == pytest.approx(sign * (row["validation"] - row["test"]))


def test_gaps_that_the_folds_do_not_explain_are_flagged(bank_run, bank_test, report):
    rng = np.random.default_rng(0)
    worse = results.test_report(bank_run, bank_test.assign(y=rng.permutation(bank_test["y"]))).comparison["flag"]
    assert (worse[["AUC_weighted", "accuracy", "log_loss"]] == "worse").all()
    assert report.comparison.loc["AUC_weighted", "flag"] == ""
    better = report.comparison[report.comparison["gap"] <= 0]
    assert len(better)
    assert (better["flag"] == "").all()


def test_an_error_in_the_unit_of_the_label_is_flagged_from_a_tenth_on(house_run):
    rows = house_rows(200, 4)
    table = results.test_report(house_run, rows).comparison
    assert table.loc["mean_absolute_error", "gap"] > 0.02
    assert table.loc["mean_absolute_error", "flag"] == ""
    noisy = rows.assign(y=rows["y"] + np.random.default_rng(0).normal(0, 40, 200))
    assert results.test_report(house_run, noisy).comparison.loc["mean_absolute_error", "flag"] == "worse"


def test_confusion_counts_rows_and_shares_of_the_true_class(report, bank_run, bank_test):
    expected = confusion_matrix(bank_test["y"], bank_run.step.model.predict(bank_test))
    np.testing.assert_array_equal(report.confusion["rows"], expected)
    np.testing.assert_allclose(report.confusion["share"].sum(axis=1), 1)
    assert report.confusion.loc["yes", ("share", "yes")] == pytest.approx(
        report.metrics["recall_score_macro"] * 2 - (report.confusion.loc["no", ("share", "no")])
    )


def test_split_has_sizes_and_balance(report, bank_train):
    assert report.split["rows"].to_dict() == {"training": 400, "test": 300}
    assert report.split.loc["training", "share of yes"] == pytest.approx((bank_train["y"] == "yes").mean())
    assert report.split.loc["test", ["share of no", "share of yes"]].sum() == pytest.approx(1)


def test_without_training_rows_their_number_comes_from_the_run(bank_run, bank_test):
    report = results.test_report(bank_run, bank_test)
    assert report.split.loc["training", "rows"] == 400
    assert pd.isna(report.split.loc["training", "share of yes"])
    assert status(report, "NB004") == "not checked"


def test_training_rows_are_found_by_the_tag_of_the_run(bank_train, bank_test):
    run = train(bank_train)
    registered = SimpleNamespace(version=2, to_pandas_dataframe=lambda: bank_train)
    run.experiment.workspace.datasets["bank"] = registered
    for tag, known in (("bank:2", True), ("bank:1", False), ("other:2", False), ("", False)):
        run.tags["dataset"] = tag
        assert (status(results.test_report(run, bank_test), "NB004") == "passed") is known


def test_rows_without_a_label_are_left_out_and_reported(bank_run, bank_test, report):
    more = pd.concat([bank_test, bank_test.head(20).assign(y=None)])
    again = results.test_report(bank_run, more)
    assert again.metrics == report.metrics
    assert again.split.loc["test", ["rows", "without_label"]].tolist() == [320, 20]
    assert status(again, "NB006") == "noticed"
    assert "20 of 320 rows" in finding(again, "NB006")


@pytest.mark.parametrize("labels", [(0, 1), (False, True), (0.0, 1.0), ("0", "1")])
def test_numbers_booleans_and_text_are_labels(labels):
    run = train(bank_rows(200, 1, labels))
    report = results.test_report(run, bank_rows(150, 2, labels))
    assert report.classes == list(labels)
    assert report.metrics["AUC_weighted"] > 0.8
    as_text = bank_rows(150, 2, labels).astype({"y": str})
    assert results.test_report(run, as_text).metrics == report.metrics


def test_whole_numbers_that_became_floats_by_a_missing_row_are_the_same_labels():
    run = train(bank_rows(200, 1, (0, 1)))
    test = bank_rows(150, 2, (0, 1))
    assert test.assign(y=test["y"].astype(float).where(test.index > 3))["y"].dtype == float
    report = results.test_report(run, test.assign(y=test["y"].astype(float).where(test.index > 3)))
    assert report.metrics == results.test_report(run, test.iloc[4:]).metrics


def test_text_labels_of_digits_are_known_where_a_gap_made_them_floats():
    rows = bank_rows(300, 7, labels=("0", "1"))
    run = train(rows)
    as_floats = rows.assign(y=rows["y"].astype(float).mask(rows.index == 0))
    assert results.test_report(run, as_floats).metrics == results.test_report(run, rows[1:]).metrics


def test_a_blank_label_is_missing(bank_run, bank_test):
    blank = bank_test.assign(y=bank_test["y"].where(bank_test.index != 0, " "))
    assert results.test_report(bank_run, blank).split.loc["test", "without_label"] == 1


def test_an_infinite_label_is_named_in_a_regression(house_run):
    with pytest.raises(DataError, match="inf in 1 rows"):
        results.test_report(house_run, house_rows(2, 1).assign(y=[1, np.inf]))


def test_columns_named_by_numbers_are_those_of_the_model():
    rows = class_rows(200, 1).rename(columns={"a": "0", "b": "1"})
    run, numbered = train(rows), rows.rename(columns={"0": 0, "1": 1})
    pd.testing.assert_frame_equal(results.predict(run, numbered), results.predict(run, rows))


def test_a_label_never_seen_in_training_is_named(bank_run, bank_test):
    with pytest.raises(DataError, match="'maybe' in 2 rows, which training never saw") as caught:
        results.test_report(bank_run, bank_test.assign(y=["maybe"] * 2 + ["no"] * 298))
    assert "'no', 'yes'" in caught.value.remedy


def test_a_label_that_is_no_number_is_named_in_a_regression(house_run):
    with pytest.raises(DataError, match="'cheap' in 1 rows"):
        results.test_report(house_run, house_rows(3, 1).assign(y=["1", "2", "cheap"]))


def test_a_test_set_of_one_class_is_tested(bank_run, bank_test):
    report = results.test_report(bank_run, bank_test[bank_test["y"] == "no"])
    assert np.isnan(report.metrics["AUC_weighted"])
    assert report.metrics["accuracy"] > 0.8
    assert status(report, "NB002") == "not checked"
    assert finding(report, "NB001") == "Only one class occurs: no."
    assert report.plot_confusion_matrix().axes
    for plot in (report.plot_curves, report.plot_calibration):
        assert plot().axes[0].texts[0].get_text().startswith("All test rows are of class no")
    assert "AUC_weighted cannot be computed" in report.plot_importance().axes[0].texts[0].get_text()
    assert finding(report, "NB003") == "The importance of the features is not known."


def test_two_columns_of_a_name_are_refused_where_it_is_not_known_which_is_meant(bank_run, bank_test):
    twice = pd.concat([bank_test, bank_test[["age"]]], axis=1)
    with pytest.raises(DataError, match=r"several columns named age\.(.|\n)*drop all but one"):
        results.predict(bank_run, twice)
    with pytest.raises(DataError, match="2 columns named 'y'"):
        results.test_report(bank_run, pd.concat([bank_test, bank_test[["y"]]], axis=1))
    spare = bank_test.assign(note="new")
    spare = pd.concat([spare, spare[["note"]]], axis=1)
    pd.testing.assert_frame_equal(results.predict(bank_run, spare), results.predict(bank_run, bank_test))


@pytest.mark.parametrize("change", [{"y": None}, {}])
def test_a_test_set_without_labels_is_refused(bank_run, bank_test, change):
    with pytest.raises(DataError, match="'y'"):
        results.test_report(bank_run, bank_test.drop(columns="y").assign(**change))


def test_the_label_is_asked_for_where_the_run_does_not_tell_it(bank_run, bank_test):
    step = StepRun(bank_run.step.children, bank_run.step.model, bank_run.step.best, primary_metric="AUC_weighted")
    with pytest.raises(UserErrorException, match="which column is the label"):
        results.test_report(finished(step), bank_test)
    renamed = bank_test.rename(columns={"y": "answer"})
    assert results.test_report(finished(step), renamed, label="answer").label == "answer"


def test_importance_finds_the_features_that_matter(report):
    table = report.importance()
    assert list(table.columns) == ["feature", "importance", "std", "in_training"]
    assert table["feature"].tolist()[:2] == ["duration", "poutcome"]
    assert table["importance"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(table, report.importance())


def test_importance_of_a_sample_is_fixed_by_its_seed(bank_run, bank_test):
    one, same = (results.test_report(bank_run, bank_test).importance(2, sample=100, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(results.test_report(bank_run, bank_test).importance(2, sample=100, seed=4))


def test_importance_is_the_drop_that_shuffling_by_hand_gives(class_run):
    report = results.test_report(class_run, class_rows(200, 5))
    table = report.importance(20).set_index("feature")
    base, rng = report.metrics["AUC_weighted"], np.random.default_rng(9)
    drops = []
    for _ in range(20):
        rows = class_rows(200, 5)
        rows["a"] = rng.permutation(rows["a"])
        drops.append(base - results.test_report(class_run, rows).metrics["AUC_weighted"])
    assert table.loc["a", "importance"] == pytest.approx(np.mean(drops), abs=0.02)
    assert table.loc["a", "std"] == pytest.approx(np.std(drops), rel=0.7)
    assert abs(table.loc["kind", "importance"]) < 0.01


def test_importance_repeats_only_the_twenty_most_important_of_many_columns_and_predicts_many_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(80, 60))).rename(columns=str)
    wide["y"] = np.where(wide["0"] > 0, "up", "down")
    run, calls = train(wide), []
    report = results.test_report(run, wide)
    predict = run.step.model.predict_proba
    monkeypatch.setattr(run.step.model, "predict_proba", lambda rows: calls.append(len(rows)) or predict(rows))
    table = report.importance()
    assert table.loc[0, "feature"] == "0"
    assert table["std"].notna().sum() == 20
    assert table.loc[0, "std"] > 0
    assert sum(calls) == 80 * (1 + 60 + 20 * 5)
    assert len(calls) < 5


@pytest.mark.parametrize(
    ("columns", "sample", "used"), [(2, None, 2000), (60, None, 666), (200, None, 250), (2, 300, 300)]
)
def test_importance_of_many_columns_uses_fewer_rows(monkeypatch, columns, sample, used):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(2500, columns))).rename(columns=str)
    wide["y"] = np.where(wide["0"] > 0, "up", "down")
    run, calls = train(wide), []
    report = results.test_report(run, wide)
    predict = run.step.model.predict_proba
    monkeypatch.setattr(run.step.model, "predict_proba", lambda rows: calls.append(len(rows)) or predict(rows))
    report.importance(1, sample=sample)
    assert calls[0] == used


def test_importance_of_an_error_metric_is_positive_for_what_matters(house_run, monkeypatch):
    monkeypatch.setitem(house_run.step.properties, "primary_metric", "normalized_root_mean_squared_error")
    table = results.test_report(house_run, house_rows(100, 4)).importance(2).set_index("feature")["importance"]
    assert table["size"] > table["age"] > abs(table["noise"])


def test_thresholds_are_the_best_of_all_that_could_be_chosen(report, bank_run, bank_test):
    table = report.thresholds(miss_cost=4)
    assert table.note.startswith("Chosen on these test rows. Child run 10 has stored no predictions.npy")
    assert set(table.index.get_level_values("rows")) == {"test"}
    table = table.droplevel("rows")
    assert table.index.tolist() == ["default", "best F1", "best balanced accuracy", "least cost"]
    assert table.index.name == "y = yes"
    probability, truth = results.predict(bank_run, bank_test)["probability_yes"], bank_test["y"] == "yes"
    for _, row in table.iterrows():
        called = probability >= row["threshold"]
        assert row["flagged"] == pytest.approx(called.mean())
        assert row["precision"] == pytest.approx(precision_score(truth, called))
        assert row["recall"] == pytest.approx(recall_score(truth, called))
        assert row["f1"] == pytest.approx(f1_score(truth, called))
        assert row["misses"] == (truth & ~called).sum()
        assert row["false_alarms"] == (~truth & called).sum()
        assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, called))
        assert row["cost"] == pytest.approx((4 * row["misses"] + row["false_alarms"]) / 300)
    assert table.loc["default", "threshold"] == 0.5
    tried = [probability >= threshold for threshold in probability]
    assert table.loc["best F1", "f1"] == pytest.approx(max(f1_score(truth, called) for called in tried))
    balanced = max(balanced_accuracy_score(truth, called) for called in tried)
    assert table.loc["best balanced accuracy", "balanced_accuracy"] == pytest.approx(balanced)
    costs = [4 * (truth & ~called).mean() + (~truth & called).mean() for called in tried]
    assert table.loc["least cost", "cost"] == pytest.approx(min(costs))


def test_the_dearer_a_miss_the_lower_the_threshold(report):
    thresholds = [report.decisions(cost).loc[("least cost", "test"), "threshold"] for cost in (0.001, 1, 10, 1e6)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert report.thresholds(1e6).loc[("least cost", "test"), "misses"] == 0


def test_calling_no_row_positive_is_a_choice_too(bank_run, bank_test):
    wrong = bank_test.assign(y=np.where(bank_test["y"] == "no", "yes", "no"))
    row = results.test_report(bank_run, wrong[bank_test["y"] == "yes"]).thresholds(1).loc[("least cost", "test")]
    assert (row["threshold"], row["flagged"], row["precision"]) == (np.inf, 0, 0)


def test_of_many_classes_the_rarest_one_is_looked_for(class_run):
    rows = class_rows(200, 5)
    report = results.test_report(class_run, rows)
    assert report.thresholds().index.names[0] == f"y = {rows['y'].value_counts().idxmin()}"
    assert report.thresholds(positive="mid").index.names[0] == "y = mid"
    with pytest.raises(UserErrorException, match=r"no class 'high'(.|\n)*'low', 'mid', 'top'"):
        report.thresholds(positive="high")


@pytest.mark.parametrize("cost", [0, -1, float("nan")])
def test_a_miss_that_costs_nothing_is_refused(report, cost):
    with pytest.raises(UserErrorException, match=f"cannot cost {cost}"):
        report.thresholds(cost)


def test_error_limits_hold_for_their_share_of_the_rows(house_run):
    rows = house_rows(200, 4)
    report = results.test_report(house_run, rows)
    errors = (rows["y"] - results.predict(house_run, rows)["prediction"]).abs()
    table = report.decisions()
    assert table.index.tolist() == ["50%", "80%", "90%", "95%"]
    assert table.loc["80%", "model"] == pytest.approx(errors.quantile(0.8))
    assert (table["model"] < table["always the mean"]).all()


def test_the_worst_errors_are_the_rows_with_the_least_probability_of_the_truth(report, bank_run, bank_test):
    table = report.worst(5, features=2)
    assert list(table.columns) == ["true", "predicted", "probability", "duration", "poutcome"]
    assert table["probability"].is_monotonic_increasing
    given = results.predict(bank_run, bank_test).iloc[table.index]
    np.testing.assert_array_equal(table["true"], bank_test["y"].iloc[table.index])
    np.testing.assert_array_equal(table["predicted"], given["prediction"])
    np.testing.assert_array_equal(table["duration"], bank_test["duration"].iloc[table.index])
    assert (table["true"] != table["predicted"]).all()


def test_rows_of_the_worst_errors_are_places_in_the_table_that_was_given(bank_run, bank_test, report):
    later = pd.concat([bank_test.head(3).assign(y=None), bank_test], ignore_index=True)
    assert results.test_report(bank_run, later).worst(4).index.tolist() == [row + 3 for row in report.worst(4).index]


def test_the_worst_errors_of_a_regression_are_the_greatest_either_way(house_run):
    rows = house_rows(200, 4)
    table = results.test_report(house_run, rows).worst(6)
    errors = rows["y"] - results.predict(house_run, rows)["prediction"]
    assert table.index.tolist() == errors.abs().sort_values(ascending=False, kind="stable").index[:6].tolist()
    np.testing.assert_allclose(table["error"], errors[table.index])
    np.testing.assert_allclose(table["true"] - table["predicted"], table["error"])


def test_checks_are_by_code_and_say_what_they_found(report, bank_test):
    table = report.checks()
    assert table["code"].tolist() == [f"NB00{k}" for k in range(1, 7)]
    assert table["status"].tolist() == ["noticed", "passed", "noticed", "passed", "passed", "passed"]
    assert "known only after the call" in finding(report, "NB003")
    majority = (bank_test["y"] == "no").mean()
    assert f"above the {majority:.4f}" in finding(report, "NB005")


def test_a_test_set_much_worse_than_validation_is_noticed(bank_run, bank_test):
    rng = np.random.default_rng(0)
    shuffled = bank_test.assign(y=rng.permutation(bank_test["y"]))
    report = results.test_report(bank_run, shuffled)
    assert status(report, "NB002") == "noticed"
    assert status(report, "NB005") == "noticed"
    assert accuracy_score(shuffled["y"], results.predict(bank_run, shuffled)["prediction"]) < 0.85


def test_test_rows_that_were_trained_on_are_noticed_whatever_their_number_type(bank_run, bank_test, bank_train):
    mixed = pd.concat([bank_test.head(97), bank_train.head(3).astype({"age": float})])
    report = results.test_report(bank_run, mixed, train=bank_train)
    assert status(report, "NB004") == "noticed"
    assert finding(report, "NB004").startswith("3 of 100 test rows (3.0%)")
    other_label = bank_train.head(50).assign(y=lambda rows: np.where(rows["y"] == "no", "yes", "no"))
    assert status(results.test_report(bank_run, other_label, train=bank_train), "NB004") == "passed"


def test_training_rows_of_another_table_are_refused(bank_run, bank_test, bank_train):
    with pytest.raises(DataError, match="lacks columns of the test table: age"):
        results.test_report(bank_run, bank_test, train=bank_train.drop(columns="age"))


def test_a_feature_that_carries_most_is_noticed_and_an_even_pair_is_not(house_run):
    assert "size carries" in finding(results.test_report(house_run, house_rows(100, 4)), "NB003")
    rng = np.random.default_rng(0)
    even = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcd"))
    run = train(even.assign(y=np.where(even.sum(axis=1) > 0, "up", "down")))
    test = pd.DataFrame(rng.normal(size=(200, 4)), columns=list("abcd"))
    assert status(results.test_report(run, test.assign(y=np.where(test.sum(axis=1) > 0, "up", "down"))), "NB003") == (
        "passed"
    )


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_pictures_of_a_classification(report):
    assert titles(report.plot_errors()) == titles(report.plot_confusion_matrix())
    assert titles(report.plot_errors()) == ["Rows of the test set", "Share of each true class"]
    curves = report.plot_curves()
    labels = [text.get_text() for text in curves.axes[1].get_legend().get_texts()]
    assert labels == ["yes, share 0.150 (AP = 0.76)", "share of the class (chance)"]
    assert titles(report.plot_calibration()) == ["Calibration, ten bins of equal size", "Probabilities given"]
    first_bar = report.plot_importance(top=2).axes[0].get_yticklabels()[0].get_text()
    assert first_bar == "duration"
    assert plt.get_fignums() == []


def test_pictures_of_three_classes_show_each_against_the_rest(class_run):
    report = results.test_report(class_run, class_rows(200, 5))
    assert report.confusion.shape == (3, 6)
    curves = report.plot_curves()
    assert curves.get_suptitle() == "Curves of each class against the rest"
    names = [text.get_text().split(" ")[0] for text in curves.axes[0].get_legend().get_texts()]
    assert names == ["low", "mid", "top", "chance"]
    assert len(report.plot_calibration().axes[0].get_legend().get_texts()) == 4


def test_a_class_whose_name_begins_with_an_underscore_is_in_the_legends():
    rows = class_rows(200, 1).replace({"y": {"low": "_low"}})
    report = results.test_report(train(rows), rows)
    for axes in (*report.plot_curves().axes, *report.plot_calibration().axes):
        assert any("_low" in text.get_text() for text in axes.get_legend().get_texts())


def test_names_with_dollar_signs_are_drawn_as_they_are():
    names = {"a": "$cost$ \\frac", "b": "$x"}
    rows = class_rows(200, 1).rename(columns=names).replace({"y": {"low": "$\\low$", "mid": "$m_1$"}})
    report = results.test_report(train(rows), rows)
    for plot in (report.plot_errors, report.plot_curves, report.plot_calibration, report.plot_importance):
        plot().savefig(io.BytesIO())
    ticks = report.plot_calibration().axes[1].get_yticklabels()
    assert {text.get_text() for text in ticks} >= {"1", "10", "100"}


def test_pictures_of_a_regression(house_run):
    rows = house_rows(100, 4)
    report = results.test_report(house_run, rows)
    assert report.confusion is None
    assert titles(report.plot_errors()) == titles(report.plot_predictions()) == ["Predicted and true", "Residuals"]
    model, mean = report.plot_curves().axes[0].lines
    errors = np.abs(rows["y"] - house_run.step.model.predict(rows))
    assert np.median(model.get_xdata()) == pytest.approx(errors.median())
    assert np.median(mean.get_xdata()) > np.median(model.get_xdata())
    calibration = report.plot_calibration().axes[0].lines[1]
    assert np.mean(calibration.get_ydata()) == pytest.approx(rows["y"].mean())
    assert len(calibration.get_xdata()) == 10


def test_pictures_say_in_words_what_they_show(report, house_run):
    right = np.trace(report.confusion["rows"])
    assert repr(report.plot_errors()).startswith(f"Confusion matrix of 2 classes: {right} of 300 rows")
    assert f"AUC {report.metrics['AUC_weighted']:.3f}" in repr(report.plot_curves())
    assert repr(report.plot_importance(top=2)).count("duration") == 1
    regression = results.test_report(house_run, house_rows(100, 4))
    for shown in (report, regression):
        for plot in (shown.plot_errors, shown.plot_curves, shown.plot_calibration, shown.plot_importance):
            assert repr(plot()).endswith(".")


def test_pictures_and_tables_of_one_task_are_refused_for_the_other(report, house_run):
    with pytest.raises(UserErrorException, match="plot_predictions is for regression"):
        report.plot_predictions()
    with pytest.raises(UserErrorException, match="error_limits are for regression"):
        report.error_limits()
    regression = results.test_report(house_run, house_rows(100, 4))
    with pytest.raises(UserErrorException, match="plot_confusion_matrix is for classification"):
        regression.plot_confusion_matrix()
    with pytest.raises(UserErrorException, match="thresholds are for classification"):
        regression.thresholds()


def test_a_report_names_the_pipeline(report):
    assert report.model_name == "StandardScaler, LogisticRegression"


def test_a_report_prints_as_one_sentence(report):
    score, validation = report.comparison.loc["AUC_weighted", ["test", "validation"]]
    assert repr(report) == f"AUC_weighted on 300 test rows: {score:.4f} (validation {validation:.4f})."


@pytest.mark.filterwarnings("error")
def test_pictures_of_a_regression_show_the_rows_beside_far_outliers(house_run):
    rows = house_rows(100, 4)
    rows.loc[7, "y"] = 1e6
    report = results.test_report(house_run, rows)
    errors = report.plot_errors()
    assert errors.get_suptitle() == "1 of 100 rows lie far outside and are not drawn"
    assert [len(axes.collections[0].get_offsets()) for axes in errors.axes] == [99, 99]
    (curve,) = report.plot_curves().axes
    assert curve.get_xlim()[1] < 1e5
    assert curve.get_title(loc="left").startswith("Errors up to ")
    (calm,) = results.test_report(house_run, house_rows(100, 4)).plot_curves().axes
    assert calm.get_title(loc="left") == "Errors"


def test_tables_of_a_regression_of_tiny_values_are_not_zeros(house_run):
    rows = house_rows(100, 4)
    report = results.test_report(house_run, rows.assign(y=rows["y"] * 1e-9))
    assert "e-" in report.split._repr_html_()
