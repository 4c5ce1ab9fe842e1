"""Which host answers for which service of the workspace."""

from __future__ import annotations

from fastapi import APIRouter

from nbhelpers.emulator.names import API, STUDIO

router = APIRouter()


@router.get("/discovery")
def addresses() -> dict[str, str]:
    """The base URL of each service, asked for without a token."""
    services = ("api", "experimentation", "history", "hyperdrive", "modelmanagement", "pipelines")
    return {**dict.fromkeys(services, API), "studio": STUDIO}
