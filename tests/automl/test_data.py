from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl.data import prepare
from nbhelpers.automl.settings import check_settings
from nbhelpers.errors import DataError

X = pd.DataFrame({"x": np.arange(60.0), "z": np.arange(60.0) % 7})


def classify(labels, **settings):
    return prepare(
        X, pd.Series(labels, name="y"), check_settings("classification", {"n_cross_validations": 3} | settings)
    )[1]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a"] * 30, ["a", "b"]),
        ([True, False] * 30, [False, True]),
        ([2.0, 1.0] * 30, [1, 2]),
        ([0.5, 1.5] * 30, ["0.5", "1.5"]),  # scikit-learn takes no fractions as classes
        ([2**60, 2**60 + 1] * 30, [2**60, 2**60 + 1]),
        ([np.inf, 1.0] * 30, ["1", "inf"]),
        ([1e20, 1.0] * 30, ["1", "100000000000000000000"]),
        (pd.Categorical(["b", "a"] * 30), ["a", "b"]),
        (pd.array([1, 0] * 30, dtype="Int64"), [0, 1]),
        (pd.array(["b", "a"] * 30, dtype="string"), ["a", "b"]),
    ],
)
def test_labels_of_any_kind_become_sorted_classes(labels, classes):
    data = classify(labels)
    assert data.classes.tolist() == classes
    assert [type(label) for label in data.classes.tolist()] == [type(label) for label in classes]
    assert data.classes[data.target].tolist() == data.labels.tolist()


def test_rows_without_a_label_are_left_out_or_refused():
    labels = [1, 2, None] * 20
    data = classify(labels)
    assert data.matrix.shape[0] == len(data.target) == 40
    assert data.classes.tolist() == [1, 2]
    with pytest.raises(DataError, match="missing in 20 rows"):
        classify(labels, exclude_nan_labels=False)


def test_a_blank_label_is_missing():
    assert classify(["a", "b", " "] * 20).classes.tolist() == ["a", "b"]
    with pytest.raises(DataError, match="missing in 20 rows"):
        classify(["a", "b", ""] * 20, exclude_nan_labels=False)


def test_more_folds_than_half_of_the_rows_are_refused_by_name():
    with pytest.raises(DataError, match="n_cross_validations=31 is too many folds for 60 rows") as caught:
        classify(["a", "b"] * 30, n_cross_validations=31)
    assert "at most 30" in caught.value.remedy


def test_a_label_that_is_no_series_is_refused():
    with pytest.raises(DataError, match="ndarray"):
        prepare(X, np.arange(60) % 2, check_settings("classification", {}))


def test_a_class_rarer_than_the_folds_is_spread_over_some():
    data = classify(["a"] * 29 + ["b"] * 29 + ["c"] * 2, n_cross_validations=5)
    assert len(set(data.folds[data.target == 2])) == 2
    assert data.n_folds == 5


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["a"] * 60, "single value a"),
        (["a"] * 59 + ["b"], "single row"),
        (list(range(60)), "task='regression'"),
        (["a"] * 15 + [None] * 45, "15 rows"),
        (["a"] * 59, "59"),
        ([None] * 60, "missing in every row"),
    ],
)
def test_a_label_that_cannot_be_learned_is_refused(labels, reason):
    with pytest.raises(DataError) as caught:
        classify(labels)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "text"),
    [([f"€ {value}" for value in range(60)], "'€ 0' is no number"), (["1", "n/a", *range(58)], "'n/a' is no number")],
)
def test_numbers_that_are_text_are_not_called_a_quantity(labels, text):
    with pytest.raises(DataError, match=text) as caught:
        classify(labels)
    assert "task='regression'" not in caught.value.remedy


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["a", "b"] * 30, "task='classification'"),
        ([5] * 60, "is 5 in every row"),
        ([np.inf, 1] * 30, "infinite"),
        ([1e300, 1] * 30, "beyond 1e+30"),
        (pd.date_range("2024", periods=60), "days since the first date"),
        ([f"2024-01-{day % 28 + 1:02}" for day in range(60)], "points in time"),
        (["n/a", 1.5] * 30, "'n/a' is not a number (30 such values)"),
        ([1.5, 2.5] * 9 + [None] * 42, "18 rows"),
    ],
)
def test_a_quantity_that_cannot_be_predicted_is_refused(labels, reason):
    with pytest.raises(DataError) as caught:
        prepare(X, pd.Series(labels, name="y"), check_settings("regression", {}))
    assert reason in str(caught.value)


def test_folds_are_chosen_by_rows_unless_given():
    assert prepare(X, pd.Series([1, 2] * 30), check_settings("classification", {}))[1].n_folds == 10
    data = prepare(X, pd.Series(np.arange(60) / 3), check_settings("regression", {"n_cross_validations": 4}))[1]
    assert data.n_folds == 4
    assert data.y_range == (0, pytest.approx(59 / 3))
