from __future__ import annotations

import numpy as np
import pytest

from nbhelpers.automl.settings import check_settings
from nbhelpers.automl.validation import cross_validation, hold_out, sample, splits_of
from nbhelpers.errors import DataError

STRATA = np.repeat([0, 1, 2], [700, 270, 30])


def splits(strata=STRATA, **settings):
    return splits_of(check_settings("classification", settings), strata, None, n_valid=0, width=2)


def assert_a_partition(split, n_rows):
    assert np.union1d(split.train, split.valid).tolist() == list(range(n_rows))
    assert len(split.train) + len(split.valid) == n_rows


def test_each_row_is_judged_once_in_cross_validation():
    found = splits(n_cross_validations=4)
    assert sorted(np.concatenate([split.valid for split in found])) == list(range(1000))
    for split in found:
        assert_a_partition(split, 1000)
        assert np.bincount(STRATA[split.valid]) == pytest.approx([175, 67.5, 7.5], abs=1)


def test_a_class_rarer_than_the_folds_is_spread_over_some():
    strata = np.array([0] * 29 + [1] * 29 + [2] * 2)
    found = cross_validation(strata, 5, seed=0)
    assert sum((strata[split.valid] == 2).any() for split in found) == 2


@pytest.mark.parametrize(("n_rows", "n_splits"), [(999, 10), (1000, 3), (19_999, 3), (20_000, 1)])
def test_the_number_of_rows_decides_if_the_user_does_not(n_rows, n_splits):
    assert len(splits(np.arange(n_rows) % 2)) == n_splits


def test_the_automatic_hold_out_is_a_tenth_whatever_the_seed():
    strata = (np.arange(20_000) % 10 == 0).astype(int)
    (one,), (other,) = splits(strata, seed=1), splits(strata, seed=2)
    assert_a_partition(one, 20_000)
    assert np.bincount(strata[one.valid]).tolist() == [1800, 200]
    assert (one.valid == other.valid).all()


def test_a_rare_class_makes_no_hold_out_of_folds():
    assert len(splits(np.array([0] * 998 + [1] * 2))) == 3


def test_a_share_is_held_out_of_each_class():
    (split,) = splits(validation_size=0.2)
    assert_a_partition(split, 1000)
    assert np.bincount(STRATA[split.valid]).tolist() == [140, 54, 6]


def test_folds_and_a_share_are_so_many_hold_outs():
    found = splits(validation_size=0.2, n_cross_validations=4)
    assert [len(split.valid) for split in found] == [200] * 4
    assert len({tuple(split.valid) for split in found}) == 4
    again = splits(validation_size=0.2, n_cross_validations=4)
    assert all((one.valid == other.valid).all() for one, other in zip(found, again, strict=True))
    other = splits(validation_size=0.2, n_cross_validations=4, seed=1)
    assert any((one.valid != two.valid).any() for one, two in zip(found, other, strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_no_class_is_held_out_whole(seed):
    strata = np.array([0] * 10 + [1] * 2 + [2])
    split = hold_out(strata, 0.6, seed)
    assert set(strata[split.train]) == {0, 1, 2}


def test_a_share_that_leaves_a_side_empty_is_refused():
    with pytest.raises(DataError, match=r"validation_size=0.0001 of 1,000 rows leaves no row to judge models by"):
        splits(validation_size=0.0001)
    with pytest.raises(DataError, match="leaves no row to judge models by"):  # all would be
        splits(validation_size=0.9999)


def test_a_sample_has_its_share_of_each_class_and_enough_of_rare_ones():
    strata = np.repeat([0, 1, 2, 3], [60_000, 30_000, 40, 3])
    rows = sample(strata, 9000, seed=0)
    counts = np.bincount(strata[rows])
    assert counts[:2] == pytest.approx([6000, 3000], abs=40)
    assert counts[2] in range(20, 26)
    assert counts[3] == 3
    assert (np.diff(rows) > 0).all()
    assert (rows != sample(strata, 9000, seed=1)[: len(rows)]).any()
    assert sample(strata, 100_000, seed=0).tolist() == list(range(90_043))


def test_large_tables_are_sampled_by_rows_and_by_numbers():
    strata = np.arange(120_000) % 2
    settings = check_settings("classification", {})
    for width, n_rows in ((20, 100_000), (400, 50_000), (40_000, 5000)):
        found = splits_of(settings, strata, None, 0, width)[0]
        assert len(found.train) + len(found.valid) == pytest.approx(n_rows, abs=50)
