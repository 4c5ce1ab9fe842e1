from __future__ import annotations

import base64
import re
import uuid

import httpx
import pytest

from nbhelpers.local import InteractiveLoginAuthentication, Workspace
from nbhelpers.local.endpoints import PREFIX
from nbhelpers.service.app import create_app
from nbhelpers.service.security import LOOPBACK

from .conftest import Headers

LIST = f"{PREFIX}/Pipelines"
BASIC = base64.b64encode(b"user:password").decode()
#: What stands in the Authorization header.
WRONG = [
    None,
    "",
    "Bearer",
    "Bearer null",
    f"Basic {BASIC}",
    f"Bearer nbh_000000000000_{'A' * 43}",
    "Bearer nbh_0_0",
    "Bearer ' OR 1=1 --",
    "Bearer \xff\xfe",
    f"Bearer {'A' * 60_000}",
    "Bearer ../../etc/passwd",
]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:30])
def test_a_token_that_is_none_is_answered_with_401(client: httpx.Client, value: str | None) -> None:
    sent = {} if value is None else {"Authorization": value.encode("latin-1")}
    answer = client.get(LIST, headers=sent)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["Error"]["Code"] == "Unauthorized"


def test_an_expired_token_is_answered_with_401(client: httpx.Client, headers: Headers) -> None:
    answer = client.get(LIST, headers=headers("read", hours=1e-9))
    assert answer.status_code == 401
    assert "expired" in answer.json()["Error"]["Message"]


def test_a_token_with_a_letter_changed_is_answered_with_401(client: httpx.Client, headers: Headers) -> None:
    right = headers("read")["Authorization"]
    assert client.get(LIST, headers={"Authorization": right}).status_code == 200
    for wrong in (right[:-2] + ("A" if right[-2] != "A" else "B") + right[-1], right[:-1], right + "A"):
        assert client.get(LIST, headers={"Authorization": wrong}).status_code == 401


def test_the_sdks_sign_in_gives_a_header_that_is_accepted(client: httpx.Client) -> None:
    assert client.get(LIST, headers=InteractiveLoginAuthentication().get_authentication_header()).status_code == 200


def _routes(workspace: Workspace) -> list[tuple[str, str, str]]:
    """Method, path and scope of every route of the API but /healthz."""
    found = []
    for path, operations in create_app(workspace).openapi()["paths"].items():
        address = re.sub(r"{\w+_id}", str(uuid.UUID(int=0)), path).replace("{name}", "bank")
        for method in operations:
            scope = "score" if path.startswith("/api/") else "submit" if method == "post" else "read"
            found.append((method.upper(), address, scope))
    return [route for route in found if route[1] != "/healthz"]


def test_every_route_wants_a_token_of_its_scope_before_anything_else(
    client: httpx.Client, workspace: Workspace, headers: Headers
) -> None:
    routes = _routes(workspace)
    assert len(routes) >= 11
    tokens = {scope: headers(scope) for scope in ("submit", "read", "score")}
    for method, path, scope in routes:
        assert client.request(method, path).status_code == 401, path
        for other in tokens.keys() - {scope}:
            answer = client.request(method, path, headers=tokens[other])
            assert answer.status_code == 403, path
            assert f"not for {scope}" in answer.json()["Error"]["Message"]
        assert client.request(method, path, headers=tokens[scope]).status_code in (200, 404, 415), path


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8765",
        "[::",
        "127.0.0.1@evil.example",
        "[::]",
        "::1",
        "evil.example@localhost",
        "localhost/evil.example",
        "localhost#evil.example",
        "localhost:evil.example",
        "localhost.",
    ],
)
def test_another_host_is_answered_with_400(client: httpx.Client, host: str) -> None:
    answer = client.get("/healthz", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["Error"]["Target"] == "Host"


@pytest.mark.parametrize("host", [*LOOPBACK[::2], "[::1]", "LOCALHOST:1", "127.0.0.1:8765"])
def test_the_machines_own_names_are_accepted(client: httpx.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://localhost:1", "https://{host}", "http://{host}.evil.example", ""]
)
def test_a_page_of_another_site_is_answered_with_403(client: httpx.Client, headers: Headers, origin: str) -> None:
    sent = {"Origin": origin.format(host=client.base_url.netloc.decode())} | headers("read")
    answer = client.get(LIST, headers=sent)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_page_of_the_api_may_ask(client: httpx.Client, headers: Headers) -> None:
    sent = {"Origin": str(client.base_url).rstrip("/")} | headers("read")
    assert client.get(LIST, headers=sent).status_code == 200
