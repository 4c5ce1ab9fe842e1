"""What one request, one token and all of them together may ask of the service."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from nbhelpers.service.errors import HTTPProblem


@dataclass(frozen=True)
class Limits:
    """The limits of a service.

    Attributes
    ----------
    body_bytes, score_bytes : int
        The largest body, and the largest with rows for a model.
    score_rows : int
        The most rows for a model in one request.
    head_seconds, body_seconds : float
        How long the head and the body of a request may take to arrive.
    requests_per_second, burst : int
        How many requests a token may make for long, and at once.
    unfinished_runs : int
        While the workspace has so many runs that have not ended, no other is accepted. Each is a process of about
        200 MB, at work or waiting for a slot.
    connections : int
        Open connections; above, requests are answered with 503 at once.
    """

    body_bytes: int = 2**20
    score_bytes: int = 10 * 2**20
    score_rows: int = 10_000
    head_seconds: float = 10
    body_seconds: float = 10
    requests_per_second: int = 100
    burst: int = 200
    unfinished_runs: int = 10
    connections: int = 500


class Rates:
    """How often each token asks."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}  # when the requests so far would have come at the rate allowed for long

    def take(self, token_id: str) -> None:
        """Count a request; 429 if the token has made too many."""
        interval = 1 / self._limits.requests_per_second
        with self._lock:
            now = time.monotonic()
            due = max(self._due.get(token_id, now), now) + interval
            early = due - now - self._limits.burst * interval
            if early <= 0:
                self._due[token_id] = due
        if early > 0:
            raise too_many("This token has made too many requests.", early)


def too_many(message: str, seconds: float) -> HTTPProblem:
    """The problem of a request that may be repeated after some seconds."""
    return HTTPProblem(429, "TooManyRequests", message, headers={"Retry-After": str(max(1, math.ceil(seconds)))})


async def read_json(request: Request, most_bytes: int) -> Any:
    """Read the body of a request as JSON; a route calls it after the token was checked.

    Raises
    ------
    HTTPProblem
        415 for another content type, 413 for a body above `most_bytes`, 408 for one that comes too slowly, 400 for one
        that is not JSON, or is nested too deeply.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPProblem(
            415, "UnsupportedMediaType", f"The Content-Type is {kind[:100]!r}, not application/json.", "Content-Type"
        )
    body = await _read(request, most_bytes)
    try:
        return await run_in_threadpool(from_json, body, allow_inf_nan=False)
    except ValueError as error:
        raise HTTPProblem(400, "BadRequest", f"The body is not JSON: {error}.", "body") from None


async def _read(request: Request, most_bytes: int) -> bytes:
    too_large = HTTPProblem(413, "PayloadTooLarge", f"The body is larger than {most_bytes:,} bytes.", "body")
    if int(request.headers.get("content-length", 0)) > most_bytes:
        raise too_large
    seconds = request.app.state.limits.body_seconds
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise too_large
    except TimeoutError:
        message = f"The body did not arrive within {seconds:g} s."
        raise HTTPProblem(408, "RequestTimeout", message, "body", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPProblem(400, "BadRequest", "The connection was closed before the body was complete.") from None
    return bytes(body)
