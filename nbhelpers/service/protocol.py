"""HTTP as this service speaks it: no connection takes long over the head of a request, and every error has one form."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from nbhelpers.service.errors import HTTPProblem, error_content
from nbhelpers.service.limits import Limits

logger = logging.getLogger("nbhelpers.service")


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP, which closes a connection that is too long without a whole head of a request."""

    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # noqa: D102
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:  # noqa: D102
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:  # noqa: D102
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if self._clock is not None:
            self._clock.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Let the clock run while no request is being answered, and only then."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and self._clock is not None:
            self._clock.cancel()
            self._clock = None
        elif not answering and self._clock is None:
            limits: Limits = self.config.app.state.limits  # type: ignore[union-attr]
            self._clock = self.loop.call_later(limits.head_seconds, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the form of all errors."""
        identity = str(uuid.uuid4())
        logger.warning(msg, extra={"fields": {"request_id": identity}})
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # it has been answered already
            self.transport.close()
            return
        body = json.dumps(error_content(HTTPProblem(400, "BadRequest", msg), identity)).encode()
        headers = [("Content-Type", "application/json"), ("Connection", "close"), ("x-ms-request-id", identity)]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
