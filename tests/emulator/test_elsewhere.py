from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from fastapi.testclient import TestClient

from nbhelpers.emulator.app import create_app
from nbhelpers.emulator.elsewhere import is_azure
from nbhelpers.emulator.state import State
from nbhelpers.service.server import listen, make_server

CONTENT = b"a,b\n1,2\n" * 100_000


class _Other(BaseHTTPRequestHandler):
    """Some host of the internet."""

    def do_GET(self) -> None:
        self.server.seen.append(
            (self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        )  # type: ignore[attr-defined]
        status, content, headers = 200, CONTENT, {"ETag": '"1"', "Content-Type": "text/csv"}
        if self.path.startswith("/moved"):
            status, content, headers = 302, b"", {"Location": "/data.csv"}
        elif self.path == "/broken":
            status, content = 503, b"broken"
        elif self.path == "/missing":
            status, content = 404, b"no such file"
        elif self.path == "/packed" and "gzip" in self.headers.get("Accept-Encoding", ""):
            content, headers = gzip.compress(CONTENT), {"Content-Encoding": "gzip"}
        elif "Range" in self.headers:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            status, content = 206, CONTENT[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{len(CONTENT)}"
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class Other(ThreadingHTTPServer):
    """A host beside the emulator, which notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Other)
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def other() -> Iterator[Other]:
    server = Other()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def proxied(cloud: State) -> Iterator[httpx.Client]:
    """A client whose proxy is the emulated cloud."""
    listener = listen("127.0.0.1", 0)
    server = make_server(create_app(cloud))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(proxy=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(cloud: State) -> Iterator[httpx.Client]:
    with proxied(cloud) as client:
        yield client


def test_a_url_is_fetched_as_it_is(client: httpx.Client, other: Other) -> None:
    answer = client.get(f"{other.url}/a%20b/c%2Fd.csv?x=1%262&y", headers={"X-Mine": "1"})

    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert (answer.headers["etag"], answer.headers["content-type"]) == ('"1"', "text/csv")
    method, path, headers = other.seen[0]
    assert (method, path) == ("GET", "/a%20b/c%2Fd.csv?x=1%262&y")
    assert (headers["x-mine"], headers["host"]) == ("1", other.url.removeprefix("http://"))


def test_a_url_may_contain_another(client: httpx.Client, other: Other, stranger: TestClient) -> None:
    assert client.get(f"{other.url}/web/http://x.invalid/a.csv").content == CONTENT
    assert other.seen[0][1] == "/web/http://x.invalid/a.csv"

    answer = stranger.get("https://nowhere.invalid/web/http://x.invalid/a.csv")
    assert "https://nowhere.invalid/web/http://x.invalid/a.csv cannot be read" in answer.json()["error"]["message"]


def test_size_and_ranges_are_handed_back(client: httpx.Client, other: Other) -> None:
    head = client.head(f"{other.url}/data.csv")
    part = client.get(f"{other.url}/data.csv", headers={"Range": "bytes=2-5"})

    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(CONTENT)), b"")
    assert (part.status_code, part.content) == (206, CONTENT[2:6])
    assert part.headers["content-range"] == f"bytes 2-5/{len(CONTENT)}"
    assert [method for method, _, _ in other.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize("accepted", ["gzip", "identity", None])
def test_content_is_packed_only_for_clients_that_unpack_it(
    client: httpx.Client, other: Other, accepted: str | None
) -> None:
    client.headers.pop("Accept-Encoding")

    answer = client.get(f"{other.url}/packed", headers={"Accept-Encoding": accepted} if accepted else {})

    assert answer.headers.get("content-encoding") == ("gzip" if accepted == "gzip" else None)
    assert answer.content == CONTENT
    assert other.seen[0][2].get("accept-encoding") == accepted


def test_a_redirect_is_left_to_the_client(client: httpx.Client, other: Other) -> None:
    answer = client.get(f"{other.url}/moved")

    assert (answer.status_code, answer.headers["location"]) == (302, "/data.csv")
    assert len(other.seen) == 1
    assert client.get(f"{other.url}/moved", follow_redirects=True).content == CONTENT


def test_an_answer_of_the_host_is_handed_back_but_for_5xx(client: httpx.Client, other: Other) -> None:
    missing, broken = (client.get(f"{other.url}/{path}") for path in ("missing", "broken"))

    assert (missing.status_code, missing.text) == (404, "no such file")
    assert broken.status_code == 404
    assert broken.json()["error"]["message"].startswith(f"{other.url}/broken cannot be read: its host answers 503.")


@pytest.mark.parametrize("url", ["http://nowhere.invalid/a.csv", "http://127.0.0.1:1/a.csv"])
def test_a_host_that_cannot_be_reached_is_a_404_at_once(client: httpx.Client, url: str) -> None:
    begin = time.monotonic()

    answer = client.get(url)

    assert time.monotonic() - begin < 5
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "Unreachable"
    assert answer.json()["error"]["message"].startswith(f"{url} cannot be read: ")
    assert client.head(url).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_services_of_azure_are_not_asked(stranger: TestClient, method: str) -> None:
    answer = stranger.request(method, "https://eastus.api.azureml.ms/some/path")

    assert answer.status_code == 501
    if method != "HEAD":
        assert answer.json()["error"]["code"] == "NotEmulated"
        assert f"{method} https://eastus.api.azureml.ms/some/path" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("host", "azure"),
    [
        ("eastus.api.azureml.ms", True),
        ("myvault.vault.azure.net", True),
        ("management.core.windows.net", True),
        ("portal.azure.com", True),
        ("x.azurecr.io", True),
        ("graph.microsoft.com", True),
        ("graph.windows.net", True),
        ("someaccount.blob.core.windows.net", False),  # public data lies there
        ("someaccount.dfs.core.windows.net", False),
        ("raw.githubusercontent.com", False),
        ("notazure.com", False),
    ],
)
def test_services_of_azure_are_known_by_their_hosts(host: str, azure: bool) -> None:
    assert is_azure(host) == azure


def test_nothing_is_written_elsewhere(client: httpx.Client, other: Other) -> None:
    assert client.post(f"{other.url}/data.csv", content=b"x").status_code == 501
    assert not other.seen
