"""The errors of the emulated services, in the form that the SDK reads."""

from __future__ import annotations

import logging
import uuid
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nbhelpers.errors import NbhelpersError
from nbhelpers.local.store import now
from nbhelpers.service.errors import as_problem

logger = logging.getLogger("nbhelpers.emulator")


class CloudError(Exception):
    """What an emulated service answers instead of a result.

    Parameters
    ----------
    status : int
        The HTTP status.
    code : str
        A word for programs, Azure's where it is known.
    message : str
        What is wrong, for people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def error_response(request: Request, error: Exception) -> Response:
    """The answer for an exception: JSON with Azure ML's members, for the storage account XML."""
    if isinstance(error, CloudError):
        status, code, message = error.status, error.code, error.message
    else:
        problem = as_problem(error)
        status, code, message = problem.status_code, problem.code, problem.message
        remedies = [detail["Message"] for detail in problem.details]
        message = " ".join([message, *(text[:1].upper() + text[1:] for text in remedies)])
        if status >= 500:
            # The SDK repeats what is answered with 5xx for minutes; a mistake of the emulator shall show at once.
            logger.error(message, exc_info=error)
            status, message = 400, f"The emulator has a fault: {type(error).__name__}: {error}"
    headers = {"x-ms-request-id": str(uuid.uuid4())}
    if status == 429:
        headers["Retry-After"] = "1"
    if getattr(request.state, "host", "").partition(".")[2].startswith("blob."):
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        headers["x-ms-error-code"] = code
        return Response(f'<?xml version="1.0" encoding="utf-8"?>{text}', status, headers, "application/xml")
    body: dict[str, Any] = {
        # `details` has to be a list: the SDK fails on writing down an error that lacks it.
        "error": {"code": code, "message": message, "target": None, "details": [], "innerError": None},
        # The client of the model service reads these two, and shows no message otherwise.
        "code": code,
        "message": message,
        # The client of the pipeline service reads the same under these names.
        "Error": {"Code": code, "Message": message, "Target": None, "Details": [], "InnerError": None},
        "correlation": {"operation": headers["x-ms-request-id"], "request": headers["x-ms-request-id"]},
        "environment": "emulator",
        "location": "emulator",
        "time": now(),
    }
    return JSONResponse(body, status, headers)


def add_handlers(app: FastAPI) -> None:
    """Let an app answer every exception in the form of this module."""

    async def handle(request: Request, error: Exception) -> Response:
        return error_response(request, error)

    for kind in (CloudError, HTTPException, RequestValidationError, NbhelpersError, Exception):
        app.add_exception_handler(kind, handle)
