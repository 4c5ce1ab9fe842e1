"""Tokens of the emulated cloud: signed with a key that this process has made up, valid for an hour."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import CLIENT, TENANT
from nbhelpers.emulator.state import State

LIFETIME = 3600


def make_token(cloud: State, audience: str) -> str:
    """A JSON Web Token (HS256) such as the SDK reads its expiry and tenant from."""
    claims = {"aud": audience, "exp": int(time.time()) + LIFETIME, "tid": TENANT, "oid": CLIENT, "appid": CLIENT}
    text = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    return f"{text}.{_signature(cloud, text)}"


def check_bearer(cloud: State, header: str | None) -> None:
    """Refuse a request whose Authorization header holds no valid token of `make_token`.

    Raises
    ------
    CloudError
        401.
    """
    token = (header or "").removeprefix("Bearer ")
    text, _, signature = token.rpartition(".")
    if not text or not hmac.compare_digest(signature.encode(), _signature(cloud, text).encode()):
        raise CloudError(401, "InvalidAuthenticationToken", "The request has no access token of the emulated cloud.")
    part = text.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if claims["exp"] <= time.time():
        raise CloudError(401, "ExpiredAuthenticationToken", "The access token has expired.")


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _signature(cloud: State, text: str) -> str:
    digest = hmac.new(cloud.token_key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
