from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbhelpers import connect, find_dataset, find_test_dataset, prepare_data
from nbhelpers.backend import Backend
from nbhelpers.errors import DataError, NbhelpersError, UserErrorException
from nbhelpers.preparation import check_values


@pytest.fixture
def ml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))
    return connect("local")


@pytest.fixture
def ws(ml: Backend) -> Any:
    return ml.Workspace.from_config()


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=200), "row": range(200)})
    frame["sold"] = np.where(np.arange(200) % 4 == 0, "yes", "no")
    frame.to_csv(tmp_path / "flat sales.csv", index=False)
    return tmp_path / "flat sales.csv"


def test_bundled_data_comes_with_its_own_test_set(ml: Backend, ws: Any) -> None:
    prepared = prepare_data(ml, ws, "bank-marketing-twin", label="y")
    assert (prepared.train.name, prepared.test.name) == ("bank-marketing-twin", "bank-marketing-twin-test")
    assert (prepared.train.row_count, prepared.test.row_count) == (32_950, 8_238)
    assert prepared.task == "classification"
    tags = {"label": "y", "task": "classification", "test_dataset": "bank-marketing-twin-test:1", "synthetic": "yes"}
    assert prepared.train.tags == tags
    assert "Synthetic" in prepared.train.description


def test_file_is_split_by_seed_into_disjoint_parts_with_equal_class_shares(ml: Backend, ws: Any, csv: Path) -> None:
    prepared = prepare_data(ml, ws, str(csv), label="sold", test_size=0.25, seed=3)
    train, test = prepared.train.to_pandas_dataframe(), prepared.test.to_pandas_dataframe()
    assert prepared.train.name == "flat-sales"
    assert sorted([*train["row"], *test["row"]]) == list(range(200))
    assert len(test) == 50
    assert train["sold"].value_counts(normalize=True)["yes"] == pytest.approx(0.25, abs=0.01)
    again = prepare_data(ml, ws, str(csv), label="sold", test_size=0.25, seed=3)
    assert (again.train.version, again.test.version) == (1, 1)
    other = prepare_data(ml, ws, str(csv), label="sold", test_size=0.25, seed=4)
    assert (other.train.version, other.test.version) == (2, 2)


@pytest.mark.parametrize(
    ("file", "name"),
    [("Häuser 2024.csv", "Hauser-2024"), ("über\u0308all.v2.csv", "uberall"), ("日本.csv", "data")],
)
def test_name_of_a_data_set_is_the_files_in_plain_letters(
    ml: Backend, ws: Any, tmp_path: Path, file: str, name: str
) -> None:
    flats().to_csv(tmp_path / file, index=False)
    assert prepare_data(ml, ws, str(tmp_path / file), label="sold").train.name == name


def test_part_of_a_registered_data_set_gets_a_name_of_its_own(ml: Backend, ws: Any, csv: Path) -> None:
    ml.Dataset.Tabular.from_delimited_files(str(csv)).register(ws, "sales")
    prepared = prepare_data(ml, ws, "sales", label="sold")
    assert prepared.train.name == "sales-train"
    assert ml.Dataset.get_by_name(ws, "sales").version == 1
    assert "synthetic" not in prepared.train.tags


def test_part_of_synthetic_data_is_synthetic(ml: Backend, ws: Any, csv: Path) -> None:
    ml.Dataset.Tabular.from_delimited_files(str(csv)).register(ws, "sales", tags={"synthetic": "yes"})
    assert prepare_data(ml, ws, "sales", label="sold").train.tags["synthetic"] == "yes"


def test_numeric_label_makes_a_regression(ml: Backend, ws: Any, csv: Path) -> None:
    assert prepare_data(ml, ws, str(csv), label="size").task == "regression"


def test_find_test_dataset_takes_the_one_of_the_runs_tag(ml: Backend, ws: Any, csv: Path) -> None:
    experiment = ml.Experiment(ws, "test-of")
    prepared = prepare_data(ml, ws, str(csv), label="sold")
    run = SimpleNamespace(id="run-1", tags=prepared.train.tags)
    assert find_test_dataset(ml, experiment, run).name == prepared.test.name
    with pytest.raises(UserErrorException, match=r"run-1 has no tag 'test_dataset'(.|\n)*set_tags"):
        find_test_dataset(ml, experiment, SimpleNamespace(id="run-1", tags={}))


def test_find_dataset_takes_the_experiments_latest_or_a_version(ml: Backend, ws: Any, csv: Path) -> None:
    experiment = ml.Experiment(ws, "flats")
    with pytest.raises(UserErrorException, match=r"02_data\.ipynb"):
        find_dataset(ml, experiment)
    prepare_data(ml, ws, str(csv), label="sold")
    prepare_data(ml, ws, str(csv), label="sold", seed=1)
    experiment.set_tags({"dataset": "flat-sales:1"})
    assert find_dataset(ml, experiment).version == 1
    assert find_dataset(ml, experiment, "flat-sales").version == 2
    assert find_dataset(ml, experiment, "flat-sales:2").version == 2
    with pytest.raises(UserErrorException, match="'one' in 'flat-sales:one'"):
        find_dataset(ml, experiment, "flat-sales:one")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"label": "sol"}, DataError, ["'sol'", "flat sales.csv", "'sold'"]),
        ({"label": ""}, DataError, ["''", "size, row, sold"]),
        ({"task": "clustering"}, UserErrorException, ["'clustering'", "'classification'"]),
        ({"test_size": 0}, UserErrorException, ["test_size=0", "0.2"]),
        ({"test_size": 1.5}, UserErrorException, ["test_size=1.5", "0.2"]),
        ({"dataset_name": "bank-marketing-twin"}, UserErrorException, ["flat sales.csv", "synthetic", "dataset_name"]),
        ({"dataset_name": "no name!"}, UserErrorException, ["no name!"]),
        ({"test_data": "nowhere.csv"}, DataError, ["nowhere.csv"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_mistake_is_named_and_nothing_is_registered(
    ml: Backend, ws: Any, csv: Path, arguments: dict[str, Any], error: type[Exception], said: list[str]
) -> None:
    with pytest.raises(error) as caught:
        prepare_data(ml, ws, str(csv), **{"label": "sold", **arguments})
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert not list(ws.datasets)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"task": "clustering"}, "'clustering'"),
        ({"test_size": 1.0}, "test_size=1.0"),
        ({"data": ""}, "is a folder"),
        ({"test_data": "sales"}, "The file 'sales' does not exist"),
        ({"iterations": 0}, "iterations=0"),
        ({"task": "regression", "primary_metric": "accuracy"}, "primary_metric='accuracy'"),
    ],
)
def test_values_are_refused_before_there_is_data(values: dict[str, Any], said: str) -> None:
    with pytest.raises(NbhelpersError, match=said):
        check_values(values)


def test_values_that_the_notebooks_take_are_not_refused(ml: Backend, ws: Any, csv: Path) -> None:
    ml.Dataset.Tabular.from_delimited_files(str(csv)).register(ws, "sales")
    check_values({})
    check_values({"data": "sales", "test_data": "bank-marketing-twin", "label": "nowhere"}, ws)
    check_values({"data": "https://host/x.csv", "test_data": "", "test_size": 0.5, "primary_metric": "r2_score"})
    check_values({"data": str(csv), "task": "auto", "primary_metric": "auto", "featurization": "auto"})


def test_test_set_without_a_training_column_is_refused_before_anything_is_registered(
    ml: Backend, ws: Any, csv: Path, tmp_path: Path
) -> None:
    pd.read_csv(csv).drop(columns="size").to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(DataError, match=r"'size' is not in test\.csv"):
        prepare_data(ml, ws, str(csv), str(tmp_path / "test.csv"), label="sold")
    assert not list(ws.datasets)


def flats(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"size": rng.normal(size=rows), "row": range(rows), "sold": ["yes", "no"] * (rows // 2)})


@pytest.mark.parametrize(
    ("change", "label", "said"),
    [
        ({"sold": "maybe"}, "sold", ["test set", "'maybe' in 60 rows", "never saw", "'no', 'yes'"]),
        ({"sold": None}, "sold", ["No row of the test set", "'sold'"]),
        ({"size": "big"}, "sold", ["test set", "'size': 'big' is not a number (60"]),
        ({"size": "big"}, "size", ["test set", "'big' in 60 rows, which is no number"]),
    ],
    ids=["class", "no label", "feature", "quantity"],
)
def test_what_would_end_the_test_is_refused_before_anything_is_trained(
    ml: Backend, ws: Any, csv: Path, tmp_path: Path, change: dict[str, Any], label: str, said: list[str]
) -> None:
    flats().assign(**change).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(DataError) as caught:
        prepare_data(ml, ws, str(csv), str(tmp_path / "test.csv"), label=label)
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert not list(ws.datasets)


def test_test_set_with_other_number_types_and_unlabelled_rows_is_taken(
    ml: Backend, ws: Any, csv: Path, tmp_path: Path
) -> None:
    test = flats().assign(size=1)
    test["row"] += 0.5
    test.loc[:20, "sold"] = None
    test.to_csv(tmp_path / "test.csv", index=False)
    assert prepare_data(ml, ws, str(csv), str(tmp_path / "test.csv"), label="sold").test.row_count == 60


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sold": "yes"}, "single value yes"),
        ({"sold": None}, "missing in every row"),
        ({"task": "regression"}, "task='classification'"),
        ({"sold": [f"k{row}" for row in range(60)]}, "'sold' has 60 different values in 60 rows"),
        ({"sold": pd.date_range("2024-01-01", periods=60), "task": "regression"}, "'sold' holds points in time"),
        ({"sold": [0.5, 1.5] * 5 + [None] * 50, "task": "regression"}, "There are 8 rows with a label"),
    ],
    ids=["one class", "no labels", "text as a quantity", "names", "dates as a quantity", "few rows"],
)
def test_label_that_cannot_be_learned_is_refused_before_anything_is_registered(
    ml: Backend, ws: Any, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    task = change.pop("task", "auto")
    flats().assign(**change).to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(DataError) as caught:
        prepare_data(ml, ws, str(tmp_path / "train.csv"), label="sold", task=task)
    assert said in str(caught.value)
    assert not list(ws.datasets)
