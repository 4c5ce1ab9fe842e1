from __future__ import annotations

import logging
import sqlite3
import uuid

import httpx
import pytest
from fastapi import Request

from nbhelpers.errors import NbhelpersError, StoreError
from nbhelpers.local import PublishedPipeline
from nbhelpers.local.endpoints import PREFIX, SUBMIT_PATH
from nbhelpers.local.store import published_pipelines
from nbhelpers.service.errors import STATUSES, HTTPProblem, error_response

from ..local.faults import wait_until
from .conftest import Headers

NOBODY = f"{PREFIX}/PipelineRuns/{uuid.UUID(int=0)}"


def test_an_error_has_azures_form_and_an_id_that_the_log_has_too(
    client: httpx.Client, headers: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("nbhelpers.service")
    logger.addHandler(caplog.handler)
    try:
        answer = client.get(NOBODY, headers=headers())
        wait_until(lambda: caplog.records)  # a request is logged after it was answered
    finally:
        logger.removeHandler(caplog.handler)
    assert answer.status_code == 404
    body = answer.json()
    assert list(body) == ["Error", "Correlation", "Environment", "Location", "Time"]
    assert list(body["Error"]) == ["Code", "Message", "Target", "Details", "InnerError", "DebugInfo"]
    assert body["Error"]["Code"] == "NotFound"
    assert body["Error"]["Message"] == f"The workspace has no run '{uuid.UUID(int=0)}'."
    assert body["Error"]["Details"][0]["Code"] == "Remedy"
    identity = answer.headers["x-ms-request-id"]
    assert body["Correlation"] == {"operation": identity, "request": identity}
    (record,) = caplog.records
    assert record.__dict__["fields"]["request_id"] == identity


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nowhere", 404),
        ("GET", f"{PREFIX}/PipelineRuns/", 404),
        ("GET", "/healthz/", 404),
        ("POST", "/healthz", 405),
        ("DELETE", NOBODY, 405),
        ("OPTIONS", NOBODY, 405),
        ("TRACE", NOBODY, 405),
        ("BREW", "/healthz", 405),
    ],
)
def test_addresses_and_methods_that_there_are_not_have_the_form_too(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["Error"]["Code"] == STATUSES[status][0]


class _Full(sqlite3.OperationalError):
    sqlite_errorname = "SQLITE_FULL"


def _store_error(cause: Exception) -> StoreError:
    error = StoreError("The file /secret/path cannot be written.", "make room")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (_store_error(OSError(28, "No space left on device")), 507),
        (_store_error(_Full("database or disk is full")), 507),
        (OSError(28, "No space left on device"), 507),
        (_store_error(OSError(13, "Permission denied")), 503),
        (NbhelpersError("/secret/path", "secret"), 500),
        (ZeroDivisionError("/secret/path"), 500),
        (RecursionError("/secret/path"), 500),
    ],
)
def test_a_fault_of_the_service_is_explained_in_the_log_and_not_in_the_answer(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("nbhelpers.service")
    logger.addHandler(caplog.handler)
    try:
        answer = error_response(Request({"type": "http", "headers": []}), error)
    finally:
        logger.removeHandler(caplog.handler)
    assert answer.status_code == status
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    assert caplog.records[0].exc_info
    assert caplog.records[0].exc_info[1] is error


def test_an_exception_that_nobody_foresaw_is_answered_with_500(
    client: httpx.Client, headers: Headers, published: PublishedPipeline
) -> None:
    with published.workspace.store.writing() as connection:
        connection.execute(published_pipelines.update().values(definition={}))  # a fault that no code of ours makes
    answer = client.get(f"{PREFIX}/Pipelines", headers=headers())
    assert answer.status_code == 500
    assert answer.json()["Error"]["Message"] == "The service has a fault; its log has the reason."
    assert client.get("/healthz").status_code == 200


def test_a_workspace_that_was_removed_is_answered_with_503(
    client: httpx.Client, headers: Headers, published: PublishedPipeline
) -> None:
    home, sent = published.workspace.store.home, headers("submit")
    home.rename(home.with_name("removed"))  # its open files can still be read and written, as after a removal
    for answer in (
        client.get("/healthz"),
        client.post(SUBMIT_PATH.format(id=published.id), headers=sent, json={"ExperimentName": "lost"}),
    ):
        assert answer.status_code == 503
    assert not home.exists()


def test_a_problem_names_its_target() -> None:
    problem = HTTPProblem(400, "BadRequest", "Wrong.", "ExperimentName")
    assert b'"Target":"ExperimentName"' in error_response(Request({"type": "http", "headers": []}), problem).body
