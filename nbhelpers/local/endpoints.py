"""Where the service of a workspace answers: its paths, its port and the id that tells workspaces apart."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nbhelpers.errors import StoreError, UserErrorException
from nbhelpers.local.store import Store, workspace_settings

#: What every path about pipelines begins with: that of Azure ML, with `local` for each name.
PREFIX = (
    "/pipelines/v1.0/subscriptions/local/resourceGroups/local"
    "/providers/Microsoft.MachineLearningServices/workspaces/local"
)
SUBMIT_PATH = PREFIX + "/PipelineRuns/PipelineSubmit/{id}"
SERVICE_PATH = "/api/v1/service/{name}"
SCORE_PATH = SERVICE_PATH + "/score"
SWAGGER_PATH = SERVICE_PATH + "/swagger.json"

#: The port of the first workspace on a machine; the next free one for others.
FIRST_PORT = 8765


def workspace_id(store: Store) -> str:
    """The id of the workspace, a UUID made on first use."""
    return str(_setting(store, "id", lambda: str(uuid.uuid4())))


def service_port(store: Store) -> int:
    """The port of the workspace's service on this machine, chosen and recorded on first use."""
    return int(_setting(store, "service_port", _free_port))


def set_service_port(store: Store, port: int) -> None:
    """Record another port.

    Raises
    ------
    UserErrorException
        It is no number of a port.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise UserErrorException(f"{port!r} is not the number of a port.", "give a whole number from 1 to 65535")
    row = insert(workspace_settings).values(name="service_port", value=port)
    with store.writing() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))


def service_url(store: Store) -> str:
    """``http://127.0.0.1:<port>``, whether or not the service is running."""
    return f"http://127.0.0.1:{service_port(store)}"


def _setting(store: Store, name: str, make: Callable[[], Any]) -> Any:
    chosen = sa.select(workspace_settings.c.value).where(workspace_settings.c.name == name)
    if (row := store.one(chosen)) is not None:
        return row["value"]
    value = make()
    with store.writing() as connection:  # another process may have been faster
        connection.execute(insert(workspace_settings).values(name=name, value=value).on_conflict_do_nothing())
        return connection.execute(chosen).scalar_one()


def _free_port() -> int:
    for port in range(FIRST_PORT, 65536):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StoreError(f"No port from {FIRST_PORT} on is free on this machine.", "end programs that listen on ports")
