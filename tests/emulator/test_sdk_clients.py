"""Sign-in, compute targets and storage, as the clients of the SDK ask for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azureml.core", reason="needs the azure environment: make install-azure")
from nbhelpers.emulator.launch import running
from nbhelpers.local import AmlCompute, ComputeTarget, Workspace
from nbhelpers.local.store import open_store

#: Runs a script that assigns `result`; gives it, and what was printed.
Script = Callable[[str], tuple[Any, str]]

BEGIN = """
import json, os, time
from pathlib import Path
from azureml.core import Dataset, Workspace
ws = Workspace.from_config()
store = ws.get_default_datastore()
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    folder = tmp_path_factory.mktemp("clients")
    with running(Workspace(open_store(folder / "home"))) as emulator:

        def run(code: str) -> tuple[Any, str]:
            path = folder / "script.py"
            path.write_text(f"{BEGIN}{code}\nprint()\nprint(json.dumps(result))")
            command = [sys.executable, "-W", "ignore", str(path)]
            environment, home = emulator.environment, emulator.environment["HOME"]
            done = subprocess.run(
                command, env=environment, cwd=home, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stderr
            printed, _, result = done.stdout.rstrip("\n").rpartition("\n")
            return json.loads(result), printed

        yield run


def test_creating_a_target_prints_what_a_local_one_prints(script: Script, tmp_path: Path) -> None:
    code = """
config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
target = ComputeTarget.create(ws, "cpu", config)
target.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=10)
"""
    sizes = "\nresult = [target.get_status().serialize()['scaleSettings'], target.get_status().current_node_count]"
    result, printed = script(f"from azureml.core.compute import AmlCompute, ComputeTarget{code}{sizes}")

    with redirect_stdout(StringIO()) as local:
        names = {"ws": Workspace(open_store(tmp_path / "home")), "AmlCompute": AmlCompute}
        exec(code, names | {"ComputeTarget": ComputeTarget})  # noqa: S102 - the same lines on the local workspace
    assert printed.rstrip() == local.getvalue().rstrip()
    assert result == [{"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT1800S"}, 4]


def test_a_target_is_updated_and_deleted(script: Script) -> None:
    result, _ = script("""
from azureml.core.compute import AmlCompute, ComputeTarget
target = ComputeTarget.create(ws, "other", AmlCompute.provisioning_configuration(max_nodes=2))
target.update(max_nodes=5)
result = [ws.compute_targets["other"].scale_settings.maximum_node_count]
target.delete()
result += ["other" in ws.compute_targets]
try:
    ComputeTarget.create(ws, "2bad", AmlCompute.provisioning_configuration(max_nodes=2))
except Exception as error:
    result += [str(error)]
""")

    assert result[:2] == [5, False]
    assert "Use 2 to 24 letters" in result[2]


def test_a_wrong_secret_is_named(script: Script) -> None:
    result, _ = script("""
from azureml.core.authentication import ServicePrincipalAuthentication
names = [os.environ[f"AZUREML_SERVICE_PRINCIPAL_{name}"] for name in ("TENANT_ID", "ID")]
try:
    ServicePrincipalAuthentication(*names, "wrong").get_authentication_header()
except Exception as error:
    result = [type(error).__name__, str(error)]
""")

    assert result[0] == "AuthenticationError"
    assert "AADSTS7000215: Invalid client secret provided." in result[1]


def test_the_storage_client_writes_reads_and_lists(script: Script) -> None:
    result, _ = script("""
from azure.storage.blob import BlobClient
url = f"https://{store.account_name}.blob.{store.endpoint}"
sizes = dict(max_single_put_size=10**5, max_block_size=10**6, max_single_get_size=10**5, max_chunk_get_size=10**6)
blob = BlobClient(url, store.container_name, "big 1/ü&%.bin", credential=store.sas_token, **sizes)
content = os.urandom(3_500_000)
blob.upload_blob(content, max_concurrency=3, validate_content=True)
result = [blob.download_blob(max_concurrency=2).readall() == content]
container = store.blob_service.get_container_client(store.container_name)
empty = container.get_blob_client("p/empty")
empty.upload_blob(b"")
result += [empty.download_blob().readall().decode(), empty.exists()]
try:
    empty.upload_blob(b"again")
except Exception as error:
    result += [type(error).__name__]
for number in range(5):
    container.upload_blob(f"p/{number}/x", b"x")
result += [[blob.name for blob in container.list_blobs("p/", results_per_page=2)]]
result += [[blob.name for blob in container.walk_blobs("p/", results_per_page=2)]]
container.delete_blob("p/0/x")
result += [container.get_blob_client("p/0/x").exists()]
""")

    names = [f"p/{number}/x" for number in range(5)]
    folders = [f"p/{number}/" for number in range(5)]
    assert result == [True, "", True, "ResourceExistsError", [*names, "p/empty"], [*folders, "p/empty"], False]


def test_the_native_reader_copies_and_reads_files(script: Script) -> None:
    result, _ = script("""
from azureml.data.datapath import DataPath
folder = Path("native")
folder.mkdir()
for number in range(3):
    folder.joinpath(f"{number}.csv").write_text("a,b\\n" + "1,ü\\n" * 200_000)
Dataset.File.upload_directory(str(folder), DataPath(store, "native"), show_progress=False)
table = Dataset.Tabular.from_delimited_files((store, "native/*.csv")).to_pandas_dataframe()
result = [list(table.shape), int(table["a"].sum()), table["b"].unique().tolist()]
files = Dataset.File.from_files((store, "native/**"))
result += [files.to_path(), [Path(path).read_bytes() == Path("native", Path(path).name).read_bytes()
                             for path in files.download("copied")]]
""")

    assert result == [[600_000, 2], 600_000, ["ü"], ["/0.csv", "/1.csv", "/2.csv"], [True] * 3]


def test_data_that_cannot_be_reached_is_refused_at_once(script: Script) -> None:
    result, _ = script("""
result = []
for path in ("https://nowhere.invalid/a.csv", "http://nowhere.invalid/a.csv", (store, "nothing/here.csv")):
    begin = time.monotonic()
    try:
        Dataset.Tabular.from_delimited_files(path)
    except Exception as error:
        result.append([type(error).__name__, "not found" in str(error), time.monotonic() - begin < 10])
""")

    assert result == [["DatasetValidationError", True, True]] * 3
