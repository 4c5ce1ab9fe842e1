from __future__ import annotations

import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nbhelpers.emulator.faults import Fault
from nbhelpers.emulator.names import API, ARM, BLOB, SCOPE, WORKSPACE
from nbhelpers.errors import ConflictError, StoreError
from nbhelpers.local import Workspace
from nbhelpers.local.cleaning import check_idle, remove_workspace
from nbhelpers.local.store import open_store

pytest.importorskip("cryptography", reason="needs the azure environment: make install-azure")
from nbhelpers.emulator.launch import Emulator, running
from nbhelpers.emulator.tokens import make_token

METADATA = f"{ARM}/metadata/endpoints"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(open_store(tmp_path / "home"))


@pytest.fixture
def emulator(workspace: Workspace) -> Iterator[Emulator]:
    with running(workspace) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[httpx.Client]:
    with client_of(emulator) as client:
        yield client


def client_of(emulator: Emulator) -> httpx.Client:
    bundle = emulator.environment["REQUESTS_CA_BUNDLE"]
    return httpx.Client(proxy=emulator.proxy, verify=ssl.create_default_context(cafile=bundle), timeout=60)


def log_of(workspace: Workspace) -> list[dict[str, object]]:
    return [json.loads(line) for line in (workspace.store.home / "emulator" / "log").read_text().splitlines()]


def test_https_and_http_to_any_host_are_answered_by_the_emulated_cloud(client: httpx.Client) -> None:
    assert client.get(METADATA).status_code == 200
    assert client.get(f"{BLOB}/container/none").headers["content-type"].startswith("application/xml")
    for url in ("https://nothing.invalid/x.csv", "http://nothing.invalid/x.csv"):
        answer = client.get(url)
        assert answer.status_code == 404
        assert url in answer.text


def test_the_workspace_is_given_to_who_has_its_token_alone(emulator: Emulator, client: httpx.Client) -> None:
    assert client.get(f"{ARM}{SCOPE}").status_code == 401
    headers = {"Authorization": f"Bearer {make_token(emulator.cloud, ARM)}"}
    assert client.get(f"{ARM}{SCOPE}", headers=headers).json()["name"] == WORKSPACE


def test_it_has_a_compute_target_and_a_data_set(emulator: Emulator, client: httpx.Client) -> None:
    assert list(emulator.cloud.workspace.compute_targets) == ["automl-compute"]
    headers = {"Authorization": f"Bearer {make_token(emulator.cloud, ARM)}"}
    url = f"{API}/dataset/v1.0{SCOPE}/datasets/query/name=bank-marketing-dataset"
    assert client.get(url, headers=headers).json()["name"] == "bank-marketing-dataset"


def test_who_lacks_the_secret_of_the_proxy_is_not_served(emulator: Emulator) -> None:
    port = httpx.URL(emulator.proxy).port
    for secret in ("", "emulator:wrong@"):
        with httpx.Client(proxy=f"http://{secret}127.0.0.1:{port}") as client:
            assert client.get("http://data.example.org/").status_code == 407
            with pytest.raises(httpx.ProxyError, match="407"):
                client.get(METADATA)


def test_programs_find_it_by_their_environment_and_nothing_of_the_users_azure(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = ["AZURE_CLIENT_SECRET", "AZUREML_RUN_TOKEN", "MSI_ENDPOINT", "IDENTITY_HEADER", "ARM_X", "all_proxy"]
    for name in [*foreign, "HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "HOME"]:
        monkeypatch.setenv(name, "/mine")
    monkeypatch.setenv("MINE", "kept")
    monkeypatch.setenv("IPYTHONDIR", "/my/ipython")
    with running(workspace) as emulator:
        found = emulator.environment
        assert not found.keys() & set(foreign)
        assert "/mine" not in found.values()
        assert (found["MINE"], found["IPYTHONDIR"]) == ("kept", "/my/ipython")
        assert found["XDG_CONFIG_HOME"] == "/mine/.config", "the user's settings that are none of Azure's"
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            assert found[name] == emulator.proxy
        assert "127.0.0.1" in found["NO_PROXY"].split(",")
        assert found["NBHELPERS_HOME"] == str(workspace.store.home)
        assert found["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
        assert found["AZUREML_SERVICE_PRINCIPAL_PASSWORD"] == emulator.cloud.client_secret
        assert emulator.cloud.client_environment == found
        assert json.loads((Path(found["HOME"]) / ".azureml" / "config.json").read_text())["workspace_name"] == WORKSPACE
    assert os.environ["HTTPS_PROXY"] == "/mine"


def test_faults_may_be_changed_while_it_runs(workspace: Workspace) -> None:
    with (
        running(workspace, [Fault("GET .*/metadata/", status=429, times=1)]) as emulator,
        client_of(emulator) as client,
    ):
        answer = client.get(METADATA)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert client.get(METADATA).status_code == 200

        emulator.cloud.faults[:] = [Fault("/metadata/", drop=True)]
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(METADATA)
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("http://management.azure.com/metadata/endpoints")

        emulator.cloud.faults[:] = [Fault("/metadata/", delay=0.5)]
        began = time.monotonic()
        assert client.get(METADATA).status_code == 200
        assert time.monotonic() - began >= 0.5
    assert {line["level"] for line in log_of(workspace)} == {"info"}
    assert [line["status"] for line in log_of(workspace)] == [429, 200, None, None, 200]


def test_the_log_has_a_line_for_each_request_and_no_secret(
    workspace: Workspace, emulator: Emulator, client: httpx.Client
) -> None:
    token = make_token(emulator.cloud, ARM)
    client.get(f"{ARM}{SCOPE}?sig=secret", headers={"Authorization": f"Bearer {token}"})
    client.post(f"{ARM}/x", json={"client_secret": emulator.cloud.client_secret})
    lines = log_of(workspace)
    assert [(line["method"], line["url"], line["status"]) for line in lines] == [
        ("GET", f"{ARM}{SCOPE}", 200),
        ("POST", f"{ARM}/x", 401),
    ]
    path = workspace.store.home / "emulator" / "log"
    assert path.stat().st_mode & 0o777 == 0o600
    for secret in (token, "secret", emulator.cloud.client_secret):
        assert secret not in path.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_listens_on_loopback_alone(workspace: Workspace) -> None:
    before = listening()
    with running(workspace):
        assert len(new := listening() - before) == 1
    assert {address.partition(":")[0] for address in new} == {"0100007F"}
    assert listening() == before


def listening() -> set[str]:
    """The addresses, in hexadecimal form, on which this process listens."""
    mine = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    lines = [line for kind in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{kind}").read_text().splitlines()[1:]]
    return {row[1] for row in map(str.split, lines) if row[3] == "0A" and f"socket:[{row[9]}]" in mine}


def test_a_workspace_has_one_emulator_at_a_time(workspace: Workspace, tmp_path: Path) -> None:
    with running(workspace):
        with pytest.raises(ConflictError, match="is used by an emulator already"), running(workspace):
            pass
        with running(Workspace(open_store(tmp_path / "other"))) as emulator, client_of(emulator) as client:
            assert client.get(METADATA).status_code == 200
    with running(workspace) as emulator, client_of(emulator) as client:
        assert client.get(METADATA).status_code == 200


def test_the_workspace_can_be_removed_when_it_has_ended_and_not_before(workspace: Workspace) -> None:
    home = workspace.store.home
    with running(workspace), pytest.raises(StoreError, match="is in use: an emulator is running"):
        check_idle(home)
    check_idle(home)
    remove_workspace(home)
    assert not home.exists()


def test_nothing_but_the_workspace_is_left_whatever_ends_it(workspace: Workspace) -> None:
    with pytest.raises(RuntimeError, match="stop"), running(workspace) as emulator:
        raise RuntimeError("stop")
    assert not Path(emulator.environment["HOME"]).parent.exists()
    assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]
    with pytest.raises(httpx.ConnectError), httpx.Client(proxy=emulator.proxy) as client:
        client.get(METADATA)


def test_a_client_that_stays_is_not_waited_for_long(workspace: Workspace) -> None:
    with running(workspace) as emulator:
        client = client_of(emulator)
        client.get(METADATA)  # and keeps the connection
        began = time.monotonic()
    assert time.monotonic() - began < 20
    client.close()
