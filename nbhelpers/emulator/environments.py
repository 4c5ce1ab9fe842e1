"""The environment service: the one curated environment that the SDK asks for before it submits to AutoML.

The runs of the emulator use the packages of this machine, whatever the environment says.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from nbhelpers.emulator.errors import CloudError

router = APIRouter()

NAME, VERSION, LABEL = "AzureML-AutoML", "1", "prod"


def curated() -> dict[str, Any]:
    """The environment in the client's form."""
    return {
        "name": NAME,
        "version": VERSION,
        "environmentVariables": {},
        "python": {"userManagedDependencies": True, "interpreterPath": "python", "condaDependencies": None},
        # The SDK searches this text for an old version of scikit-learn, and fails where there is no text.
        "docker": {"baseImage": None, "baseDockerfile": "FROM scratch"},
        "spark": {"repositories": [], "packages": [], "precachePackages": False},
        "inferencingStackVersion": None,
    }


@router.get("/environments/")
@router.get("/environments")
def list_environments() -> dict[str, Any]:
    """All environments."""
    return {"value": [curated()], "continuationToken": None}


@router.get("/environments/{name}")
def environment(name: str) -> dict[str, Any]:
    """The latest version of an environment."""
    return _environment(name, name == NAME)


@router.get("/environments/{name}/versions/{version}")
def environment_version(name: str, version: str) -> dict[str, Any]:
    """A version of an environment."""
    return _environment(f"{name}, version {version}", (name, version) == (NAME, VERSION))


@router.get("/environments/{name}/labels/{label}")
def labelled_environment(name: str, label: str) -> dict[str, Any]:
    """The version of an environment that has a label."""
    return _environment(f"{name}, label {label}", (name, label) == (NAME, LABEL))


def _environment(asked: str, known: bool) -> dict[str, Any]:
    if not known:
        # The SDK goes on without an environment if it finds the word NotFound in the answer.
        raise CloudError(404, "NotFound", f"The workspace has no environment {asked!r}; it has {NAME!r} only.")
    return curated()
