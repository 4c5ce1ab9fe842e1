from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl.labels import find_class, has_label, read_label, read_more_labels
from nbhelpers.errors import DataError


def classify(labels):
    y = pd.Series(labels, name="y")
    return read_label(y[has_label(y)], "classification")


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
    read, found, target = classify(labels)
    assert found.tolist() == classes
    assert [type(label) for label in found.tolist()] == [type(label) for label in classes]
    assert found[target].tolist() == read.tolist()


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["a"] * 60, "single value a"),
        (["a"] * 59 + ["b"], "single row"),
        (list(range(60)), "task='regression'"),
        (["a"] * 5 + ["b"] * 4 + [None] * 51, "9 rows"),
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
        ([1.5, 2.5, 3.5] * 3 + [None] * 51, "9 rows"),
    ],
)
def test_a_quantity_that_cannot_be_predicted_is_refused(labels, reason):
    y = pd.Series(labels, name="y")
    with pytest.raises(DataError) as caught:
        read_label(y[has_label(y)], "regression")
    assert reason in str(caught.value)


def test_further_labels_are_read_as_the_first_ones_whatever_their_type():
    whole, of_whole, _ = np.array([1, 2, 1]), np.array([1, 2]), None
    for more in (["1", "2", "1"], [1.0, 2.0, 1.0], pd.array([1, 2, 1], dtype="Int64")):
        labels, target = read_more_labels(pd.Series(more), of_whole)
        assert (labels.tolist(), target.tolist()) == (whole.tolist(), [0, 1, 0])
    labels, target = read_more_labels(pd.Series(["True", "False"]), np.array([False, True]))
    assert (labels.tolist(), target.tolist()) == ([True, False], [1, 0])
    assert read_more_labels(pd.Series([3.5]), None)[1].tolist() == [3.5]  # one value is enough to be judged by


def test_a_further_label_that_was_not_there_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match=r"'y' is 'maybe' in 2 row\(s\)") as caught:
        read_more_labels(pd.Series(["no", "maybe", "maybe"], name="y"), np.array(["no", "yes"]))
    assert "'no', 'yes'" in caught.value.remedy


@pytest.mark.parametrize(
    ("label", "classes", "found"),
    [
        ("yes", ["no", "yes"], "yes"),
        ("1", [0, 1], 1),
        (1, ["0", "1"], "1"),
        (1.0, ["0", "1"], "1"),
        (True, [False, True], True),
        ("True", [False, True], True),
        (1, [False, True], True),
        (0.5, ["0.5", "1.5"], "0.5"),
    ],
)
def test_a_class_is_found_by_its_label_whatever_the_type(label, classes, found):
    assert find_class(label, np.array(classes)) == found


def test_a_label_that_is_no_class_is_refused_with_those_there_are():
    with pytest.raises(DataError, match="positive_label='Yes'") as caught:
        find_class("Yes", np.array(["no", "yes"]))
    assert "'no', 'yes'" in caught.value.remedy
