from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from nbhelpers.automl.cells import discover
from nbhelpers.automl.columns import DATE_PARTS, check_rows, date_parts, purpose_of, unique_names, with_names
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
        (pd.Categorical([i % 200 for i in range(N)]), "number", "Categorical"),
        (pd.Categorical(range(N)), "number", "Numeric"),
        (pd.Categorical([f"id{i}" for i in range(N)]), "string", "Hashes"),
        (pd.Categorical(["a", "b"] * 200, categories=["c", "b", "a"]), "string", "Categorical"),
        (pd.cut(RNG.normal(size=N), 4), "string", "Categorical"),
        ([7, None] * 200, "number", "Categorical"),  # a mark
        (["x", None] * 200, "string", "Categorical"),
        ([np.inf] * N, "number", "AllNan"),
        (["a", "b"] * 200, "string", "Categorical"),
        (pd.array(["a", "b", None, "c"] * 100, dtype="string"), "string", "Categorical"),
        ([f"v{i % 100}" for i in range(N)], "string", "CategoricalHash"),
        ([f"v{i % 300}" for i in range(N)], "string", "Ignore"),
        ([f"v{i % 10_000}" for i in range(100_000)], "string", "CategoricalHash"),
        ([f"v{i % 20_000}" for i in range(100_000)], "string", "Ignore"),
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
    found, _, values_read = discover(column)
    assert (found, purpose_of(values_read, column.dtype)) == (kind, purpose)


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


def test_rows_are_read_in_the_style_of_the_training_table():
    train = pd.DataFrame(
        {"price": [f"${i},000" for i in range(100)], "day": [f"{1 + i % 28}.3.2024" for i in range(100)]}
    )
    check_rows(train, pd.DataFrame({"price": ["$7", "NA", None], "day": ["31.3.2024", "-", ""]}))
    with pytest.raises(DataError, match="'day': '3/31/2024' is not"):
        check_rows(train, train.assign(day="3/31/2024"))


def test_columns_of_one_name_are_told_apart_by_their_order():
    assert unique_names(["a", "b", "a", 1, "1", "a"]) == ["a", "b", "a.1", "1", "1.1", "a.2"]
    assert unique_names(["a", "a", "a.1"]) == ["a", "a.2", "a.1"]
    assert unique_names([("a", 1), None, "größe"]) == ["('a', 1)", "None", "größe"]
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert with_names(frame).columns.tolist() == ["a", "a.1"]
    assert frame.columns.tolist() == ["a", "a"]


def test_a_date_has_its_parts():
    parts = date_parts(np.array(["2024-12-31T23:59:58", "1969-01-01", "NaT"], dtype="datetime64[us]"), list(DATE_PARTS))
    assert parts[0].tolist() == [2024, 12, 31, 1, 366, 4, 5, 23, 59, 58]
    assert parts[1].tolist() == [1969, 1, 1, 2, 1, 1, 1, 0, 0, 0]
    assert np.isnan(parts[2]).all()
