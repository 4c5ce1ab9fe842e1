"""The log of the emulated cloud: one JSON object a line, without tokens, in the workspace."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nbhelpers.service.log import JsonFormatter
from nbhelpers.service.starting import MOST_LOG

logger = logging.getLogger("nbhelpers.emulator")


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Write to a file what the emulated cloud and its servers log, for the length of a `with` block."""
    path.touch(mode=0o600)
    handler = logging.FileHandler(path, "a" if path.stat().st_size < MOST_LOG else "w", encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    loggers = [logger, logging.getLogger("uvicorn"), logging.getLogger("asyncio")]
    logger.setLevel(logging.INFO)
    for one in loggers:
        one.addHandler(handler)
    try:
        yield
    finally:
        for one in loggers:
            one.removeHandler(handler)
        handler.close()


class RequestLog:
    """A line in the log for each request: method, URL without query, status (None: no answer), seconds.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        began, status = time.perf_counter(), None

        async def answer(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            fields = {"method": scope["method"], "url": scope.get("state", {}).get("url"), "status": status}
            fields["seconds"] = round(time.perf_counter() - began, 3)
            logger.info("request", extra={"fields": fields})
