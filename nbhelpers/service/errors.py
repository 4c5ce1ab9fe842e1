"""The errors of the service: one form for all, that of Azure's pipeline service."""

from __future__ import annotations

import errno
import logging
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from nbhelpers.errors import (
    AuthenticationException,
    ComputeTargetException,
    ConfigException,
    ConflictError,
    NbhelpersError,
    NotFoundError,
    PermissionException,
    StoreError,
    UserErrorException,
)
from nbhelpers.local.store import now

#: The code of each status that the service answers with, and what it means there.
STATUSES = {
    400: ("BadRequest", "A name, value or header of the request is wrong."),
    401: ("Unauthorized", "The token is missing, unknown or expired."),
    403: ("Forbidden", "The token has another scope, or the request comes from the page of another site."),
    404: ("NotFound", "There is no such pipeline, run, service or address."),
    405: ("MethodNotAllowed", "The address takes another method."),
    408: ("RequestTimeout", "The body did not arrive in time."),
    409: ("Conflict", "The pipeline is disabled."),
    413: ("PayloadTooLarge", "The body is too large."),
    415: ("UnsupportedMediaType", "The body is not called JSON."),
    429: (
        "TooManyRequests",
        "Too many requests, or runs that have not ended; Retry-After says when to repeat.",
    ),
    500: ("InternalServerError", "The service has a fault; its log has the reason under the same id."),
    503: ("ServiceUnavailable", "The workspace cannot be read or written at the moment."),
    507: ("InsufficientStorage", "The disk of the workspace is full."),
}

#: The status of each exception that says what is wrong with a request; the first that fits.
_STATUS_OF = {
    AuthenticationException: 401,
    PermissionException: 403,
    NotFoundError: 404,
    ConflictError: 409,
    UserErrorException: 400,
    ConfigException: 400,
    ComputeTargetException: 400,
}

logger = logging.getLogger("nbhelpers.service")


class HTTPProblem(HTTPException):
    """What is answered instead of a result.

    Parameters
    ----------
    status : int
        The HTTP status, one of `STATUSES`.
    code : str
        A word for programs.
    message : str
        What is wrong, for people.
    target : str, optional
        The part of the request that is wrong.
    headers : mapping, optional
        More headers of the answer.
    details : iterable of dict, optional
        Each with ``Code``, ``Message`` and ``Target``: several things that are wrong, or the remedy.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Iterable[dict[str, Any]] = (),
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.message = message
        self.target = target
        self.details = list(details)


class _Detail(BaseModel):
    Code: str
    Message: str
    Target: str | None


class _Error(_Detail):
    Details: list[_Detail]
    InnerError: dict[str, Any] | None
    DebugInfo: dict[str, Any] | None


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    Error: _Error
    Correlation: dict[str, str]
    Environment: str
    Location: str
    Time: str


#: For the page of the API: what any route may answer.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning} for status, (_, meaning) in STATUSES.items()
}


def request_id(request: Request) -> str:
    """The id under which the answer and the log name a request."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = str(uuid.uuid4())
    return str(request.state.request_id)


def error_response(request: Request, error: Exception) -> JSONResponse:
    """The answer for an exception, which is also logged where the fault is the service's own."""
    problem = as_problem(error)
    identity = request_id(request)
    if problem.status_code >= 500:
        logger.error(problem.message, exc_info=error, extra={"fields": {"request_id": identity}})
    return JSONResponse(error_content(problem, identity), problem.status_code, problem.headers)


def error_content(problem: HTTPProblem, identity: str) -> dict[str, Any]:
    """The body of the answer to the request with an id."""
    return {
        "Error": {
            "Code": problem.code,
            "Message": problem.message,
            "Target": problem.target,
            "Details": problem.details,
            "InnerError": None,
            "DebugInfo": None,
        },
        "Correlation": {"operation": identity, "request": identity},
        "Environment": "local",
        "Location": "local",
        "Time": now(),
    }


def add_handlers(app: FastAPI) -> None:
    """Let an app answer every exception in the form of this module."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return error_response(request, error)

    for kind in (HTTPException, RequestValidationError, NbhelpersError):
        app.add_exception_handler(kind, handle)


def as_problem(error: Exception) -> HTTPProblem:
    """What is answered for any exception."""
    if isinstance(error, HTTPProblem):
        return error
    if isinstance(error, HTTPException):  # Starlette's own: no such address, another method
        code = STATUSES.get(error.status_code, ("Error", ""))[0]
        return HTTPProblem(error.status_code, code, str(error.detail), headers=error.headers)
    if isinstance(error, RequestValidationError):
        return invalid(error.errors())
    if _disk_is_full(error):
        return _of_status(507, "The disk of the workspace is full, so nothing was written.")
    if isinstance(error, StoreError):
        return _of_status(503, "The workspace cannot be read or written at the moment; the log has the reason.")
    for kind, status in _STATUS_OF.items():
        if isinstance(error, kind):
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            remedy = {"Code": "Remedy", "Message": error.remedy, "Target": None}
            return HTTPProblem(status, STATUSES[status][0], error.problem, headers=headers, details=[remedy])
    return _of_status(500, "The service has a fault; its log has the reason.")


def invalid(errors: Iterable[Mapping[str, Any]]) -> HTTPProblem:
    """The problem of a request whose parts pydantic found wrong; it names all of them."""
    details = [
        {"Code": "BadArgument", "Message": found["msg"], "Target": ".".join(map(str, found["loc"]))} for found in errors
    ]
    message = "; ".join(f"{detail['Target']}: {detail['Message']}" for detail in details)
    return HTTPProblem(400, "BadRequest", message, details[0]["Target"], details=details)


def _of_status(status: int, message: str) -> HTTPProblem:
    return HTTPProblem(status, STATUSES[status][0], message)


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that there is no room left."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(error, "sqlite_errorname", None) == "SQLITE_FULL":
            return True
        error = getattr(error, "orig", None) or error.__cause__
    return False
