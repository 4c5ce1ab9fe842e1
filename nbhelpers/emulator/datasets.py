"""The data set service: what the SDK's `register`, `get_by_name`, `get_by_id`, `update` and `ws.datasets` call."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from nbhelpers.emulator.definitions import SavedDataset, save
from nbhelpers.emulator.registrations import (
    Registration,
    get_definition,
    get_registered,
    register,
    registered_names,
    registration_of,
    unregister,
    update,
)

#: The most data sets in one answer to a listing.
PAGE = 100

router = APIRouter()


@router.post("/saveddatasets")
def save_dataset(request: Request, given: SavedDataset) -> dict[str, Any]:
    """Keep a definition without a name."""
    return save(request.app.state.cloud, given.dataflow_json, given.dataset_type, given.properties)


@router.get("/saveddatasets/{id}")
def saved_dataset(request: Request, id: str) -> dict[str, Any]:
    """A definition."""
    return get_definition(request.app.state.cloud, id)


@router.post("/datasets")
def register_dataset(
    request: Request,
    given: Registration,
    new_version: Annotated[bool, Query(alias="updateDefinitionIfExists")] = False,
) -> dict[str, Any]:
    """Give a definition a name."""
    return register(request.app.state.cloud, given, new_version=new_version)


@router.get("/datasets")
def list_datasets(
    request: Request,
    page_size: Annotated[int, Query(alias="pageSize", ge=1)] = PAGE,
    after: Annotated[str, Query(alias="continuationToken")] = "",
) -> dict[str, Any]:
    """The registered data sets by name, each in its latest version; the token is the last name of the page before."""
    cloud = request.app.state.cloud
    names = [name for name in registered_names(cloud) if name > after]
    page = names[: min(page_size, PAGE)]
    return _page([get_registered(cloud, name) for name in page], page[-1] if len(page) < len(names) else None)


@router.get("/datasets/query/name={name}")
def dataset_by_name(
    request: Request, name: str, version: Annotated[str | None, Query(alias="versionId")] = None
) -> dict[str, Any]:
    """A version of a registered data set."""
    return get_registered(request.app.state.cloud, name, version)


@router.get("/datasets/query/savedDatasetId={id}")
def datasets_by_saved_id(request: Request, id: str) -> dict[str, Any]:
    """The registered data set that a definition is a version of, if there is one."""
    found = registration_of(request.app.state.cloud, id)
    return _page([found] if found else [])


@router.put("/datasets/{id}")
def update_dataset(request: Request, id: str, given: Registration) -> dict[str, Any]:
    """Change the description and tags of a version."""
    return update(request.app.state.cloud, id, given)


@router.delete("/datasets/{name}")
def unregister_dataset(request: Request, name: str) -> None:
    """Forget a name with all its versions."""
    unregister(request.app.state.cloud, name)


def _page(found: list[dict[str, Any]], token: str | None = None) -> dict[str, Any]:
    return {"value": found, "continuationToken": token, "nextLink": None}
