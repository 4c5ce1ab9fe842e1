from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from nbhelpers.automl import cells
from nbhelpers.automl.cells import Texts, discover, kind_of, read, strings, texts_of
from nbhelpers.errors import DataError


def test_numbers_are_read_with_gaps_for_what_is_infinite_or_blank():
    column = pd.Series(["1", " ", "-2.5", None])
    assert read(column, "number") == pytest.approx([1, np.nan, -2.5, np.nan], nan_ok=True)
    assert np.isnan(read(pd.Series([np.inf, -np.inf, 1]), "number")).tolist() == [True, True, False]
    assert np.isfinite(read(pd.Series([1e300] * 1000), "number").astype(np.float32).sum())
    assert read(pd.Series([1e-310, 1e-20]), "number").tolist() == [0, 1e-20]


DAY = datetime.date(2024, 3, 5)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([True, None, False], [1, np.nan, 0]),
        (pd.array([True, None, False], dtype="boolean"), [1, np.nan, 0]),
        (pd.array([1, None, 3], dtype="Int64"), [1, np.nan, 3]),
        (pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int64())), [1, np.nan, 3]),
        (pd.arrays.SparseArray([0, 0, 1.5]), [0, 0, 1.5]),
        (pd.Categorical([20, 10, None]), [20, 10, np.nan]),
        ([decimal.Decimal("1.5"), None, decimal.Decimal(2)], [1.5, np.nan, 2]),
        ([1, "2", None], [1, 2, np.nan]),
        ([datetime.time(1, 0, 1), None], [3601, np.nan]),
        ([datetime.timedelta(minutes=1), None], [60, np.nan]),
        (pd.to_timedelta([1, None], unit="min"), [60, np.nan]),
        (pd.array([datetime.timedelta(minutes=1), None], dtype=pd.ArrowDtype(pa.duration("us"))), [60, np.nan]),
        (pd.arrays.IntervalArray.from_breaks([0, 1, 3]), [0.5, 2]),
        (["1,234", "7"], [1234, 7]),
        (["5 %", "-1.5%", "n/a"], [5, -1.5, np.nan]),
        (["1:30", "0:01"], [5400, 60]),
    ],
)
def test_what_stands_for_a_number_is_one(values, numbers):
    kind, style, found = discover(pd.Series(values))
    assert kind == "number"
    assert found == pytest.approx(numbers, nan_ok=True)
    assert read(pd.Series(values), kind, style) == pytest.approx(numbers, nan_ok=True)


@pytest.mark.parametrize(
    "values",
    [
        [DAY, None],
        [datetime.datetime(2024, 3, 5), None],
        ["2024-03-05", " "],
        ["2024-03-05", "NA"],
        ["5 March 2024", None],
        pd.to_datetime(["2024-03-05", None]),
        pd.to_datetime(["2024-03-05T09:00", None]).tz_localize("Asia/Tokyo"),
        pd.PeriodIndex(["2024-03-05", None], freq="D"),
        pd.array([DAY, None], dtype=pd.ArrowDtype(pa.date32())),
        pd.array([datetime.datetime(2024, 3, 5), None], dtype=pd.ArrowDtype(pa.timestamp("us"))),
    ],
)
def test_what_stands_for_a_point_in_time_is_one(values):
    kind, style, found = discover(pd.Series(values))
    assert (kind, found.dtype) == ("datetime", np.dtype("datetime64[us]"))
    again = read(pd.Series(values), kind, style)
    assert np.isnat(found).tolist() == np.isnat(again).tolist() == [False, True]
    assert found[0] == again[0] == np.datetime64("2024-03-05")


def test_points_in_time_with_a_zone_are_those_of_utc_whatever_they_are_written_as():
    zoned = pd.Series(pd.date_range("2024-03-30", periods=40, freq="h", tz="Europe/Berlin"))
    utc = zoned.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    for column in (zoned, zoned.astype(object), zoned.map(pd.Timestamp.isoformat)):
        kind, style, found = discover(column)
        assert (found == utc).all()
        assert (read(zoned, kind, style) == utc).all()


def test_years_beyond_those_of_nanoseconds_are_read():
    for values in (["9999-12-31", "2024-01-01"], [datetime.date(9999, 12, 31)], np.array(["9999-12-31"], "M8[s]")):
        kind, _, found = discover(pd.Series(values))
        assert (kind, found[0]) == ("datetime", np.datetime64("9999-12-31"))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["a", " ", None, "a"], ["a", None, None, "a"]),
        ([b"a", b"\xff", None], ["a", "\\xff", None]),
        (["a", 1, 2.0, None], ["a", "1", "2", None]),
        (pd.Categorical(["b", None, "b"], categories=["z", "b"]), ["b", None, "b"]),
        (pd.Categorical([1, "1", "x"]), ["1", "1", "x"]),
        (pd.array(["a", None], dtype="string"), ["a", None]),
        ([2**70, 2**70 + 1], [str(2**70), str(2**70 + 1)]),  # as floats they were the same
        ([f"{2**70}", f"{2**70 + 1}"], [str(2**70), str(2**70 + 1)]),
        (["NA", "abc"], ["NA", "abc"]),
        (["01/02/2024", "03/04/2024"], ["01/02/2024", "03/04/2024"]),  # day or month first
    ],
)
def test_all_else_is_text(values, texts):
    column = pd.Series(values)
    kind, _, found = discover(column)
    assert kind == "string"
    assert strings(column).tolist() == texts
    assert len(set(found.levels)) == len(found.levels) == found.codes.max() + 1


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", None, "a", " ", "NA", "c"],
        ["1", "2", "x", None, "1"],
        ["a", 1, 1.0, True, None, b"1"],
        pd.Categorical(["a", None, "b"]),
        pd.array(["a", None, "b"], dtype="string"),
        [1.5, 2.0, None],
    ],
)
def test_many_rows_are_read_like_a_few(values, monkeypatch):
    column = pd.concat([pd.Series(values)] * 100, ignore_index=True)
    many = texts_of(column)
    monkeypatch.setattr(cells, "_FEW", len(column))
    few = texts_of(column)
    assert many.levels == few.levels
    assert many.codes.tolist() == few.codes.tolist()


def test_a_whole_number_is_the_same_text_in_a_column_with_gaps():
    assert strings(pd.Series(["1", "2.5", None])).tolist() == strings(pd.Series([1, 2.5, np.nan])).tolist()


def test_values_are_taken_by_level():
    texts = Texts(np.array([1, -1, 0]), ["a", "b"])
    assert texts.take(np.array([10.0, 20.0]), np.nan) == pytest.approx([20, np.nan, 10], nan_ok=True)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["3", "four"], "number"),
        (["3", "NA"], "number"),  # of a label: nothing may be taken for missing
        (["1,234"], "number"),
        (pd.date_range("2020-01-01", periods=2), "number"),
        (["2020-01-01", "soon"], "datetime"),
        (["2020-01-01", 5], "datetime"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_column(values, kind):
    with pytest.raises(DataError, match="'c'"):
        read(pd.Series(values, name="c"), kind)


def test_a_refusal_counts_the_rows_and_names_the_first_value():
    with pytest.raises(DataError, match=r"'four' is not a number \(3 such values\)"):
        read(pd.Series(["1", "four", "five", "four"]), "number", "")


@pytest.mark.parametrize("value", [[1], (1, 2), {"a": 1}, {1}, np.array([1, 2])])
def test_cells_with_more_than_one_value_are_refused(value):
    with pytest.raises(DataError, match=f"'c' holds a {type(value).__name__} in 2 cells"):
        kind_of(pd.Series([value, None, value], name="c"))


def test_complex_numbers_are_refused():
    for dtype in (complex, object):
        with pytest.raises(DataError, match="complex"):
            kind_of(pd.Series([1j, 2j], name="c", dtype=dtype))


def test_reading_changes_nothing():
    column = pd.Series([np.inf, 1e300, 1.0])
    read(column, "number")
    assert column.tolist() == [np.inf, 1e300, 1]
