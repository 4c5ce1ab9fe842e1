from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from nbhelpers.emulator.app import create_app
from nbhelpers.emulator.names import API, ARM, BLOB
from nbhelpers.emulator.state import State
from nbhelpers.emulator.tokens import make_token
from nbhelpers.local import Workspace

from ..local.conftest import home as home
from ..local.conftest import workspace as workspace

#: Asks a service of the emulated cloud, as one who may: method, URL, and what `httpx.request` takes.
Ask = Callable[..., httpx.Response]


@pytest.fixture
def cloud(workspace: Workspace) -> State:
    return State(workspace)


@pytest.fixture
def stranger(cloud: State) -> TestClient:
    """A client without a token."""
    return TestClient(create_app(cloud))


@pytest.fixture
def ask(cloud: State, stranger: TestClient) -> Ask:
    def request(method: str, url: str, **arguments: Any) -> httpx.Response:
        if url.startswith((ARM, API)):
            arguments["headers"] = {"Authorization": f"Bearer {make_token(cloud, ARM)}"} | arguments.get("headers", {})
        elif url.startswith(BLOB):
            arguments["params"] = {"sig": cloud.storage_secret} | arguments.get("params", {})
        return stranger.request(method, url, **arguments)

    return request
