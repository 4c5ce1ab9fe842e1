from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl.folds import assign_folds, infer_task, stratified_split
from nbhelpers.errors import DataError


def test_folds_are_even_in_all_and_in_each_class():
    strata = np.repeat([0, 1, 2], [70, 27, 3])
    folds = assign_folds(strata, 5, seed=1)
    assert np.bincount(folds).tolist() == [20] * 5
    for stratum in range(3):
        counts = np.bincount(folds[strata == stratum], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_folds_depend_on_the_seed_alone():
    strata = np.arange(50) % 2
    assert (assign_folds(strata, 5, 7) == assign_folds(strata, 5, 7)).all()
    assert (assign_folds(strata, 5, 7) != assign_folds(strata, 5, 8)).any()


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["yes", "no"] * 20, "classification"),
        ([True, False] * 20, "classification"),
        (list(range(7)) * 20, "classification"),
        ([1.0, 2.0, None] * 20, "classification"),
        (list(range(30)), "regression"),
        ([0.5, 1.5] * 20, "regression"),
        (pd.array([1, None, 2] * 9, dtype="Int64"), "classification"),
    ],
)
def test_the_label_suggests_the_task(values, task):
    assert infer_task(pd.Series(values)) == task


def test_a_split_keeps_every_row_once_in_order_and_the_shares_of_classes():
    frame = pd.DataFrame({"x": range(200), "y": ["a"] * 150 + ["b"] * 50})
    train, test = stratified_split(frame, "y", 0.2, 0, "classification")
    assert sorted([*train.x, *test.x]) == list(range(200))
    assert train.x.is_monotonic_increasing
    assert test.x.is_monotonic_increasing
    assert test.y.value_counts().to_dict() == {"a": 30, "b": 10}


def test_a_split_copes_with_missing_labels_and_single_rows():
    frame = pd.DataFrame({"y": ["a"] * 20 + ["b"] + [None] * 9})
    train, test = stratified_split(frame, "y", 0.3, 0, "classification")
    assert len(train) + len(test) == 30


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [3, 40])
def test_a_split_puts_no_class_into_the_test_alone(classes, seed):
    labels = [f"k{i % classes}" for i in range(80)] + ["once", "single"]
    frame = pd.DataFrame({"x": range(82), "y": labels})
    train, test = stratified_split(frame, "y", 0.2, seed, "classification")
    assert sorted([*train.x, *test.x]) == list(range(82))
    assert set(train.y) == set(labels)
    assert len(test) == 17


def test_a_split_leaves_a_row_to_train_on():
    train, test = stratified_split(pd.DataFrame({"y": [1.5, 2.5]}), "y", 0.99, 0, "regression")
    assert len(train) == len(test) == 1


def test_a_split_by_a_label_that_never_repeats_is_refused():
    with pytest.raises(DataError, match="'y' has another value in each row"):
        stratified_split(pd.DataFrame({"y": list("abcdef")}), "y", 0.2, 0, "classification")


@pytest.mark.parametrize("test_size", [0, 1, 2.0])
def test_an_empty_side_is_refused(test_size):
    with pytest.raises(DataError, match="test_size"):
        stratified_split(pd.DataFrame({"y": [1, 2, 3]}), "y", test_size, 0, "regression")
    with pytest.raises(DataError, match="'z'"):
        stratified_split(pd.DataFrame({"y": [1, 2, 3]}), "z", 0.5, 0, "regression")
