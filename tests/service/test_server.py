"""Services in processes of their own, and what befalls processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import nbhelpers
from nbhelpers.errors import StoreError, UserErrorException
from nbhelpers.local import InteractiveLoginAuthentication, PublishedPipeline, Workspace
from nbhelpers.local.endpoints import PREFIX, SUBMIT_PATH, service_port, set_service_port, workspace_id
from nbhelpers.service.server import serve

from ..local.faults import DEADLINE, assert_whole, end_of, is_gone, wait_until
from ..local.test_disk_full import disk as disk
from .conftest import Headers, publish
from .servers import Process, command, get, post, processes, served
from .test_pipelines import address, find

#: The address of all interfaces.
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is refused, or served with TLS on a port of the test's own


@pytest.fixture
def services() -> Iterator[list[Process]]:
    with processes() as started:
        yield started


def submit(url: str, published: PublishedPipeline, headers: dict[str, str]) -> str:
    answer = post(url + SUBMIT_PATH.format(id=published.id), headers=headers, json={"ExperimentName": "rest"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["Id"])


def test_a_service_that_is_killed_loses_no_run_and_no_pipeline(
    workspace: Workspace, published: PublishedPipeline, headers: Headers, home: Path, services: list[Process]
) -> None:
    sent = headers()
    services.append(Process(home))
    run_id = submit(services[0].url, published, sent)
    run = find(workspace, run_id, "rest")
    wait_until(lambda: run.get_status() == "Running")
    assert services[0].end(signal.SIGKILL) == -signal.SIGKILL

    assert end_of(run) == "Finished"
    services.append(Process(home, "--host", "127.0.0.1"))
    assert services[1].url == services[0].url == f"http://127.0.0.1:{service_port(workspace.store)}"
    status = get(services[1].url + address(run_id), headers=sent).json()["Status"]
    assert status["StatusCode"] == "3"
    (pipeline,) = get(f"{services[1].url}{PREFIX}/Pipelines", headers=sent).json()
    assert (pipeline["Id"], pipeline["EntityStatus"]) == (published.id, "Active")
    assert_whole(workspace.store)


def test_sigterm_answers_what_was_asked_and_leaves_the_run_at_work(
    workspace: Workspace, published: PublishedPipeline, headers: Headers, home: Path, services: list[Process]
) -> None:
    services.append(Process(home))
    url = httpx.URL(services[0].url)
    body = json.dumps({"ExperimentName": "rest"}).encode()
    head = f"POST {SUBMIT_PATH.format(id=published.id)} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Authorization: {headers('submit')['Authorization']}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((url.host, url.port or 0), timeout=DEADLINE) as connection:
        # The service asks for the body when it has begun with the request.
        connection.sendall(f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        services[0].process.send_signal(signal.SIGTERM)
        wait_until(lambda: _refused(url))
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert services[0].process.wait(DEADLINE) == 0
    assert services[0].lines()[-1]["message"] == "ended"
    run_id = json.loads(answer.partition(b"\r\n\r\n")[2])["Id"]
    assert end_of(find(workspace, run_id, "rest")) == "Finished"


def _refused(url: httpx.URL) -> bool:
    try:
        socket.create_connection((url.host, url.port or 0), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_ctrl_c_ends_a_service_without_an_error(home: Path, services: list[Process]) -> None:
    services.append(Process(home))
    assert services[0].end(signal.SIGINT) == 0


def test_a_second_service_refuses_and_names_the_first(
    workspace: Workspace, home: Path, services: list[Process]
) -> None:
    services.append(Process(home))
    second = command(home, "serve", "--port", "0")
    assert second.returncode == 2
    first = f"by process {services[0].process.pid} at {services[0].url}"
    assert second.stderr.startswith(f"error: The workspace {home} is served already, {first}.\nTo mend it: ")
    assert get(f"{services[0].url}/healthz").json()["workspace"] == workspace_id(workspace.store)


def test_a_port_that_is_taken_is_named(workspace: Workspace, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        set_service_port(workspace.store, port)
        for arguments in (["serve"], ["serve", "--port", str(port)]):
            taken = command(home, *arguments)
            assert taken.returncode == 2
            problem = f"error: The service cannot listen on 127.0.0.1, port {port}: Address already in use"
            assert taken.stderr.startswith(problem)


def test_a_wider_address_is_refused_without_tls_files(workspace: Workspace, tmp_path: Path) -> None:
    for host in (EVERYWHERE, "::", "192.0.2.1", "example.org", "", "127.0.0.1.example.org"):
        with pytest.raises(UserErrorException, match="can be reached from other machines"):
            serve(workspace, host, 0)
    with pytest.raises(UserErrorException, match="Only one of the TLS files"):
        serve(workspace, EVERYWHERE, 0, certificate=tmp_path / "nowhere")
    with pytest.raises(UserErrorException, match="cannot be used: "):
        serve(workspace, EVERYWHERE, 0, tmp_path / "nowhere", tmp_path / "nowhere")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_with_tls_files_it_can_be_reached_under_any_name(home: Path, tmp_path: Path, services: list[Process]) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    files = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    services.append(Process(home, "--host", EVERYWHERE, "--port", "0", *files))
    assert services[0].url.startswith("https://127.0.0.1:")
    trusted = ssl.create_default_context(cafile=certificate)
    answer = get(f"{services[0].url}/healthz", verify=trusted, headers={"Host": "bank.example"})
    assert answer.json()["status"] == "ok"


def test_the_log_has_a_line_of_json_for_each_request_and_never_a_token(
    home: Path, published: PublishedPipeline, headers: Headers, services: list[Process]
) -> None:
    services.append(Process(home))
    sent = headers("read")
    token = sent["Authorization"].removeprefix("Bearer ")
    answers = [
        get(f"{services[0].url}{PREFIX}/Pipelines", headers=sent, params={"token": token}),
        get(f"{services[0].url}{PREFIX}/Pipelines", headers={"Authorization": f"Basic {token}"}),
        post(services[0].url + SUBMIT_PATH.format(id=published.id), headers=sent, json={"ExperimentName": token}),
        get(f"{services[0].url}/%0A%22line%22"),
    ]
    assert services[0].end(signal.SIGTERM) == 0
    requests = [line for line in services[0].lines() if line["message"] == "request"]
    names = ["time", "level", "message", "request_id", "method", "path", "status", "ms", "token", "client"]
    assert [list(line) for line in requests] == [names] * 4
    assert [line["status"] for line in requests] == [200, 401, 403, 404]
    assert [line["request_id"] for line in requests] == [answer.headers["x-ms-request-id"] for answer in answers]
    assert [line["token"] for line in requests] == [token.split("_")[1], None, None, None]
    assert requests[3]["path"] == '/\n"line"'
    assert token.split("_", 2)[2] not in services[0].log.read_text()


def test_what_the_service_writes_is_the_users_own(home: Path, services: list[Process]) -> None:
    services.append(Process(home))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("workspace.db", "service.json", "service.lock"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name


def test_a_full_disk_is_answered_with_507_and_the_store_stays_whole(disk: Path) -> None:
    workspace = Workspace.from_config()
    published, sent = publish(workspace), InteractiveLoginAuthentication().get_authentication_header()
    url = SUBMIT_PATH.format(id=published.id)
    assert service_port(workspace.store)  # it is recorded when a service starts
    assert workspace_id(workspace.store)
    with served(workspace) as service:
        with workspace.store.reading() as connection:  # else the log of the database has room of its own
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        with (disk / "filling").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        answer = post(service + url, headers=sent, json={"ExperimentName": "rest"})
        assert answer.status_code == 507
        assert answer.json()["Error"]["Message"] == "The disk of the workspace is full, so nothing was written."
        assert get(f"{service}{PREFIX}/Pipelines/{published.id}", headers=sent).status_code == 200
        assert get(f"{service}/healthz").status_code == 200
        assert_whole(workspace.store)
        assert "rest" not in workspace.experiments
        (disk / "filling").unlink()
        run = find(workspace, submit(service, published, sent), "rest")
        assert end_of(run) == "Finished"


def test_serving_uses_a_service_that_runs_and_leaves_it(
    workspace: Workspace, home: Path, services: list[Process]
) -> None:
    services.append(Process(home))
    with nbhelpers.serving(workspace) as url:
        assert url == services[0].url
    assert get(f"{services[0].url}/healthz").status_code == 200


def test_serving_starts_its_own_when_the_service_that_runs_is_ending(
    workspace: Workspace, home: Path, headers: Headers, services: list[Process]
) -> None:
    services.append(Process(home))
    address = httpx.URL(services[0].url)
    head = f"POST {SUBMIT_PATH.format(id=uuid.UUID(int=0))} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Authorization: {headers('submit')['Authorization']}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((address.host, address.port or 0), timeout=DEADLINE) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        services[0].process.send_signal(signal.SIGTERM)  # it ends when that body has come, or has taken too long
        wait_until(lambda: _refused(address))
        with nbhelpers.serving(workspace) as url:
            assert get(f"{url}/healthz").status_code == 200
            assert services[0].process.wait(DEADLINE) == 0


def test_serving_starts_a_service_which_others_may_share_and_which_ends_with_the_last(workspace: Workspace) -> None:
    first = nbhelpers.serving(workspace)
    url = first.__enter__()
    try:
        with _other_program(workspace) as other:
            assert other.stdout is not None
            assert other.stdout.readline().strip() == url
            first.__exit__(None, None, None)
            assert get(f"{url}/healthz").json()["workspace"] == workspace_id(workspace.store)
            with nbhelpers.serving(workspace) as shared:  # at once, although the other goes on for long
                assert shared == url
            other.kill()
    finally:
        first.__exit__(None, None, None)
    pid = json.loads((workspace.store.home / "service.json").read_bytes())["pid"]
    wait_until(lambda: _has_ended(pid))
    for name in ("service.log", "service.users.lock"):
        assert stat.S_IMODE((workspace.store.home / name).stat().st_mode) == 0o600, name


def test_a_long_log_of_earlier_services_is_dropped(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    log = workspace.store.home / "service.log"
    for most, kept in ((100, True), (99, False)):
        log.write_text("earlier\n".ljust(100))
        monkeypatch.setattr("nbhelpers.service.starting.MOST_LOG", most + 1)
        with nbhelpers.serving(workspace):
            assert log.read_text().startswith("earlier") == kept


#: A notebook's kernel that is killed in the middle.
USES = """
import time
import nbhelpers
from nbhelpers.local import Workspace
with nbhelpers.serving(Workspace.from_config()) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def _other_program(workspace: Workspace) -> subprocess.Popen[str]:
    environment = {**os.environ, "NBHELPERS_HOME": str(workspace.store.home)}
    return subprocess.Popen([sys.executable, "-c", USES], stdout=subprocess.PIPE, text=True, env=environment)


def test_a_service_ends_when_the_program_that_started_it_is_killed(workspace: Workspace) -> None:
    with _other_program(workspace) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        pid = json.loads((workspace.store.home / "service.json").read_bytes())["pid"]
        assert get(f"{url}/healthz").status_code == 200
        program.kill()
    wait_until(lambda: _has_ended(pid))


def _has_ended(pid: int) -> bool:
    """Whether a process has ended, even if its parent has not taken note, which in a container may be never."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return is_gone(pid)


def test_serving_takes_another_port_where_the_recorded_one_is_taken(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        set_service_port(workspace.store, other.getsockname()[1])
        with nbhelpers.serving(workspace) as url:
            assert url == f"http://127.0.0.1:{service_port(workspace.store)}"
            assert not url.endswith(f":{other.getsockname()[1]}")
            assert get(f"{url}/healthz").status_code == 200


def test_serving_says_why_a_service_did_not_start(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(workspace.store.home), prepend=os.pathsep)
    (workspace.store.home / "sitecustomize.py").write_text("raise SystemExit('no such luck')")
    with (
        pytest.raises(StoreError, match=r"(?s)did not start\. .*service\.log ends with:.*no such luck"),
        nbhelpers.serving(workspace),
    ):
        pass


def test_serving_does_nothing_for_a_workspace_of_azure() -> None:
    with nbhelpers.serving(SimpleNamespace(subscription_id="0")) as url:
        assert url is None


@pytest.mark.parametrize("wrong", [None, "workspace", 5])
def test_serving_refuses_what_is_no_workspace(wrong: object) -> None:
    with pytest.raises(UserErrorException, match="is not a workspace"), nbhelpers.serving(wrong):
        pass
