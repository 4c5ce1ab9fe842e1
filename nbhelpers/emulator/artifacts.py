"""Artifacts: the list of a run's files, and where to download them from."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import RUN_CONTAINER
from nbhelpers.emulator.records import utc
from nbhelpers.emulator.run_files import url_of
from nbhelpers.emulator.state import Blob, State

router = APIRouter()

Json = dict[str, Any]


def _cloud(request: Request) -> State:
    cloud: State = request.app.state.cloud
    return cloud


Cloud = Annotated[State, Depends(_cloud)]


@router.get("/artifacts/prefix/contentinfo/{origin}/{container}/{path:path}")
def locate_all(cloud: Cloud, origin: str, container: str, path: str) -> Json:
    """The URLs of the files whose names begin with a text."""
    found = cloud.blobs.list(RUN_CONTAINER, f"{origin}/{container}/{path}")
    return {"value": [_location(cloud, blob) for blob in found], "continuationToken": None, "nextLink": None}


@router.get("/artifacts/contentinfo/{origin}/{container}/{path:path}")
def locate(cloud: Cloud, origin: str, container: str, path: str) -> Json:
    """The URL of a file."""
    blob = cloud.blobs.get(RUN_CONTAINER, f"{origin}/{container}/{path}")
    if blob is None:
        raise CloudError(404, "ResourceNotFound", f"There is no file {path!r} in {container!r}.")
    return _location(cloud, blob)


@router.get("/artifacts/{origin}/{container}")
@router.get("/artifacts/{origin}/{container}/{path:path}")
def list_all(cloud: Cloud, origin: str, container: str, path: str = "") -> Json:
    """The files of a run; those in a folder."""
    found = cloud.blobs.list(RUN_CONTAINER, f"{origin}/{container}/{path}")
    return {"value": [_artifact(blob) for blob in found], "continuationToken": None, "nextLink": None}


def _named(blob: Blob) -> dict[str, str]:
    origin, container, path = blob.name.split("/", 2)
    return {"origin": origin, "container": container, "path": path}


def _location(cloud: State, blob: Blob) -> Json:
    return {"contentUri": url_of(cloud, blob.name)} | _named(blob)


def _artifact(blob: Blob) -> Json:
    return _named(blob) | {"artifactId": blob.name, "etag": None, "createdTime": utc(blob.modified.isoformat())}
