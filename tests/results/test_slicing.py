from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from nbhelpers.errors import DataError
from nbhelpers.results.slicing import slice_table


def two_classes(n=400):
    """Probabilities that are no use where kind is "hard" and good elsewhere."""
    rng = np.random.default_rng(0)
    features = pd.DataFrame({"kind": rng.choice(["easy", "hard"], n), "size": rng.normal(0, 1, n), "same": "x"})
    truth = rng.integers(0, 2, n)
    p = np.where(features["kind"] == "hard", rng.random(n), 0.1 + 0.8 * truth)
    return features, truth, np.column_stack([1 - p, p])


def test_bad_groups_come_first_below_a_line_for_all_rows():
    features, truth, output = two_classes()
    table = slice_table(features, truth, output)
    assert table.loc[0, ["column", "group", "rows", "share", "flag"]].tolist() == ["", "all rows", 400, 1, ""]
    assert table.loc[1, ["column", "group", "flag"]].tolist() == ["kind", "hard", "worse"]
    assert table["low"][1:].is_monotonic_decreasing
    hard = (features["kind"] == "hard").to_numpy()
    assert table.loc[1, "rows"] == hard.sum()
    assert table.loc[1, "log_loss"] == pytest.approx(log_loss(truth[hard], output[hard]))
    assert table.loc[1, "AUC_weighted"] == pytest.approx(roc_auc_score(truth[hard], output[hard, 1]))
    assert table.loc[1, "accuracy"] == pytest.approx((output[hard].argmax(axis=1) == truth[hard]).mean())
    assert table.loc[1, "low"] < table.loc[1, "log_loss"] < table.loc[1, "high"]


def test_numbers_are_cut_into_quarters_and_missing_values_are_a_group():
    features, truth, output = two_classes()
    features.loc[:49, "size"] = np.nan
    table = slice_table(features, truth, output, "size", top=9)[1:].set_index("group")
    assert len(table) == 5
    assert table.loc["(missing)", "rows"] == 50
    assert table["rows"].sum() == 400
    assert table["rows"].drop("(missing)").between(87, 88).all()


def test_a_group_of_all_rows_and_one_of_the_same_rows_again_are_left_out():
    features, truth, output = two_classes()
    twin = features[["kind", "same"]].assign(again=features["kind"])
    assert slice_table(twin, truth, output)["column"].tolist() == ["", "kind", "kind"]


@pytest.mark.filterwarnings("error")
def test_a_table_without_groups_has_the_line_of_all_rows():
    features, truth, output = two_classes()
    assert slice_table(features[["same"]], truth, output)["group"].tolist() == ["all rows"]


@pytest.mark.filterwarnings("error")
def test_groups_of_few_rows_or_of_one_class_come_last_or_without_an_auc():
    features, truth, output = two_classes()
    features["kind"] = np.where(truth == 1, "one class", "zero class")
    features.loc[0, "kind"] = "lone"
    table = slice_table(features, truth, output, "kind").set_index("group")
    assert table.index[-1] == "lone"
    assert table.loc["lone", "flag"] == "few rows"
    assert np.isnan(table.loc["lone", ["low", "high"]].astype(float)).all()
    assert np.isnan(table.loc["one class", "AUC_weighted"])
    assert table.loc["one class", "log_loss"] > 0


def test_groups_of_three_classes():
    rng = np.random.default_rng(0)
    features, truth = pd.DataFrame({"kind": rng.choice(["a", "b"], 200)}), rng.integers(0, 3, 200)
    output = np.full((200, 3), 0.1) + 0.7 * np.eye(3)[np.where(features["kind"] == "a", truth, 0)]
    table = slice_table(features, truth, output).set_index("group")
    assert table.loc["a", "accuracy"] == 1
    assert table.loc["b", "flag"] == "worse"


def test_groups_of_a_regression_have_its_figures():
    rng = np.random.default_rng(0)
    features, truth = pd.DataFrame({"kind": ["a"] * 100 + ["b"] * 100}), rng.normal(0, 1, 200)
    output = truth + np.where(features["kind"] == "a", rng.normal(0, 0.1, 200), 2)
    table = slice_table(features, truth, output).set_index("group")
    assert table.index.tolist() == ["all rows", "b", "a"]
    assert table.loc["b", ["bias", "root_mean_squared_error", "mean_absolute_error"]].tolist() == pytest.approx(
        [-2, 2, 2]
    )
    assert table["flag"].tolist() == ["", "worse", ""]
    assert (table["low"] >= 0).all()


def test_only_so_many_groups_are_shown():
    features, truth, output = two_classes()
    assert len(slice_table(features, truth, output, top=3)) == 4


def test_a_column_that_there_is_not_or_twice_is_named():
    features, truth, output = two_classes()
    with pytest.raises(DataError, match=r"no column 'kinds'(.|\n)*Did you mean 'kind'"):
        slice_table(features, truth, output, "kinds")
    with pytest.raises(DataError, match="2 columns named 'kind'"):
        slice_table(pd.concat([features, features[["kind"]]], axis=1), truth, output, "kind")
