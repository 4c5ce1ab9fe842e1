from __future__ import annotations

import ssl
import time
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from nbhelpers.emulator.app import create_app
from nbhelpers.emulator.faults import Fault
from nbhelpers.emulator.names import API, ARM, BLOB, LOGIN, RESOURCE_GROUP, SCOPE, SUBSCRIPTION, WORKSPACE
from nbhelpers.emulator.state import State
from nbhelpers.local import Workspace

from .conftest import Ask


@pytest.mark.parametrize(
    "path",
    [
        SCOPE,
        SCOPE.upper(),
        SCOPE.replace("resourceGroups", "resourcegroups"),
        SCOPE.replace("Microsoft.MachineLearningServices", "microsoft.machinelearningservices"),
        f"/{SCOPE}",
        SCOPE.replace("/providers", "//providers"),
    ],
)
def test_the_workspace_is_found_however_its_path_is_spelt(ask: Ask, path: str) -> None:
    assert ask("GET", ARM + path).json()["name"] == WORKSPACE


@pytest.mark.parametrize("host", [f"{API}:443", f"{API}.", API.upper(), API.replace("//", "//user:password@")])
def test_a_host_is_found_however_it_is_spelt(stranger: TestClient, host: str) -> None:
    headers = {"Host": host.partition("//")[2]}
    assert stranger.get(f"{API}/datastore/v1.0{SCOPE}/default", headers=headers).status_code == 401
    assert stranger.get(f"{API}/discovery", headers=headers).status_code == 200


@pytest.mark.parametrize("wrong", [SUBSCRIPTION, RESOURCE_GROUP, WORKSPACE])
def test_another_workspace_is_not_there(ask: Ask, wrong: str) -> None:
    answer = ask("GET", ARM + SCOPE.replace(wrong, "other"))

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "ResourceNotFound"
    assert f"it has {WORKSPACE!r} in {RESOURCE_GROUP!r}" in answer.json()["error"]["message"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}, {"Authorization": b"Bearer \xe4.b.c"}])
@pytest.mark.parametrize(
    "url", [ARM + SCOPE, f"{ARM}/subscriptions", f"{API}/datastore/v1.0{SCOPE}/default", f"{API}/anything"]
)
def test_services_want_a_token(stranger: TestClient, url: str, headers: dict[str, str]) -> None:
    answer = stranger.get(url, headers=headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"


@pytest.mark.parametrize("url", [f"{API}/nothing/v1.0{SCOPE}/here", f"{ARM}{SCOPE}/outboundRules", f"{LOGIN}/x"])
def test_a_call_without_a_route_is_named(ask: Ask, url: str) -> None:
    answer = ask("POST", url)

    assert answer.status_code == 501
    assert answer.json()["error"]["code"] == "NotEmulated"
    assert f"POST {url}." in answer.json()["error"]["message"]
    assert answer.json()["message"] == answer.json()["error"]["message"]  # where the client of models reads it
    assert answer.json()["error"]["details"] == []


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 503])
def test_a_fault_answers_as_often_as_it_says(cloud: State, ask: Ask, status: int) -> None:
    cloud.faults.append(Fault(r"^GET https://management\.azure\.com/subscriptions/.*/workspaces/", status, times=2))

    answers = [ask("GET", ARM + SCOPE) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].json()["error"]["code"] == "InjectedFault"
    assert (answers[0].headers.get("retry-after") == "1") == (status == 429)


def test_a_fault_of_the_storage_is_xml(cloud: State, ask: Ask) -> None:
    cloud.faults.append(Fault("blob", 503))

    answer = ask("GET", f"{BLOB}/azureml/a")

    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (503, "InjectedFault")
    assert "<Code>InjectedFault</Code>" in answer.text


def test_a_fault_may_only_be_slow(cloud: State, ask: Ask) -> None:
    cloud.faults.append(Fault(ARM, delay=0.3))

    begin = time.monotonic()

    assert ask("GET", ARM + SCOPE).status_code == 200
    assert time.monotonic() - begin >= 0.3


def test_a_mistake_of_the_emulator_is_no_5xx(cloud: State) -> None:
    def broken(_container: str, _prefix: str) -> dict[str, Path]:
        raise RuntimeError("broken <source>")

    client = TestClient(create_app(cloud), raise_server_exceptions=False)
    cloud.blobs.sources.append(broken)

    answer = client.get(f"{BLOB}/azureml/a", params={"sig": cloud.storage_secret})

    assert answer.status_code == 400
    assert "The emulator has a fault: RuntimeError: broken &lt;source&gt;" in answer.text


def test_a_dropped_connection_has_no_answer(workspace: Workspace) -> None:
    pytest.importorskip("cryptography", reason="needs the azure environment: make install-azure")
    from nbhelpers.emulator.launch import running

    faults = [Fault("http://dropped.example", drop=True, times=1), Fault(f"{LOGIN}/", drop=True, times=1)]
    with running(workspace, faults) as emulator:
        for url in ("http://dropped.example/a", f"{LOGIN}/common/discovery/instance"):
            with httpx.Client(
                proxy=emulator.environment["HTTPS_PROXY"],
                verify=ssl.create_default_context(cafile=emulator.environment["SSL_CERT_FILE"]),
                timeout=30,
            ) as client:
                with pytest.raises(httpx.RemoteProtocolError):
                    client.get(url)
                assert client.get(url).status_code in (200, 404)  # the next one is answered
