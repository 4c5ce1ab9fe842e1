"""Data sets: read, looked at, registered in versions."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal


def same(frame: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert_frame_equal(frame.reset_index(drop=True), expected.reset_index(drop=True))


def test_a_file_is_read_with_the_types_of_its_columns(ml: Any, url: str, table: pd.DataFrame) -> None:
    same(ml.Dataset.Tabular.from_delimited_files(f"{url}/bank.csv").to_pandas_dataframe(), table)


def test_several_files_are_read_one_after_the_other(ml: Any, url: str, table: pd.DataFrame) -> None:
    both = ml.Dataset.Tabular.from_delimited_files([f"{url}/bank.csv", f"{url}/bank.csv"])
    same(both.to_pandas_dataframe(), pd.concat([table, table]))


def test_a_column_can_be_given_a_type(ml: Any, url: str, table: pd.DataFrame) -> None:
    types = {"age": ml.DataType.to_string()}
    frame = ml.Dataset.Tabular.from_delimited_files(f"{url}/bank.csv", set_column_types=types).to_pandas_dataframe()
    same(frame, table.assign(age=table["age"].astype(str)))


def test_a_file_that_is_missing_is_refused(ml: Any, url: str, errors: ModuleType) -> None:
    with pytest.raises(errors.UserErrorException):
        ml.Dataset.Tabular.from_delimited_files(f"{url}/missing.csv").to_pandas_dataframe()


def test_rows_are_taken_skipped_and_filtered(dataset: Any, table: pd.DataFrame) -> None:
    same(dataset.take(5).to_pandas_dataframe(), table[:5])
    same(dataset.skip(290).to_pandas_dataframe(), table[290:])
    same(dataset.skip(10).take(5).to_pandas_dataframe(), table[10:15])
    young = dataset.filter((dataset["age"] < 30) & (dataset["job"] == "student"))
    same(young.to_pandas_dataframe(), table[(table["age"] < 30) & (table["job"] == "student")])


def test_columns_are_kept_and_dropped(dataset: Any, table: pd.DataFrame) -> None:
    same(dataset.keep_columns(["age", "y"]).to_pandas_dataframe(), table[["age", "y"]])
    same(dataset.drop_columns(["job"]).to_pandas_dataframe(), table.drop(columns=["job"]))


def test_a_split_has_each_row_once(dataset: Any, table: pd.DataFrame) -> None:
    parts = [part.to_pandas_dataframe() for part in dataset.random_split(percentage=0.7, seed=1)]
    assert 150 < len(parts[0]) < 270
    together = pd.concat(parts).sort_values(list(table))
    same(together, table.sort_values(list(table)))


def test_a_registered_data_set_is_found_again(ml: Any, ws: Any, dataset: Any, table: pd.DataFrame) -> None:
    assert "bank" in ws.datasets
    assert "bank" in ws.datasets.keys()  # noqa: SIM118 - notebooks of the SDK say it so
    for found in (ws.datasets["bank"], ml.Dataset.get_by_name(ws, "bank"), ml.Dataset.get_by_id(ws, dataset.id)):
        assert (found.name, found.version, found.id) == ("bank", 1, dataset.id)
        same(found.to_pandas_dataframe(), table)


def test_a_data_set_that_is_missing_is_named(ml: Any, ws: Any, errors: ModuleType) -> None:
    with pytest.raises(KeyError):
        ws.datasets["missing"]
    with pytest.raises(errors.UserErrorException, match="missing"):
        ml.Dataset.get_by_name(ws, "missing")


def test_a_name_has_versions(ml: Any, ws: Any, url: str, errors: ModuleType, table: pd.DataFrame) -> None:
    read = ml.Dataset.Tabular.from_delimited_files
    first = read(f"{url}/bank.csv").register(ws, "versions", description="one", tags={"label": "y"})
    assert first.version == 1
    other = read(f"{url}/narrow.csv")
    with pytest.raises(errors.UserErrorException, match="create_new_version"):
        other.register(ws, "versions")
    second = other.register(ws, "versions", description="two", create_new_version=True)
    assert second.version == 2
    assert ws.datasets["versions"].version == 2
    found = ml.Dataset.get_by_name(ws, "versions", version=1)
    assert (found.version, found.description, found.tags) == (1, "one", {"label": "y"})
    same(found.to_pandas_dataframe(), table)
    same(ml.Dataset.get_by_name(ws, "versions").to_pandas_dataframe(), table[["age", "y"]])
    with pytest.raises(errors.UserErrorException):
        ml.Dataset.get_by_name(ws, "versions", version=7)


def test_the_same_data_set_is_one_version(ml: Any, ws: Any, url: str, backend: str) -> None:
    if backend == "azure":
        pytest.skip("the SDK writes the types of columns down in any order, which makes another definition")
    for _ in range(2):
        made = ml.Dataset.Tabular.from_delimited_files(f"{url}/bank.csv").register(ws, "same", create_new_version=True)
        assert made.version == 1


def test_a_data_frame_is_registered(ml: Any, ws: Any, table: pd.DataFrame) -> None:
    target = (ws.get_default_datastore(), "frames")
    made = ml.Dataset.Tabular.register_pandas_dataframe(table, target, "frame", show_progress=False)
    assert (made.name, made.version) == ("frame", 1)
    same(ws.datasets["frame"].to_pandas_dataframe(), table)
