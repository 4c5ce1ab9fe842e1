from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from nbhelpers.bundled import bundled_data
from nbhelpers.emulator.data import tabular
from nbhelpers.emulator.definitions import save
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import DATA_CONTAINER, RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE
from nbhelpers.emulator.registrations import get_registered
from nbhelpers.emulator.seeding import provide
from nbhelpers.emulator.state import State
from nbhelpers.errors import UserErrorException
from nbhelpers.local import Dataset, Workspace
from nbhelpers.local.store import open_store

SDK = find_spec("azureml") is not None
needs_sdk = pytest.mark.skipif(not SDK, reason="needs the azure environment: make install-azure")

#: Every type that a column can have; whole numbers with a missing one become float64, as everywhere.
FRAME = pd.DataFrame(
    {
        "whole": [1, -2, 2**60],
        "broken": [1.5, None, -0.1],
        "text": ["a", None, "ü, '\n"],
        "truth": [True, False, True],
        "some": [True, None, False],
        "time": pd.to_datetime(["2020-02-29", None, "1999-12-31 23:59:59.123456"], format="mixed"),
        "gaps": pd.array([1, None, 3], dtype="Int64"),
    }
)
VIEWS = {
    "rows": "ds.skip(32900).take(7).keep_columns(['y', 'age'])",
    "filter": "ds.filter((ds['age'] > 60) & (ds['job'] == 'retired'))",
    "part": "ds.random_split(0.9, seed=7)[1]",
}


@pytest.fixture(scope="module")
def cloud_at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    pytest.importorskip("cryptography", reason="needs the azure environment: make install-azure")
    from nbhelpers.emulator.launch import running

    with running(Workspace(open_store(tmp_path_factory.mktemp("home")))) as emulator:
        yield emulator.cloud


def sdk(cloud: State, code: str, folder: Path) -> dict[str, Any]:
    """Run code where the SDK takes the emulator for Azure; gives the `answer` that it fills."""
    head = f"""
        import json
        import pandas as pd
        from azureml.core import Dataset, Environment, Workspace
        from azureml.exceptions import UserErrorException
        ws = Workspace.from_config({cloud.client_environment["HOME"]!r})
        store = ws.get_default_datastore()
        answer = {{}}

        def refusal(call):
            try:
                call()
            except UserErrorException as error:
                return error.message
    """
    tail = "\nopen('answer.json', 'w').write(json.dumps(answer))"
    (folder / "code.py").write_text(textwrap.dedent(head) + textwrap.dedent(code) + tail)
    done = subprocess.run(
        [sys.executable, "code.py"],
        cwd=folder,
        env=cloud.client_environment,
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads((folder / "answer.json").read_text())
    return answer


def definition(path: str, kind: str = "pattern", read: str = "read_delimited: {delimiter: ','}") -> str:
    rows = f'type: mltable\npaths:\n  - {kind}: "{path}"\ntransformations:\n  - {read}\n'
    return json.dumps({"blocks": [], "meta": {"RsDataflow": rows}})


def in_store(blob: str) -> str:
    workspace = f"subscriptions/{SUBSCRIPTION}/resourcegroups/{RESOURCE_GROUP}/workspaces/{WORKSPACE}"
    return definition(f"azureml://{workspace}/datastores/workspaceblobstore/paths/{blob}")


@needs_sdk
def test_the_data_set_of_a_new_workspace_is_the_table_that_the_local_backend_reads(cloud_at_work: State) -> None:
    saved = get_registered(cloud_at_work, "bank-marketing-dataset")["latest"]["savedDatasetId"]
    table = tabular(cloud_at_work, saved)

    local = Dataset.Tabular.from_parquet_files(bundled_data("bank-marketing-twin").train)
    assert table._definition["table"] == local._definition["table"]
    assert table.columns == local.columns


@needs_sdk
def test_types_and_missing_values_survive(cloud_at_work: State, tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "frame.parquet")
    code = """
        frame = pd.read_parquet("frame.parquet")
        made = Dataset.Tabular.register_pandas_dataframe(frame, (store, "some folder/ä"), "types")
        answer["id"] = made.id
    """
    found = tabular(cloud_at_work, sdk(cloud_at_work, code, tmp_path)["id"]).to_pandas_dataframe()

    assert_frame_equal(found, Dataset.Tabular.from_pandas_dataframe(FRAME).to_pandas_dataframe())


@needs_sdk
def test_steps_on_a_data_set_are_done_as_the_client_does_them(cloud_at_work: State, tmp_path: Path) -> None:
    code = f"""
        ds = Dataset.get_by_name(ws, "bank-marketing-dataset")
        for name, view in {VIEWS}.items():
            view = eval(view)
            view.to_pandas_dataframe().to_parquet(f"{{name}}.parquet")
            answer[name] = view._ensure_saved(ws)
    """
    ids = sdk(cloud_at_work, code, tmp_path)

    lengths = {}
    for name, id in ids.items():
        found = tabular(cloud_at_work, id).to_pandas_dataframe()
        assert_frame_equal(found, pd.read_parquet(tmp_path / f"{name}.parquet"), check_dtype=False)
        lengths[name] = len(found)
    assert lengths["rows"] == 7
    assert 3000 < lengths["part"] < 3600


@needs_sdk
def test_rows_are_read_again_only_where_their_blob_has_changed(cloud_at_work: State) -> None:
    put = cloud_at_work.blobs.put
    put(DATA_CONTAINER, "a folder/changing.csv", b"a,b\n1,2\n")
    id = save(cloud_at_work, in_store("a%20folder/*.csv"), "tabular")["id"]
    first = tabular(cloud_at_work, id)
    environment, cloud_at_work.client_environment = cloud_at_work.client_environment, {}
    try:
        assert tabular(cloud_at_work, id)._definition == first._definition
    finally:
        cloud_at_work.client_environment = environment

    put(DATA_CONTAINER, "a folder/changing.csv", b"a,b\n1,2\n3,4\n")
    assert [len(each.to_pandas_dataframe()) for each in (first, tabular(cloud_at_work, id))] == [1, 2]


@needs_sdk
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (in_store("missing.csv"), "paths/missing.csv"),
        (definition("https://nowhere.example/bank.csv?sig=secret", "file"), "https://nowhere.example/bank.csv"),
        (definition("missing.csv", read="no_such_step: 1"), "cannot be read"),
    ],
    ids=["blob", "URL", "definition"],
)
def test_what_cannot_be_read_is_refused_with_its_origin(cloud_at_work: State, text: str, said: str) -> None:
    id = save(cloud_at_work, text, "tabular")["id"]

    with pytest.raises(UserErrorException, match="cannot be read") as caught:
        tabular(cloud_at_work, id)
    assert said in caught.value.problem
    assert "secret" not in caught.value.problem
    assert id in caught.value.remedy


@needs_sdk
def test_a_data_set_without_rows_is_refused(cloud_at_work: State) -> None:
    cloud_at_work.blobs.put(DATA_CONTAINER, "empty.csv", b"a,b\n")
    id = save(cloud_at_work, in_store("empty.csv"), "tabular")["id"]

    with pytest.raises(UserErrorException, match="cannot be read"):
        tabular(cloud_at_work, id)


@needs_sdk
def test_the_sdk_registers_finds_changes_and_unregisters(cloud_at_work: State, tmp_path: Path) -> None:
    code = """
        for name in ("one", "two"):
            pd.DataFrame({"a": range(3), "b": list(name)}).to_csv(f"{name}.csv", index=False)
        Dataset.File.upload_directory(".", (store, "csv"), overwrite=True, pattern="*.csv")
        one, two = (Dataset.Tabular.from_delimited_files((store, f"csv/{name}.csv")) for name in ("one", "two"))
        first = one.register(ws, "numbers", description="first", tags={"label": "b"})
        answer["taken"] = refusal(lambda: two.register(ws, "numbers"))
        answer["identical"] = refusal(lambda: one.register(ws, "numbers"))
        answer["renamed"] = refusal(lambda: first.register(ws, "other"))
        second = two.register(ws, "numbers", create_new_version=True)
        again = two.register(ws, "numbers", create_new_version=True)
        answer["versions"] = [first.version, second.version, again.version]
        for version in (1, 2, "latest"):
            found = Dataset.get_by_name(ws, "numbers", version)
            answer[str(version)] = [found.version, found.description, found.to_pandas_dataframe()["b"].tolist()]
        answer["unknown"] = [
            refusal(lambda: Dataset.get_by_name(ws, "nothing")),
            refusal(lambda: Dataset.get_by_name(ws, "numbers", 3)),
            refusal(lambda: Dataset.get_by_id(ws, "nothing")),
        ]
        by_id = [Dataset.get_by_id(ws, id) for id in (first.id, second._registration.registered_id)]
        answer["by id"] = [(by_id[0].name, by_id[0].version), by_id[1].id == second.id]
        first.add_tags({"a": "1"})
        first.remove_tags(["label"])
        first.update(description="")
        found = Dataset.get_by_name(ws, "numbers", 1)
        answer["changed"] = [found.tags, found.description]
        answer["keys"] = ["numbers" in ws.datasets, "nothing" in ws.datasets, "numbers" in list(ws.datasets.keys())]
        second.unregister_all_versions()
        answer["gone"] = ["numbers" in ws.datasets, len(Dataset.get_by_id(ws, first.id).to_pandas_dataframe())]
    """
    answer = sdk(cloud_at_work, code, tmp_path)

    assert "create_new_version=True" in answer["taken"]
    assert "get_by_name(workspace, 'numbers', 1)" in answer["identical"]
    assert "get_by_name(workspace, 'numbers', 1)" in answer["renamed"]
    assert answer["versions"] == [1, 2, 2]
    assert answer["1"] == [1, "first", list("one")]
    assert answer["2"] == answer["latest"] == [2, None, list("two")]
    assert all("Cannot find" in text for text in answer["unknown"])
    assert answer["by id"] == [["numbers", 1], True]
    assert answer["changed"] == [{"a": "1"}, ""]
    assert answer["keys"] == [True, False, True]
    assert answer["gone"] == [False, 3]


@needs_sdk
def test_the_sdk_uploads_a_folder_and_then_what_has_changed(cloud_at_work: State, tmp_path: Path) -> None:
    code = """
        from pathlib import Path
        from azureml._restclient.snapshots_client import SnapshotsClient

        folder = Path("project")
        (folder / "sub").mkdir(parents=True)
        answer["ids"] = []

        def snapshot():
            answer["ids"].append(SnapshotsClient(ws.service_context).create_snapshot(str(folder)))

        snapshot()
        (folder / "train.py").write_text("first")
        (folder / "sub" / "ä b.py").write_text("other")
        snapshot()
        snapshot()
        (folder / "train.py").write_text("second")
        snapshot()
        for file in Path.home().rglob("latestsnapshot"):
            file.unlink()
        snapshot()
        answer["environment"] = Environment.get(ws, "AzureML-AutoML", label="prod").docker.base_dockerfile
        answer["environments"] = list(Environment.list(ws))
    """
    answer = sdk(cloud_at_work, code, tmp_path)

    first, filled, same, changed, without_cache = answer["ids"]
    assert len({first, filled, changed}) == 3
    assert (same, without_cache) == (filled, changed)
    uploaded = [blob.path.read_text() for blob in cloud_at_work.blobs.list("azureml", "snapshots/")]
    assert sorted(uploaded) == ["first", "other", "second"]
    assert answer["environment"]
    assert answer["environments"] == ["AzureML-AutoML"]


def test_an_unknown_definition_is_refused(cloud: State) -> None:
    with pytest.raises(CloudError, match="'nowhere'"):
        tabular(cloud, "nowhere")


def test_a_data_set_of_files_is_refused(cloud: State) -> None:
    with pytest.raises(UserErrorException, match="one of files"):
        tabular(cloud, save(cloud, in_store("a"), "file")["id"])


def test_nothing_is_read_while_the_emulator_does_not_run(cloud: State) -> None:
    provide(cloud)
    with pytest.raises(UserErrorException, match=r"bank-marketing-dataset, version 1 cannot be read.*does not run"):
        tabular(cloud, get_registered(cloud, "bank-marketing-dataset")["latest"]["savedDatasetId"])


@pytest.mark.skipif(SDK, reason="the SDK is installed")
def test_that_the_sdk_is_missing_is_said(cloud: State) -> None:
    cloud.client_environment = {"HOME": "/"}
    with pytest.raises(UserErrorException, match="lacks the Azure ML SDK") as caught:
        tabular(cloud, save(cloud, in_store("a"), "tabular")["id"])
    assert "make install-azure" in caught.value.remedy
