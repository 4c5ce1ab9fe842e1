"""The data service, as far as the SDK asks it: definitions in the form that its reader of rows understands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from nbhelpers.emulator.definitions import get_saved, rows_definition
from nbhelpers.emulator.errors import CloudError

router = APIRouter()

#: What the SDK writes before the id of a definition, in the place of the name of a data asset.
UNREGISTERED = "unregistered-"


@router.get("/dataversion/{name}/versions/{version}")
def data_version(request: Request, name: str, version: str) -> dict[str, Any]:
    """A definition; assets of SDK v2, for which the SDK looks as well, there are none."""
    if not name.startswith(UNREGISTERED):
        raise CloudError(404, "NotFound", f"The workspace has no data asset {name!r}, version {version}.")
    saved = get_saved(request.app.state.cloud, name.removeprefix(UNREGISTERED))
    return {"legacyDataflow": rows_definition(saved["dataflowJson"]), "dataVersion": {"properties": {}}}
