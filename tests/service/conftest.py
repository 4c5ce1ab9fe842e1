from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest

from nbhelpers.local import AutoMLConfig, AutoMLStep, Pipeline, PipelineParameter, PublishedPipeline, Workspace
from nbhelpers.local.tokens import create_token
from nbhelpers.service.limits import Limits

from ..local.conftest import bank_like
from ..local.conftest import home as home
from ..local.conftest import workspace as workspace
from ..local.faults import SETTINGS, create_target
from .servers import served

#: Makes the headers of a request with a new token of some scopes.
Headers = Callable[..., dict[str, str]]


def publish(workspace: Workspace, max_nodes: int = 2, **settings: object) -> PublishedPipeline:
    """A published pipeline on 300 rows, whose number of child runs may be changed."""
    arguments = {"training_data": bank_like(300), "iterations": PipelineParameter("iterations", 3)}
    config = AutoMLConfig(
        "classification",
        compute_target=create_target(workspace, max_nodes),
        label_column_name="y",
        **(SETTINGS | arguments | settings),
    )
    pipeline = Pipeline(workspace, AutoMLStep("automl_module", config), description="bank")
    return pipeline.publish("Bank marketing", "of the tests", "1.0")


@pytest.fixture
def published(workspace: Workspace) -> PublishedPipeline:
    return publish(workspace)


@pytest.fixture
def headers(workspace: Workspace) -> Headers:
    def make(*scopes: str, hours: float = 1) -> dict[str, str]:
        token = create_token(workspace.store, "test", scopes or ("submit", "read"), timedelta(hours=hours))
        return {"Authorization": f"Bearer {token}"}

    return make


@pytest.fixture
def limits() -> Limits:
    """The limits of `client`'s service; a test may parametrise them."""
    return Limits()


@pytest.fixture
def client(workspace: Workspace, limits: Limits) -> Iterator[httpx.Client]:
    """A client of a service of the workspace, with a real connection."""
    with served(workspace, limits) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        yield client
