"""The application: its routes, the page of its API, and what happens to each request before and after them."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nbhelpers.errors import StoreError
from nbhelpers.local.endpoints import PREFIX, workspace_id
from nbhelpers.local.store import Store
from nbhelpers.local.workspace import Workspace
from nbhelpers.service import pipelines, scoring
from nbhelpers.service.errors import RESPONSES, add_handlers, error_response, request_id
from nbhelpers.service.limits import Limits, Rates
from nbhelpers.service.security import LOOPBACK, check_source

DESCRIPTION = """
Published pipelines are run, and deployed models asked, with the URLs, bodies and errors of Azure ML.
Requests carry a token of the workspace: `Authorization: Bearer nbh_…`, made by `nbhelpers token create`.
"""
VERSION = version("nbhelpers")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}

logger = logging.getLogger("nbhelpers.service")


def create_app(workspace: Workspace, limits: Limits | None = None, hosts: Iterable[str] | None = LOOPBACK) -> FastAPI:
    """Make the application of a workspace.

    Parameters
    ----------
    workspace : Workspace
    limits : Limits, optional
    hosts : iterable of str or None
        The names by which it is called. None: any, where a certificate proves the name.
    """
    limits = limits or Limits()
    app = FastAPIOffline(
        title="nbhelpers",
        version=VERSION,
        description=DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.workspace, app.state.limits, app.state.rates = workspace, limits, Rates(limits)
    add_handlers(app)
    app.add_middleware(Gate, hosts=None if hosts is None else frozenset(hosts))
    app.include_router(pipelines.router, prefix=PREFIX)
    app.include_router(scoring.router)

    @app.get("/healthz", tags=["Service"], responses={status: RESPONSES[status] for status in (400, 403, 500, 503)})
    def healthz() -> dict[str, str]:
        """Say that the service answers and can read its workspace, and which one that is. Takes no token."""
        workspace.store.one(sa.select(1))
        return {"status": "ok", "workspace": workspace_id(workspace.store), "version": VERSION}

    document = _document(app)

    def openapi() -> dict[str, Any]:
        current = copy.deepcopy(document)  # models are deployed while the service runs
        scoring.add_schemas(current, workspace)
        return current

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, without the 422 that FastAPI adds: wrong requests are answered with 400."""
    document = app.openapi()
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    document["components"]["schemas"] |= pipelines.body_schemas()
    return document


def _check_there(store: Store) -> None:
    """Refuse to go on with a workspace whose folder was removed: its open files would still take runs."""
    if not (store.home / "workspace.db").is_file():
        raise StoreError(f"The workspace {store.home} was removed.", "end this service")


class Gate:
    """What every request passes first and last: its id, where it comes from, unforeseen errors, and a line in the log.

    Parameters
    ----------
    app : ASGI application
    hosts : frozenset of str or None
        As in `create_app`.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        identity = request_id(request)
        began = time.perf_counter()
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS | {"x-ms-request-id": identity})
            await send(message)

        try:
            try:
                check_source(request, self.hosts)
                _check_there(request.app.state.workspace.store)
                await self.app(scope, receive, answer)
            except Exception as error:
                if status is not None:  # half an answer cannot be taken back
                    raise
                await error_response(request, error)(scope, receive, answer)
        finally:
            fields = {
                "request_id": identity,
                "method": request.method,
                "path": scope["path"],
                "status": status,
                "ms": round(1000 * (time.perf_counter() - began), 1),
                "token": getattr(request.state, "token_id", None),
                "client": request.client.host if request.client else None,
            }
            logger.info("request", extra={"fields": fields})
