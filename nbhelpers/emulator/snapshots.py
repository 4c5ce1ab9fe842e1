"""The content service: snapshots of the folder that a step is submitted with.

The client uploads the files itself, to addresses that this service gives, and then describes the folder. Steps of
AutoML run no code from it, so the files are kept and not read.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import BLOB, RUN_CONTAINER
from nbhelpers.emulator.state import State
from nbhelpers.emulator.storage import access_token

router = APIRouter()

SNAPSHOT = "snapshot"
#: What the client compares its first folder with.
_EMPTY = {
    "id": str(uuid.UUID(int=0)),
    "root": {"name": "", "type": "Directory", "hash": "", "timestamp": "0001-01-01T00:00:00", "children": {}},
}


class FileNames(BaseModel):
    """Files that the client is about to upload, by their paths in the folder."""

    model_config = ConfigDict(strict=True)

    FileNames: list[str]


class Snapshot(BaseModel):
    """A folder: the tree of its files with their digests, which the client makes up and reads again."""

    model_config = ConfigDict(strict=True)

    DirTreeNode: dict[str, Any]
    Files: dict[str, list[dict[str, Any]]] = Field(alias="FileRevisionList")


@router.get("/v1.0/snapshots/latest/metadata")
def latest(request: Request) -> dict[str, Any]:
    """The latest snapshot; the client uploads what has changed since."""
    cloud: State = request.app.state.cloud
    return [_EMPTY, *cloud.documents.all(SNAPSHOT).values()][-1]


@router.post("/v2.0/snapshots/getblob")
def addresses(request: Request, files: FileNames) -> dict[str, Any]:
    """Where to upload files to."""
    folder = f"{BLOB}/{RUN_CONTAINER}/snapshots/{uuid.uuid4()}"
    token = access_token(request.app.state.cloud)
    return {"fileNodes": [{"fullName": n, "blobUri": f"{folder}/{quote(n)}?{token}"} for n in files.FileNames]}


@router.post("/v2.0/snapshots/{id}")
def create(request: Request, id: str, snapshot: Snapshot) -> dict[str, Any]:
    """Keep a snapshot whose files have been uploaded."""
    cloud: State = request.app.state.cloud
    try:
        id = str(uuid.UUID(id))
    except ValueError as error:
        raise CloudError(400, "BadRequest", f"The id {id!r} of the snapshot is no UUID.") from error
    kept = {"id": id, "root": snapshot.DirTreeNode}
    cloud.documents.put(SNAPSHOT, id, kept)
    return kept
