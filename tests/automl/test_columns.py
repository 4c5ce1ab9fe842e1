from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl.columns import check_rows, kind_of, purpose_of, read, strings
from nbhelpers.errors import DataError

N = 400
RNG = np.random.default_rng(0)
WORDS = np.array(["red", "green", "blue", "left", "right", "up", "down"])


@pytest.mark.parametrize(
    ("values", "kind", "purpose"),
    [
        ([None] * N, "string", "AllNan"),
        ([7] * N, "number", "Ignore"),
        (RNG.normal(size=N), "number", "Numeric"),
        (list(range(N)), "number", "Numeric"),
        (list(range(20)) * 20, "number", "Numeric"),  # 20 is 5 % of the rows
        (list(range(19)) * 21 + [0], "number", "Categorical"),
        ([0.5, 1.5] * 200, "number", "Numeric"),
        ([True, False] * 200, "number", "Categorical"),
        ([True, None, False, True] * 100, "number", "Categorical"),
        (pd.array([1, 2, None, 4] * 100, dtype="Int64"), "number", "Categorical"),
        (pd.Categorical(["a", "b"] * 200), "string", "Categorical"),
        (pd.Categorical(range(N)), "number", "Categorical"),
        (["a", "b"] * 200, "string", "Categorical"),
        (pd.array(["a", "b", None, "c"] * 100, dtype="string"), "string", "Categorical"),
        ([f"v{i % 100}" for i in range(N)], "string", "CategoricalHash"),
        ([f"v{i % 300}" for i in range(N)], "string", "Ignore"),
        ([f"id{i}" for i in range(N)], "string", "Hashes"),
        ([" ".join(RNG.choice(WORDS, 5)) for _ in range(N)], "string", "Text"),
        (["1.5", "2", " ", "3"] * 100, "number", "Numeric"),
        (pd.date_range("2020-01-01", periods=N), "datetime", "DateTime"),
        (pd.date_range("2020-01-01", periods=N, tz="Asia/Tokyo"), "datetime", "DateTime"),
        (pd.period_range("2020-01", periods=N, freq="M"), "datetime", "DateTime"),
        ([datetime.date(2020, 1, 1 + i % 28) for i in range(N)], "datetime", "DateTime"),
        ([f"2020-01-{1 + i % 28:02}" for i in range(N)], "datetime", "DateTime"),
        (pd.to_timedelta(np.arange(N), unit="s"), "number", "Numeric"),
        ([decimal.Decimal(i) / 4 for i in range(N)], "number", "Numeric"),
        (["a", 1, 2.5, None] * 100, "string", "Categorical"),
    ],
)
def test_kind_and_purpose_follow_values_and_counts(values, kind, purpose):
    column = pd.Series(values, name="c")
    assert kind_of(column) == kind
    assert purpose_of(column, kind) == purpose


def test_numbers_are_read_with_gaps_for_what_is_infinite_or_blank():
    column = pd.Series(["1", " ", "-2.5", None])
    assert read(column, "number") == pytest.approx([1, np.nan, -2.5, np.nan], nan_ok=True)
    assert np.isnan(read(pd.Series([np.inf, -np.inf, 1]), "number")).tolist() == [True, True, False]
    assert np.isfinite(read(pd.Series([1e300] * 1000), "number").astype(np.float32).sum())
    assert read(pd.Series([1e-310, 1e-20]), "number").tolist() == [0, 1e-20]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["3", "four"], "number"),
        (pd.date_range("2020-01-01", periods=2), "number"),
        (["2020-01-01", "soon"], "datetime"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_column(values, kind):
    with pytest.raises(DataError, match="'c'"):
        read(pd.Series(values, name="c"), kind)


def test_a_whole_number_is_the_same_text_in_a_column_with_gaps():
    assert strings(pd.Series(["1", "2.5", None])).tolist() == strings(pd.Series([1, 2.5, np.nan])).tolist()


def test_rows_of_another_kind_are_refused_in_the_columns_that_a_model_uses():
    train = pd.DataFrame({"size": np.arange(100) / 7, "day": pd.date_range("2024", periods=100), "same": 1})
    check_rows(train, train.assign(same="x", size=1, more="y"))
    for name in ("size", "day"):
        with pytest.raises(DataError, match=f"'{name}': 'x' is not"):
            check_rows(train, train.assign(**{name: "x"}))


def test_a_table_without_a_column_to_learn_from_is_refused():
    train = pd.DataFrame({"same": [1] * 100, "empty": None})
    for frame in (train, train[[]]):
        with pytest.raises(DataError, match="No column can be learned from"):
            check_rows(frame, frame)


def test_complex_numbers_are_refused():
    with pytest.raises(DataError, match="complex"):
        kind_of(pd.Series([1j, 2j], name="c"))
