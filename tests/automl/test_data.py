from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl import validation
from nbhelpers.automl.data import prepare
from nbhelpers.automl.settings import check_settings
from nbhelpers.automl.training import score
from nbhelpers.errors import ConfigException, DataError

X = pd.DataFrame({"x": np.arange(60.0), "z": np.arange(60.0) % 7})
LABELS = ["a", "b"] * 30


def classify(labels=LABELS, frame=X, given=None, **settings):
    y = pd.Series(labels, name="y")
    return prepare(frame, y, check_settings("classification", settings), given)[1]


def test_rows_without_a_label_are_left_out_or_refused():
    labels = [1, 2, None] * 20
    data = classify(labels)
    assert data.matrix.shape[0] == len(data.target) == 40
    assert data.classes.tolist() == [1, 2]
    assert data.positions.tolist() == [row for row in range(60) if row % 3 < 2]
    with pytest.raises(DataError, match="missing in 20 rows"):
        classify(labels, exclude_nan_labels=False)


def test_a_blank_label_is_missing():
    assert classify(["a", "b", " "] * 20).classes.tolist() == ["a", "b"]
    with pytest.raises(DataError, match="missing in 20 rows"):
        classify(["a", "b", ""] * 20, exclude_nan_labels=False)


def test_more_folds_than_half_of_the_rows_are_refused_by_name():
    with pytest.raises(DataError, match="n_cross_validations=31 is too many folds for 60 rows") as caught:
        classify(n_cross_validations=31)
    assert "at most 30" in caught.value.remedy


def test_what_is_no_table_or_no_label_is_refused():
    with pytest.raises(DataError, match="ndarray"):
        prepare(X, np.arange(60) % 2, check_settings("classification", {}))
    with pytest.raises(DataError, match="ndarray"):
        prepare(X.to_numpy(), pd.Series(LABELS), check_settings("classification", {}))
    with pytest.raises(DataError, match="60 rows and the label 59"):
        classify(LABELS[:59])


def test_all_rows_are_final_and_judged_once_by_default():
    data = classify()
    assert len(data.splits) == 10
    assert data.automatic
    assert sorted(data.scored) == data.final.tolist() == data.positions.tolist() == list(range(60))
    assert not classify(n_cross_validations=3).automatic
    quantity = prepare(X, pd.Series(np.arange(60) / 3), check_settings("regression", {"n_cross_validations": 4}))[1]
    assert len(quantity.splits) == 4
    assert quantity.y_range == (0, pytest.approx(59 / 3))


def test_given_validation_rows_follow_the_training_rows_and_are_never_trained_on():
    more = pd.DataFrame({"z": [3.0, 4, 5, 6], "other": "?", "x": [100.0, 101, 102, 103]})
    data = classify([*LABELS[:59], None], given=(more, pd.Series(["b", None, "a", "a"])))
    assert data.matrix[-3:].tolist() == [[100, 3], [102, 5], [103, 6]]
    assert data.labels[-3:].tolist() == ["b", "a", "a"]
    (split,) = data.splits
    assert (split.train.tolist(), split.valid.tolist()) == (list(range(59)), [59, 60, 61])
    assert data.final.tolist() == list(range(59))
    assert data.positions[-3:].tolist() == [60, 62, 63]  # counted on from the end of a table of 60 rows
    assert not data.automatic


@pytest.mark.parametrize(
    ("frame", "labels", "reason"),
    [
        (X[["x"]], LABELS, "'z'"),
        (X, [None] * 60, "No row of it has a label"),
        (X, ["c"] * 60, "'c'"),
        (X, LABELS[:5], "60 rows and the label 5"),
        (X.assign(z="words"), LABELS, "'z'"),
    ],
)
def test_validation_data_that_cannot_be_used_is_refused_as_such(frame, labels, reason):
    with pytest.raises(DataError, match="The validation data cannot be used") as caught:
        classify(given=(frame, pd.Series(labels, name="y")))
    assert reason in caught.value.problem


def test_validation_data_has_the_columns_that_settings_name():
    with pytest.raises(DataError, match=r"data cannot be used.*weight_column_name names 'w'"):
        classify(frame=X.assign(w=1), given=(X, pd.Series(LABELS)), weight_column_name="w")


def test_validation_data_and_another_way_of_validation_conflict():
    with pytest.raises(ConfigException, match="validation_data and n_cross_validations"):
        classify(given=(X, pd.Series(LABELS)), n_cross_validations=3)


def test_split_columns_say_where_each_row_is_and_are_no_features():
    first = np.arange(60) >= 20
    frame = X.assign(one=first, two=np.where(np.arange(60) < 40, "1", "0"))
    data = classify(frame=frame, cv_split_column_names=["one", "two"])
    assert data.matrix.shape == (60, 2)
    assert [split.valid.tolist() for split in data.splits] == [list(range(20)), list(range(40, 60))]
    assert [split.train.tolist() for split in data.splits] == [list(range(20, 60)), list(range(40))]
    assert len(data.final) == 60


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0, 1, 2] * 20, "2 in the column 'cv' is neither 1 nor 0 (20 such rows)"),
        ([0, None, 1] * 20, "nan in the column"),
        (["train", "test"] * 30, "'train' in the column"),
        ([1] * 60, "'cv' of cv_split_column_names leaves no row to judge models by"),
        ([0] * 60, "'cv' of cv_split_column_names leaves no row to train on"),
        ([1, 0] * 30, "rows to judge models by have the label 'b'"),
        ([1] + [0] * 59, "rows to train on have the label 'a'"),
    ],
)
def test_a_split_column_that_does_not_split_is_refused(values, reason):
    with pytest.raises(DataError) as caught:
        classify(frame=X.assign(cv=values), cv_split_column_names=["cv"])
    assert reason in str(caught.value)


@pytest.mark.parametrize("setting", ["weight_column_name", "cv_split_column_names"])
@pytest.mark.parametrize(("name", "told"), [("Y", "which is the label"), ("xx", "Did you mean 'x'?")])
def test_a_column_that_is_not_there_or_is_the_label_is_refused(setting, name, told):
    with pytest.raises(DataError, match=f"{setting} names '{name}'") as caught:
        classify(**{setting: name if setting == "weight_column_name" else [name]})
    assert told in str(caught.value)


def test_weights_are_no_feature_and_have_the_mean_one():
    weights = np.arange(60) % 3 + 1
    data = classify(frame=X.assign(w=weights), weight_column_name="w")
    assert data.matrix.shape == (60, 2)
    assert data.weights == pytest.approx(weights / 2)
    more = X.head(2).assign(w=[5, 7])
    data = classify(frame=X.assign(w=weights), given=(more, pd.Series(["a", "b"])), weight_column_name="w")
    assert data.weights[-1] / data.weights[0] == pytest.approx(7)


def test_huge_weights_count_like_small_ones_of_the_same_ratios():
    weights = np.arange(60) % 3 + 1.0
    data = classify(frame=X.assign(w=weights * 5e307), weight_column_name="w")
    assert data.weights == pytest.approx(weights / 2)


def test_rows_of_weight_zero_are_left_out():
    data = classify(frame=X.assign(w=np.arange(60) // 10), weight_column_name="w")
    assert data.positions.tolist() == list(range(10, 60))
    assert len(data.target) == len(data.weights) == 50


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([1, -2] * 30, "-2 is no weight (30 such rows)"),
        ([1, None] * 30, "nan is no weight"),
        ([1, np.inf] * 30, "inf is no weight"),
        (["1", "heavy"] * 30, "'heavy' is no weight"),
        ([0] * 60, "all weights are 0"),
        (pd.date_range("2024", periods=60), "is no weight (60 such rows)"),
    ],
)
def test_weights_that_weigh_nothing_are_refused(weights, reason):
    with pytest.raises(DataError, match="weight_column_name='w'") as caught:
        classify(frame=X.assign(w=weights), weight_column_name="w")
    assert reason in str(caught.value)


def test_a_weight_may_be_missing_where_the_label_is():
    weights = [1.0] * 59 + [None]
    assert len(classify([*LABELS[:59], None], X.assign(w=weights), weight_column_name="w").weights) == 59
    assert len(classify([*LABELS[:59], None], X.assign(w=weights[::-1])).target) == 59


def test_metrics_are_weighted_and_tables_count_rows():
    data = classify(frame=X.assign(w=[3, 1] * 30), weight_column_name="w", positive_label="b")
    all_a = np.tile([0.9, 0.1], (60, 1))
    values, tables = score(data, all_a, np.arange(60))
    assert values["accuracy"] == pytest.approx(0.75)
    assert values["recall_score_binary"] == 0
    assert tables["confusion_matrix"]["data"]["matrix"] == [[30, 0], [30, 0]]
    quantity = prepare(
        X.assign(w=[3, 1] * 30), pd.Series([0.0, 1] * 30), check_settings("regression", {"weight_column_name": "w"})
    )[1]
    assert score(quantity, np.zeros(60), np.arange(60))[0]["mean_absolute_error"] == pytest.approx(0.25)


def test_a_positive_label_is_one_of_the_classes():
    assert classify([1, 2] * 30, positive_label="2").positive_label == 2
    with pytest.raises(DataError, match="positive_label='c'"):
        classify(positive_label="c")


@pytest.mark.parametrize("limit", ["SEARCH_ROWS", "SEARCH_CELLS"])
def test_the_search_in_a_large_table_is_on_a_sample_and_the_final_fit_on_all_rows(monkeypatch, limit):
    monkeypatch.setattr(validation, limit, 30 if limit == "SEARCH_ROWS" else 60)
    monkeypatch.setattr(validation, "_LEAST_SAMPLED", 20)
    monkeypatch.setattr(validation, "_LEAST_OF_STRATUM", 2)
    data = classify(n_cross_validations=3)
    assert data.searched == 30
    assert np.bincount(data.target[data.scored]).tolist() == [15, 15]
    assert data.scored.max() >= 30  # they are positions in the whole table
    assert len(data.final) == 60
    assert classify(enable_subsampling=False).searched == 60
    frame = X.assign(cv=[1] * 57 + [0] * 3)
    (split,) = classify(frame=frame, cv_split_column_names=["cv"]).splits
    assert len(split.valid) >= 2
    given = X.head(50), pd.Series(LABELS[:50])
    data = classify(given=given)
    assert (len(data.splits[0].train), len(data.splits[0].valid), len(data.final)) == (30, 30, 60)
    assert data.splits[0].valid.min() >= 60
