from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nbhelpers.errors import DataError, UserErrorException
from nbhelpers.local.dataset import Dataset, TabularDataset
from nbhelpers.local.store import open_store
from nbhelpers.local.workspace import Workspace


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.from_config()


def frame(rows: int = 100) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n": range(rows),
            "x": np.where(np.arange(rows) % 10 == 0, np.nan, np.arange(rows) / 4),
            "s": np.array(["a", "b", "c"])[np.arange(rows) % 3],
            "t": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="D"),
            "b": np.arange(rows) % 2 == 0,
        }
    )


def dataset(rows: int = 100) -> TabularDataset:
    return Dataset.Tabular.from_pandas_dataframe(frame(rows))


def numbers(data: TabularDataset) -> list[int]:
    return data.to_pandas_dataframe()["n"].tolist()


# --- steps ----------------------------------------------------------------------------------------------------------


def test_take_and_skip_keep_the_order_of_the_file_across_row_groups():
    rows = 140_000  # several row groups
    data = Dataset.Tabular.from_pandas_dataframe(pd.DataFrame({"n": range(rows)}))
    assert numbers(data.take(3)) == [0, 1, 2]
    assert numbers(data.skip(70_000).take(2)) == [70_000, 70_001]
    assert numbers(data.take(70_000).skip(69_998)) == [69_998, 69_999]
    assert numbers(data.skip(rows - 1)) == [rows - 1]
    assert numbers(data.skip(rows)) == []
    assert numbers(data.take(0)) == []
    assert [data.take(5).row_count, data.skip(5).row_count, data.skip(rows + 1).row_count] == [5, rows - 5, 0]


def test_steps_leave_the_data_set_as_it_was():
    data = dataset()
    data.take(2).filter(data["n"] > 0).keep_columns(["n"])
    assert len(data.to_pandas_dataframe()) == 100
    assert data.columns == ["n", "x", "s", "t", "b"]


def test_random_split_is_complete_disjoint_seeded_and_near_the_share():
    first, second = dataset(2_000).random_split(0.8, seed=3)
    assert sorted(numbers(first) + numbers(second)) == list(range(2_000))
    assert 1_500 < first.row_count < 1_700
    assert numbers(dataset(2_000).random_split(0.8, seed=3)[0]) == numbers(first)
    assert numbers(dataset(2_000).random_split(0.8, seed=4)[0]) != numbers(first)


def test_a_split_without_a_seed_is_complete_too_and_stays_the_same():
    first, second = dataset().random_split(0.5)
    assert sorted(numbers(first) + numbers(second)) == list(range(100))
    assert numbers(first) == numbers(first)


def test_take_sample():
    data = dataset(2_000)
    assert 900 < data.take_sample(0.5, seed=1).row_count < 1_100
    assert data.take_sample(0.0, seed=1).row_count == 0
    assert data.take_sample(1.0, seed=1).row_count == 2_000
    # A sample of a part is another draw than the part.
    first, _ = data.random_split(0.5, seed=1)
    assert 400 < first.take_sample(0.5, seed=1).row_count < 600


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (lambda d: d["n"] > 97, lambda f: f.n > 97),
        (lambda d: d["x"] >= 20, lambda f: f.x >= 20),
        (lambda d: d["x"] != 5.25, lambda f: f.x.notna() & (f.x != 5.25)),
        (lambda d: ~(d["x"] < 5), lambda f: f.x >= 5),
        (lambda d: (d["s"] == "a") & (d["n"] < 10), lambda f: (f.s == "a") & (f.n < 10)),
        (lambda d: (d["s"] == "a") | ~(d["n"] <= 90), lambda f: (f.s == "a") | (f.n > 90)),
        (lambda d: d["b"] == True, lambda f: f.b),  # noqa: E712 (the SDK's way to write it)
        (lambda d: d["t"] > pd.Timestamp("2024-04-01"), lambda f: f.t > "2024-04-01"),
        (lambda d: d["t"] <= "2024-01-02", lambda f: f.t <= "2024-01-02"),
        (lambda d: d["n"] == np.int64(7), lambda f: f.n == 7),
    ],
)
def test_filter_keeps_the_rows_that_pandas_keeps(test, expected):
    data = dataset()
    kept = data.filter(test(data))
    assert numbers(kept) == frame()[expected(frame())]["n"].tolist()
    assert kept.row_count == len(numbers(kept))


def test_columns_are_kept_in_the_order_given_and_dropped():
    data = dataset()
    assert data.keep_columns(["s", "n"]).to_pandas_dataframe().columns.tolist() == ["s", "n"]
    assert data.drop_columns("x").columns == ["n", "s", "t", "b"]
    assert data.filter(data["s"] == "b").keep_columns("n").take(2).to_pandas_dataframe().to_dict("list") == {
        "n": [1, 4]
    }


MISTAKES = {
    "unknown column": (lambda d: d.keep_columns(["nn"]), "no column 'nn'"),
    "unknown column to drop": (lambda d: d.drop_columns(["y"]), "no column 'y'"),
    "unknown column to test": (lambda d: d["q"] > 1, "no column 'q'"),
    "dropped column to test": (lambda d: d.drop_columns("n").filter(d["n"] > 1), "no column 'n'"),
    "no column left": (lambda d: d.drop_columns(d.columns), "No column would be left"),
    "several columns in brackets": (lambda d: d[["n", "x"]], "does not name one column"),
    "text against a number": (lambda d: d["s"] > 1, "'s' holds string; it cannot be compared with 1"),
    "number against text": (lambda d: d["n"] == "1", "'n' holds int64"),
    "missing value": (lambda d: d["x"] == None, "cannot be compared with None"),  # noqa: E711
    "not a number": (lambda d: d["x"] == float("nan"), "cannot be compared with nan"),
    "huge number": (lambda d: d["n"] == 2**70, "cannot be compared"),
    "no date": (lambda d: d["t"] > "soon", "cannot be compared with 'soon'"),
    "and": (lambda d: (d["n"] > 1) and (d["n"] < 3), "neither true nor false"),
    "chained": (lambda d: 1 < d["n"] < 3, "neither true nor false"),
    "no brackets": (lambda d: (d["n"] > 1) & d["b"], "is no test of rows"),
    "bare column": (lambda d: d.filter(d["b"]), "is no test of rows"),
    "pandas mask": (lambda d: d.filter(True), "True, which is no test of rows"),
    "negative take": (lambda d: d.take(-1), "-1 is not a number of rows"),
    "take a share": (lambda d: d.take(0.5), "0.5 is not a number of rows"),
    "share above one": (lambda d: d.random_split(80), "percentage=80 is not a share"),
    "share of text": (lambda d: d.take_sample("0.5"), "probability='0.5' is not a share"),
    "seed": (lambda d: d.take_sample(0.5, seed=-1), "seed=-1 is not a whole number"),
    "on_error": (lambda d: d.to_pandas_dataframe(on_error="x"), "on_error='x' is unknown"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_with_a_remedy(mistake):
    act, message = mistake
    with pytest.raises(UserErrorException, match=message) as caught:
        act(dataset())
    assert caught.value.remedy


def test_the_nearest_column_is_named():
    with pytest.raises(UserErrorException, match="Name 'price' instead"):
        Dataset.Tabular.from_pandas_dataframe(pd.DataFrame({"price": [1]})).keep_columns("prise")


# --- content --------------------------------------------------------------------------------------------------------


def test_materialize_stores_what_the_steps_give_and_can_be_opened_again(workspace):
    data = dataset()
    part = data.filter(data["n"] >= 50).keep_columns(["n", "s"])
    path = part.materialize()
    assert path == workspace.store.data_folder / f"{part.digest}.parquet"
    again = Dataset.from_digest(workspace, part.digest)
    pd.testing.assert_frame_equal(again.to_pandas_dataframe(), part.to_pandas_dataframe())
    assert part.digest == Dataset.Tabular.from_pandas_dataframe(frame().query("n >= 50")[["n", "s"]]).digest
    assert data.take(100).digest == data.digest


def test_a_step_that_leaves_no_rows_cannot_be_materialized():
    data = dataset()
    with pytest.raises(DataError, match="has no rows"):
        data.filter(data["n"] < 0).materialize()


def test_a_digest_that_is_not_stored_is_refused(workspace):
    with pytest.raises(DataError, match="no longer in the data folder"):
        Dataset.from_digest(workspace, "0" * 64)


# --- registration ---------------------------------------------------------------------------------------------------


def test_a_registered_data_set_is_found_by_name_version_and_id(workspace):
    data = dataset().keep_columns(["n", "s"]).take(10)
    one = data.register(workspace, "Bank data", description="text", tags={"label": "s"})
    two = dataset().register(workspace, "Bank data", create_new_version=True)

    assert (one.name, one.version, one.description, one.tags) == ("Bank data", 1, "text", {"label": "s"})
    assert two.version == 2
    assert Dataset.get_by_name(workspace, "Bank data").id == two.id
    found = Dataset.get_by_name(workspace, "Bank data", version="1")
    assert found.id == one.id == Dataset.get_by_id(workspace, one.id).id
    pd.testing.assert_frame_equal(found.to_pandas_dataframe(), frame()[["n", "s"]].head(10))
    assert list(Dataset.get_all(workspace)) == list(workspace.datasets) == ["Bank data"]
    assert workspace.datasets["Bank data"].version == 2
    assert data.id is None
    assert data.name is None
    assert data.tags == {}


def test_an_identical_data_set_is_not_registered_twice(workspace, capsys):
    one = dataset().register(workspace, "d", tags={"a": "1"})
    same = dataset().register(workspace, "d", tags={"a": "2"}, create_new_version=True)
    assert same.id == one.id
    assert "An identical data set is already registered: d, version 1." in capsys.readouterr().out
    assert one.tags == {"a": "2"}


def test_a_version_comes_again_if_another_one_is_the_latest(workspace):
    dataset().register(workspace, "d")
    dataset().take(3).register(workspace, "d", create_new_version=True)
    assert dataset().register(workspace, "d", create_new_version=True).version == 3


def test_a_name_that_is_taken_needs_create_new_version(workspace):
    dataset().register(workspace, "d")
    with pytest.raises(UserErrorException, match="create_new_version=True"):
        dataset().take(3).register(workspace, "d")
    assert Dataset.get_by_name(workspace, "d").row_count == 100


def test_versions_registered_at_once_all_count(workspace):
    def register(rows: int) -> int | None:
        return dataset().take(rows).register(workspace, "d", create_new_version=True).version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(register, range(1, 9))) == list(range(1, 9))


def test_registering_in_another_workspace_folder_takes_the_table_along(tmp_path):
    data = dataset()
    other = Workspace(open_store(tmp_path / "other"))
    registered = data.register(other, "d")
    data.materialize().unlink()
    assert registered.row_count == 100


def test_tags_are_added(workspace):
    data = dataset().register(workspace, "d", tags={"a": "1"})
    assert data.add_tags({"b": "2"}).tags == {"a": "1", "b": "2"}
    with pytest.raises(UserErrorException, match="not registered"):
        dataset().add_tags({"b": "2"})


def test_repr_is_the_sdks_without_paths(workspace, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    data = Dataset.Tabular.from_delimited_files(tmp_path / "t.csv").take(1).register(workspace, "d")
    title, _, text = repr(data).partition("\n")
    shown = json.loads(text)
    assert title == "TabularDataset"
    assert shown["source"] == ["t.csv"]
    assert shown["definition"][-1] == "Take"
    assert (shown["registration"]["id"], shown["registration"]["version"]) == (data.id, 1)
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("", {}, "'' cannot be the name"),
        (" d", {}, "cannot be the name"),
        ("d ", {}, "cannot be the name"),
        ("a:1", {}, "'a:1' cannot be the name"),
        ("x" * 256, {}, "cannot be the name"),
        (7, {}, "7 cannot be the name"),
        ("d", {"tags": ["a"]}, "is not a dictionary of texts"),
        ("d", {"tags": {"a": 1}}, "is not a dictionary of texts"),
        ("d", {"description": 3}, "description=3 is not a text"),
    ],
)
def test_what_cannot_be_registered_is_refused(workspace, name, options, message):
    with pytest.raises(UserErrorException, match=message):
        dataset().register(workspace, name, **options)
    assert list(workspace.datasets) == []


def test_the_workspace_must_be_one():
    with pytest.raises(UserErrorException, match="is not a local workspace"):
        dataset().register("ws", "d")


def test_what_is_not_registered_names_what_is(workspace):
    dataset().register(workspace, "bank-marketing")
    with pytest.raises(UserErrorException, match=r"there are: bank-marketing\.\n.*Name 'bank-marketing' instead"):
        Dataset.get_by_name(workspace, "bank-marketting")
    with pytest.raises(UserErrorException, match="no version 7; it has: 1"):
        Dataset.get_by_name(workspace, "bank-marketing", version=7)
    with pytest.raises(UserErrorException, match="No data set with the id 'x'"):
        Dataset.get_by_id(workspace, "x")
    with pytest.raises(KeyError):
        Dataset.get_all(workspace)["other"]


def test_a_frame_is_registered_in_new_versions(workspace, capsys):
    datastore = workspace.get_default_datastore()
    register = Dataset.Tabular.register_pandas_dataframe
    one = register(frame(), datastore, "d", description="text", tags={"a": "b"})
    two = register(frame(50), (datastore, "folder"), "d", show_progress=False)
    assert (one.version, two.version, one.description, one.tags) == (1, 2, "text", {"a": "b"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Validating arguments."
    assert lines[-1] == "Successfully created and registered a new dataset."
    with pytest.raises(UserErrorException, match="is not a datastore"):
        register(frame(), "folder", "d")
