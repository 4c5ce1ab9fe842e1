"""Compute targets, over those of the local workspace."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import ARM, REGION, SCOPE, SUBSCRIPTION
from nbhelpers.emulator.state import State
from nbhelpers.errors import ComputeTargetException
from nbhelpers.local.compute import AmlCompute, ComputeTarget

router = APIRouter()

#: Documents of what the local workspace does not keep of a target, and of the operations on targets.
KIND, OPERATION = "compute", "operation"
#: The path under which operations are polled.
OPERATIONS = (
    f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/{REGION}"
    "/workspaceOperationsStatus"
)
#: Nodes are counted by their states under these names.
_NODE_STATES = [f"{state}NodeCount" for state in ("preparing", "running", "idle", "unusable", "leaving", "preempted")]


class _Part(BaseModel, extra="forbid"):
    """A part of a request, which says nothing that would be passed over: no virtual network, for example."""


class _Scale(_Part):
    minNodeCount: int  # noqa: N815 - the names of the wire
    maxNodeCount: int  # noqa: N815
    nodeIdleTimeBeforeScaleDown: Annotated[str, Field(pattern=r"^(PT[0-9]+S)?$")] = "PT1800S"  # noqa: N815


class _Sizes(_Part):
    vmSize: str = ""  # noqa: N815
    vmPriority: str = "dedicated"  # noqa: N815
    scaleSettings: _Scale  # noqa: N815
    remoteLoginPortPublicAccess: str = "NotSpecified"  # noqa: N815 - there is no machine to log in to


class _Properties(_Part):
    computeType: Literal["AmlCompute"]  # noqa: N815
    computeLocation: str = REGION  # noqa: N815
    description: str | None = None
    properties: _Sizes


class Compute(_Part):
    """A target as a client describes it."""

    location: str
    tags: dict[str, str] = {}
    properties: _Properties


class _NewSizes(_Part):
    scaleSettings: _Scale  # noqa: N815


class _NewProperties(_Part):
    computeType: Literal["AmlCompute"]  # noqa: N815
    properties: _NewSizes


class ComputeUpdate(_Part):
    """What a client wants to be otherwise."""

    properties: _NewProperties


@router.get("/computes")
def every(request: Request) -> dict[str, Any]:
    """All compute targets."""
    cloud: State = request.app.state.cloud
    return {"value": [_shown(cloud, target) for target in ComputeTarget.list(cloud.workspace)]}


@router.get("/computes/{name}")
def one(request: Request, name: str) -> dict[str, Any]:
    """A compute target by name."""
    cloud: State = request.app.state.cloud
    return _shown(cloud, _find(cloud, name))


@router.put("/computes/{name}")
def create(request: Request, name: str, body: Compute) -> JSONResponse:
    """Create a target, or give one that is there another number of nodes."""
    cloud: State = request.app.state.cloud
    wanted = body.properties.properties
    if name in cloud.workspace.compute_targets:
        there = _shown(cloud, _find(cloud, name))["properties"]["properties"]
        for key in ("vmSize", "vmPriority"):
            if getattr(wanted, key).lower() != there[key].lower():
                raise CloudError(
                    409,
                    "Conflict",
                    f"The name {name!r} is taken by a compute target whose {key} is {there[key]!r}, not "
                    f"{getattr(wanted, key)!r}. Use it as it is, choose another name, or delete it first.",
                )
    target = _keep(cloud, name, wanted.vmSize, wanted.vmPriority, wanted.scaleSettings)
    kept = {
        "vmPriority": wanted.vmPriority,
        "idle": wanted.scaleSettings.nodeIdleTimeBeforeScaleDown,
        "tags": body.tags,
        "description": body.properties.description,
    }
    cloud.documents.put(KIND, name, kept)
    return JSONResponse(_shown(cloud, target), 201, _operation(cloud))


@router.patch("/computes/{name}")
def update(request: Request, name: str, body: ComputeUpdate) -> dict[str, Any]:
    """Give a target another number of nodes; done with the answer, so it names no operation."""
    cloud: State = request.app.state.cloud
    target, kept = _find(cloud, name), _kept(cloud, name)
    scale = body.properties.properties.scaleSettings
    target = _keep(cloud, name, target.vm_size, kept["vmPriority"], scale)
    cloud.documents.put(KIND, name, {**kept, "idle": scale.nodeIdleTimeBeforeScaleDown})
    return _shown(cloud, target)


@router.delete("/computes/{name}")
def delete(
    request: Request, name: str, action: Annotated[str, Query(alias="underlyingResourceAction")] = "Delete"
) -> Response:
    """Delete a target."""
    cloud: State = request.app.state.cloud
    if action.lower() != "delete":
        raise CloudError(400, "BadRequest", f"A compute target can be deleted, not {action!r}.")
    _find(cloud, name).delete()
    cloud.documents.delete(KIND, name)
    return Response(None, 202, _operation(cloud))


def _find(cloud: State, name: str) -> ComputeTarget:
    try:
        return ComputeTarget(cloud.workspace, name)
    except ComputeTargetException as error:
        raise CloudError(404, "ResourceNotFound", str(error)) from None


def _keep(cloud: State, name: str, vm_size: str, vm_priority: str, scale: _Scale) -> ComputeTarget:
    seconds = int("0" + re.sub(r"\D", "", scale.nodeIdleTimeBeforeScaleDown))
    config = AmlCompute.provisioning_configuration(
        vm_size, vm_priority, scale.minNodeCount, scale.maxNodeCount, seconds
    )
    return ComputeTarget.create(cloud.workspace, name, config)


def _kept(cloud: State, name: str) -> dict[str, Any]:
    """What the local workspace does not keep of a target; defaults for one that was not made by this service."""
    defaults: dict[str, Any] = {"vmPriority": "dedicated", "idle": "PT1800S", "tags": {}, "description": None}
    return defaults | (cloud.documents.get(KIND, name) or {})


def _operation(cloud: State) -> dict[str, str]:
    """The header that names a new operation, which the client polls until it has succeeded."""
    operation = str(uuid.uuid4())
    cloud.documents.put(OPERATION, operation, {"polled": False})
    return {"Azure-AsyncOperation": f"{ARM}{OPERATIONS}/{operation}?api-version=2020-02-02"}


def _shown(cloud: State, target: ComputeTarget) -> dict[str, Any]:
    """A target as clients read it; they fail where a member is missing, `subnet` included."""
    kept, status = _kept(cloud, target.name), target.get_status()
    return {
        "id": f"{SCOPE}/computes/{target.name}",
        "name": target.name,
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": REGION,
        "tags": kept["tags"],
        "properties": {
            "computeType": target.type,
            "computeLocation": REGION,
            "description": kept["description"],
            "resourceId": None,
            "isAttachedCompute": False,
            "provisioningState": status.provisioning_state,
            "provisioningErrors": None,
            "properties": {
                "vmSize": target.vm_size,
                "vmPriority": kept["vmPriority"],
                "scaleSettings": {
                    "minNodeCount": target.min_nodes,
                    "maxNodeCount": target.max_nodes,
                    "nodeIdleTimeBeforeScaleDown": kept["idle"],
                },
                "subnet": None,
                "allocationState": status.allocation_state,
                "currentNodeCount": status.current_node_count,
                "targetNodeCount": status.target_node_count,
                # Slots of this machine, which are always there; who uses them is not counted.
                "nodeStateCounts": dict.fromkeys(_NODE_STATES, 0) | {"idleNodeCount": status.current_node_count},
                "errors": None,
            },
        },
    }
