"""The part of the pipeline service that keeps the types of data and the modules, which are what steps run."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.graphs import Module, check_module
from nbhelpers.emulator.local_graphs import local_module
from nbhelpers.emulator.state import State
from nbhelpers.local.store import now

router = APIRouter()


class DataType(BaseModel):
    """A type of data, in the client's form."""

    Id: str
    Name: str
    Description: str | None = None
    IsDirectory: bool = False
    ParentDataTypeIds: list[str] | None = None


@router.get("/DataTypes")
def list_data_types(request: Request) -> list[dict[str, Any]]:
    """List the types of data; the SDK adds those that it misses."""
    cloud: State = request.app.state.cloud
    return list(cloud.documents.all("data type").values())


@router.post("/DataTypes")
def create_data_type(request: Request, given: DataType) -> dict[str, Any]:
    """Add a type of data."""
    cloud: State = request.app.state.cloud
    entity = given.model_dump() | entity_members(given.Id)
    cloud.documents.put("data type", given.Id, entity)
    return entity


@router.get("/Modules/Hash/{digest}")
def find_module(request: Request, digest: str) -> dict[str, Any]:
    """Get the latest module of a hash; then the SDK says that the step is eligible to reuse a previous output."""
    cloud: State = request.app.state.cloud
    found = cloud.documents.get("module hash", digest)
    if found is None:
        raise CloudError(404, "ModuleNotFound", f"There is no module of the hash {digest}.")
    return get_module(request, found["Id"])


@router.get("/Modules/{module_id}")
def get_module(request: Request, module_id: str) -> dict[str, Any]:
    """Get a module with its interface."""
    cloud: State = request.app.state.cloud
    module = cloud.documents.get("module", module_id) or local_module(cloud, module_id)
    if module is None:
        raise CloudError(404, "ModuleNotFound", f"There is no module {module_id!r}.")
    return {"Data": module, "Interface": _interface(module["StructuredInterface"])}


@router.post("/Modules")
def create_module(request: Request, module: Module) -> dict[str, Any]:
    """Add a module; 400 for one of another kind than an AutoMLStep's."""
    check_module(module)
    cloud: State = request.app.state.cloud
    # A module that is not said to be uploaded is not found by its hash: the SDK makes it again.
    entity = module.model_dump() | entity_members(str(uuid.uuid4())) | {"UploadState": "Completed"}
    cloud.documents.put("module", entity["Id"], entity)
    if module.IdentifierHash:
        cloud.documents.put("module hash", module.IdentifierHash, {"Id": entity["Id"]})
    return entity


def entity_members(id: str) -> dict[str, Any]:
    """What everything that the service makes has."""
    return {"Id": id, "Etag": None, "EntityStatus": "Active", "CreatedDate": now(), "LastModifiedDate": now()}


def _interface(structured: Mapping[str, Any]) -> dict[str, Any]:
    """The interface of a module in the form that the SDK reads, from the form that it sends."""

    def parameters(given: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
        return [
            {
                "Name": parameter["Name"],
                "DefaultValue": parameter.get("DefaultValue"),
                "IsOptional": parameter.get("IsOptional"),
                "Type": "String",
            }
            for parameter in given or []
        ]

    return {
        "Parameters": parameters(structured.get("Parameters")),
        "MetadataParameters": parameters(structured.get("MetadataParameters")),
        "DataPathParameters": [],
        "DataPathParameterList": [],
        "Ports": {
            "Inputs": [
                {
                    "Name": port["Name"],
                    "DataTypesIds": port.get("DataTypeIdsList"),
                    "IsOptional": port.get("IsOptional"),
                }
                for port in structured.get("Inputs") or []
            ],
            "Outputs": [
                {"Name": port["Name"], "DataTypeId": port.get("DataTypeId")} for port in structured.get("Outputs") or []
            ],
        },
    }
