from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from nbhelpers.emulator.names import CLIENT, LOGIN, TENANT
from nbhelpers.emulator.state import State
from nbhelpers.emulator.tokens import check_bearer

TOKEN = f"{LOGIN}/{TENANT}/oauth2/v2.0/token"


@pytest.fixture
def form(cloud: State) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": cloud.client_secret,
        "scope": "https://management.core.windows.net//.default",
    }


def test_a_client_finds_where_to_ask_for_tokens(stranger: TestClient) -> None:
    asked = {"authorization_endpoint": f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize"}
    instance = stranger.get(f"{LOGIN}/common/discovery/instance", params=asked).json()

    configuration = stranger.get(instance["tenant_discovery_endpoint"]).json()

    assert configuration["token_endpoint"] == TOKEN
    assert configuration["issuer"] == f"{LOGIN}/{TENANT}/v2.0"
    assert instance["metadata"][0]["aliases"] == ["login.microsoftonline.com"]


def test_the_secret_gives_a_token_that_the_services_take(
    cloud: State, stranger: TestClient, form: dict[str, str]
) -> None:
    answer = stranger.post(TOKEN, data=form).json()

    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    check_bearer(cloud, f"Bearer {answer['access_token']}")


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": "ä"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000215),
        ({"client_id": TENANT}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"grant_type": None}, 400, "unsupported_grant_type", 70003),
    ],
)
def test_others_get_no_token(
    stranger: TestClient, form: dict[str, str], changes: dict[str, str | None], status: int, error: str, number: int
) -> None:
    answer = stranger.post(TOKEN, data={name: value for name, value in (form | changes).items() if value is not None})

    assert answer.status_code == status
    assert (answer.json()["error"], answer.json()["error_codes"]) == (error, [number])
    assert answer.json()["error_description"].startswith(f"AADSTS{number}: ")
    assert "access_token" not in answer.json()


@pytest.mark.parametrize("path", ["oauth2/v2.0/token", "v2.0/.well-known/openid-configuration"])
def test_other_tenants_are_unknown(stranger: TestClient, form: dict[str, str], path: str) -> None:
    post = path.endswith("token")
    answer = stranger.request("POST" if post else "GET", f"{LOGIN}/{CLIENT}/{path}", data=form if post else None)

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_tenant"
    assert TENANT in answer.json()["error_description"]
