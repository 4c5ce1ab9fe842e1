from __future__ import annotations

import base64
import json

import pytest

from nbhelpers.emulator import tokens
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import TENANT
from nbhelpers.emulator.state import State


def test_a_token_says_its_expiry_and_tenant(cloud: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens.time, "time", lambda: 1000.5)

    part = tokens.make_token(cloud, "a").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    assert (claims["exp"], claims["tid"], claims["aud"]) == (4600, TENANT, "a")


def test_a_token_is_valid_for_an_hour(cloud: State, monkeypatch: pytest.MonkeyPatch) -> None:
    header = f"Bearer {tokens.make_token(cloud, 'a')}"
    expiry = tokens.time.time() + 3600
    monkeypatch.setattr(tokens.time, "time", lambda: expiry - 2)
    tokens.check_bearer(cloud, header)
    monkeypatch.setattr(tokens.time, "time", lambda: expiry + 2)

    with pytest.raises(CloudError, match="expired") as caught:
        tokens.check_bearer(cloud, header)
    assert caught.value.status == 401


def test_a_changed_token_is_refused(cloud: State) -> None:
    head, claims, signature = tokens.make_token(cloud, "a").split(".")
    later = base64.urlsafe_b64encode(json.dumps({"exp": 9e9}).encode()).decode().rstrip("=")

    for token in (f"{head}.{later}.{signature}", f"{head}.{claims}.", f"{head}.{claims}", "ä.ä.ä", ".", ""):
        with pytest.raises(CloudError, match="no access token"):
            tokens.check_bearer(cloud, f"Bearer {token}")


def test_a_token_of_another_emulator_is_refused(cloud: State) -> None:
    other = State(cloud.workspace)

    with pytest.raises(CloudError, match="no access token"):
        tokens.check_bearer(cloud, f"Bearer {tokens.make_token(other, 'a')}")
    with pytest.raises(CloudError, match="no access token"):
        tokens.check_bearer(cloud, None)
