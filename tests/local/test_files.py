from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nbhelpers.errors import DataError, UserErrorException
from nbhelpers.local.dataset import Dataset
from nbhelpers.local.store import open_store

from_frame = Dataset.Tabular.from_pandas_dataframe
from_parquet = Dataset.Tabular.from_parquet_files


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": [0.5, np.nan, 2.0], "c": ["x", None, "zz"], "d": [True, False, True]})


def test_a_table_is_stored_once_under_its_digest(tmp_path):
    frame().to_parquet(tmp_path / "t.parquet")
    digest = from_frame(frame()).digest
    assert from_parquet(tmp_path / "t.parquet").digest == digest
    assert [path.name for path in open_store().data_folder.iterdir()] == [f"{digest}.parquet"]


def test_the_digest_does_not_depend_on_row_groups_or_sizes_of_numbers(tmp_path):
    small = frame().astype({"a": "int8"})
    pq.write_table(pa.Table.from_pandas(small), tmp_path / "t.parquet", row_group_size=1, compression="none")
    assert from_parquet(tmp_path / "t.parquet").digest == from_frame(frame()).digest


def test_row_groups_of_long_texts_have_fewer_rows():
    long = from_frame(pd.DataFrame({"text": ["x" * 5_000] * 16_384}))
    short = from_frame(pd.DataFrame({"text": ["x"] * 16_384}))
    groups = [pq.ParquetFile(data.materialize()).metadata.num_row_groups for data in (long, short)]
    assert groups == [2, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.rename(columns={"a": "A"}),
        lambda f: f[["b", "a", "c", "d"]],
        lambda f: f.iloc[::-1],
        lambda f: f.iloc[:2],
        lambda f: f.assign(a=[1.0, 2.0, 3.0]),
        lambda f: f.assign(b=[0.5, 0.0, 2.0]),
        lambda f: f.assign(c=["x", "", "zz"]),
        lambda f: f.assign(c=["x", None, "Zz"]),
        lambda f: f.assign(c=["xz", None, "z"]),
        lambda f: f.assign(d=[True, True, True]),
    ],
)
def test_any_change_of_the_content_changes_the_digest(change):
    assert from_frame(change(frame())).digest != from_frame(frame()).digest


def test_the_index_is_left_out():
    assert from_frame(frame().set_index(pd.Index([7, 8, 9]))).digest == from_frame(frame()).digest


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (pd.array([1, None], "Int64"), "float64", [1.0, np.nan]),
        (pd.array([True, None], "boolean"), "object", [True, None]),
        (pd.array(["x", None], "string"), "object", ["x", None]),
        (pd.Categorical(["u", "v"]), "object", ["u", "v"]),
        (pd.Categorical([3, 4]), "int64", [3, 4]),
        (pd.to_datetime(["2024-01-01 10:00", None]), "datetime64[ns]", [pd.Timestamp("2024-01-01 10:00"), pd.NaT]),
        (
            pd.to_datetime(["2024-01-01 10:00"] * 2).tz_localize("Europe/Berlin"),
            "datetime64[ns]",
            [pd.Timestamp("2024-01-01 09:00")] * 2,
        ),
        (np.array([dt.date(2024, 1, 1), None], dtype=object), "datetime64[ns]", [pd.Timestamp("2024-01-01"), pd.NaT]),
        (np.array([1, 2.5], dtype=object), "float64", [1.0, 2.5]),
        (np.array([Decimal("1.5"), None], dtype=object), "float64", [1.5, np.nan]),
        (np.array([1, 2], dtype="uint8"), "int64", [1, 2]),
        (np.array([1.5, np.inf], dtype="float32"), "float64", [1.5, np.inf]),
        (np.array([None, None], dtype=object), "object", [None, None]),
    ],
)
def test_dtypes_come_back_as_plain_numpy(values, dtype, expected):
    found = from_frame(pd.DataFrame({"x": values})).to_pandas_dataframe()["x"]
    assert found.dtype == dtype
    pd.testing.assert_series_equal(found, pd.Series(expected, name="x", dtype=dtype))


def test_names_that_are_no_text_become_text():
    assert from_frame(pd.DataFrame([[1, 2]], columns=[0, "b"])).columns == ["0", "b"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1, "a"]}, "'x' of the DataFrame has values of several types: int and str"),
        ({"x": [True, 2]}, "'x' of the DataFrame has values of several types: bool and int"),
        ({"x": [1 + 2j]}, "'x' of pandas DataFrame has the type complex128"),
        ({"x": [[1, 2]]}, "'x' of pandas DataFrame has the type list"),
        ({"x": [b"raw"]}, "'x' of pandas DataFrame has the type binary"),
        ({"x": pd.to_timedelta([1], unit="s")}, "'x' of pandas DataFrame has the type duration"),
        ({"x": np.array([2**63], dtype="uint64")}, "'x' of pandas DataFrame does not fit int64"),
        ({"x": pd.to_datetime([1], unit="ns")}, r"'x' of pandas DataFrame does not fit timestamp\[us\]"),
        ({1: [1], "1": [2]}, "several columns of the same name: '1'"),
        ({"x": [2**70]}, "'x' of pandas DataFrame has the type object"),
        ({"x": []}, "has no rows"),
        ({}, "has no columns"),
    ],
)
def test_frames_that_cannot_be_stored_are_refused_and_leave_nothing_behind(columns, message):
    with pytest.raises(DataError, match=message):
        from_frame(pd.DataFrame(columns))
    assert list(open_store().data_folder.iterdir()) == []


@pytest.mark.parametrize("thing", [None, [1], pd.Series([1]), "x.csv"])
def test_what_is_no_frame_is_refused(thing):
    with pytest.raises(UserErrorException, match="is not a pandas DataFrame"):
        from_frame(thing)


def test_parquet_files_are_joined_and_named(tmp_path):
    frame().to_parquet(tmp_path / "1.parquet")
    frame().to_parquet(tmp_path / "2.parquet")
    joined = from_parquet([tmp_path / "1.parquet", str(tmp_path / "2.parquet")], include_path=True)
    assert joined.to_pandas_dataframe()["Path"].tolist() == ["1.parquet"] * 3 + ["2.parquet"] * 3

    frame().rename(columns={"a": "z"}).to_parquet(tmp_path / "3.parquet")
    with pytest.raises(DataError, match=r"3\.parquet has other columns or types than 1\.parquet"):
        from_parquet([tmp_path / "1.parquet", tmp_path / "3.parquet"])


def test_parquet_that_is_none_or_damaged_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"t\.parquet is not a Parquet file"):
        from_parquet(tmp_path / "t.parquet")

    pd.DataFrame({"a": np.random.default_rng(0).normal(size=1000)}).to_parquet(tmp_path / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[4:60] = bytes(56)
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet is damaged"):
        from_parquet(tmp_path / "t.parquet")
    assert list(open_store().data_folder.iterdir()) == []


def test_arguments_that_are_not_supported_are_refused(tmp_path):
    frame().to_parquet(tmp_path / "t.parquet")
    for option in ({"partition_format": "{x}"}, {"set_column_types": {}}):
        with pytest.raises(UserErrorException, match="is not supported by the local backend"):
            from_parquet(tmp_path / "t.parquet", **option)


def test_a_stored_table_that_is_gone_is_named():
    dataset = from_frame(frame())
    dataset.materialize().unlink()
    with pytest.raises(DataError, match="no longer in the data folder"):
        dataset.to_pandas_dataframe()
