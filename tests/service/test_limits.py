from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator

import httpx
import pytest

from nbhelpers.local import PublishedPipeline, Workspace
from nbhelpers.local.endpoints import PREFIX, SUBMIT_PATH
from nbhelpers.service.errors import HTTPProblem
from nbhelpers.service.limits import Limits, Rates

from ..local.rows import add_run
from .conftest import Headers

SUBMIT = SUBMIT_PATH.format(id=uuid.UUID(int=0))
JSON = {"Content-Type": "application/json"}


def deep(depth: int) -> bytes:
    return b'{"ExperimentName": ' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b'{"ExperimentName": "a",}',
        b"{'ExperimentName': 'a'}",
        b'{"ExperimentName": NaN}',
        b'{"ExperimentName": Infinity}',
        b'{"ExperimentName": "\xff"}',
        b'{"ExperimentName": "\\ud800"}',
        '{"ExperimentName": "a"}'.encode("utf-16"),
        deep(500),
        deep(100_000),
        b"[]",
        b"null",
        b'"text"',
        b"1" * 100_000,
        b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins.",
    ],
    ids=lambda body: repr(body[:25]),
)
def test_a_body_that_is_no_object_in_json_is_answered_with_400(
    client: httpx.Client, headers: Headers, body: bytes
) -> None:
    answer = client.post(SUBMIT, content=body, headers=headers("submit") | JSON)
    assert answer.status_code == 400
    assert answer.json()["Error"]["Code"] == "BadRequest"
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json"]
)
def test_another_content_type_is_answered_with_415(client: httpx.Client, headers: Headers, kind: str | None) -> None:
    sent = headers("submit") | ({} if kind is None else {"Content-Type": kind})
    assert client.post(SUBMIT, content=b'{"ExperimentName": "a"}', headers=sent).status_code == 415


def test_the_parameters_of_a_content_type_do_not_matter(client: httpx.Client, headers: Headers) -> None:
    sent = headers("submit") | {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.post(SUBMIT, content=b'{"ExperimentName": "a"}', headers=sent).status_code == 404


def test_a_body_that_is_too_large_is_answered_with_413_whether_or_not_it_says_so(
    client: httpx.Client, headers: Headers
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"ExperimentName": "a", "Description": "'
        for _ in range(2000):
            yield b"x" * 1000

    for body in (b" " * (2**20 + 1), chunks()):
        answer = client.post(SUBMIT, content=body, headers=headers("submit") | JSON)
        assert answer.status_code == 413
        assert answer.json()["Error"]["Code"] == "PayloadTooLarge"
    body = json.dumps({"ExperimentName": "a"}).encode().ljust(2**20)
    assert client.post(SUBMIT, content=body, headers=headers("submit") | JSON).status_code == 404


def test_a_body_is_not_read_before_the_token(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=60) as connection:
        head = f"POST {SUBMIT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 401"


@pytest.mark.parametrize("limits", [Limits(body_seconds=0.2, head_seconds=0.2)])
def test_a_client_that_is_too_slow_is_let_go(client: httpx.Client, headers: Headers) -> None:
    address = (client.base_url.host, client.base_url.port or 0)
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Authorization: {headers('submit')['Authorization']}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert connection.recv(12) == b"HTTP/1.1 408"
    for sent in (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"):
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(sent)
            assert connection.recv(12) == b""  # closed without an answer
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:40]),
)
def test_what_is_no_http_is_answered_with_400_in_the_form_of_errors(client: httpx.Client, sent: bytes) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=60) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"x-ms-request-id" in head
    assert json.loads(body)["Error"]["Code"] == "BadRequest"
    assert client.get("/healthz").status_code == 200


def test_what_is_no_http_after_an_answer_only_ends_the_connection(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=60) as connection:
        # The answer to the wrong method does not wait for the body, of which the length of the first part is wrong.
        connection.sendall(b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        connection.sendall(b"zz\r\n")
        assert connection.recv(65536) == b""
    assert answer.startswith(b"HTTP/1.1 405")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_head_without_end_is_not_read_to_its_end(client: httpx.Client) -> None:
    endless = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10**8
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=60) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(endless)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("limits", [Limits(requests_per_second=1, burst=3)])
def test_a_token_that_asks_too_often_is_answered_with_429_and_others_are_not(
    client: httpx.Client, headers: Headers
) -> None:
    one, other = headers("read"), headers("read")
    answers = [client.get(f"{PREFIX}/Pipelines", headers=one) for _ in range(20)]
    assert [answer.status_code for answer in answers[:3]] == [200, 200, 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {int(answer.headers["retry-after"]) for answer in refused} == {1}
    assert client.get(f"{PREFIX}/Pipelines", headers=other).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_a_rate_allows_a_burst_and_then_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    rates = Rates(Limits(requests_per_second=2, burst=4))

    def accepted() -> int:
        for number in range(100):
            try:
                rates.take("token")
            except HTTPProblem:
                return number
        return 100

    assert accepted() == 4
    clock[0] += 0.5
    assert accepted() == 1
    clock[0] += 60
    assert accepted() == 4


@pytest.mark.parametrize("limits", [Limits(unfinished_runs=2)])
def test_no_run_is_accepted_while_too_many_have_not_ended(
    client: httpx.Client, headers: Headers, workspace: Workspace, published: PublishedPipeline
) -> None:
    for _ in range(2):
        add_run(workspace.store, status="Running", experiment="busy")
    answer = client.post(
        SUBMIT_PATH.format(id=published.id), json={"ExperimentName": "queue"}, headers=headers("submit")
    )
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "2 runs of the workspace have not ended" in answer.json()["Error"]["Message"]
    assert "queue" not in workspace.experiments


@pytest.mark.parametrize("limits", [Limits(unfinished_runs=1)])
def test_runs_whose_workers_are_gone_do_not_fill_the_queue(
    client: httpx.Client, headers: Headers, workspace: Workspace, published: PublishedPipeline
) -> None:
    add_run(workspace.store, status="Running", heartbeat=0.0, pid=2**22 + 1)
    # That it gets as far as the parameters means that it was let into the queue.
    sent = {"ExperimentName": "queue", "ParameterAssignments": {"iterations": "none"}}
    answer = client.post(SUBMIT_PATH.format(id=published.id), json=sent, headers=headers("submit"))
    assert answer.status_code == 400
    assert "iterations" in answer.json()["Error"]["Message"]
