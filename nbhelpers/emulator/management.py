"""Azure Resource Manager: the cloud's addresses, the subscription and the workspace."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from nbhelpers.emulator import compute
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import (
    ACCOUNT,
    API,
    ARM,
    LOGIN,
    REGION,
    RESOURCE_GROUP,
    SCOPE,
    SUBSCRIPTION,
    TENANT,
    WORKSPACE,
    WORKSPACE_ID,
)
from nbhelpers.emulator.state import State

router = APIRouter()
router.include_router(compute.router)


@router.get("/metadata/endpoints")
def endpoints() -> list[dict[str, Any]]:
    """The addresses of the cloud; the client fails on some of those that are left out."""
    return [
        {
            "name": "AzureCloud",
            "portal": "https://portal.azure.com",
            "authentication": {
                "loginEndpoint": LOGIN,
                "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "resourceManager": ARM,
            "graph": "https://graph.windows.net/",
            "graphAudience": "https://graph.windows.net/",
            "batch": "https://batch.core.windows.net/",
            "gallery": "https://gallery.azure.com/",
            "media": "https://rest.media.azure.net",
            "sqlManagement": "https://management.core.windows.net:8443/",
            "suffixes": {
                "storage": "core.windows.net",
                "keyVaultDns": "vault.azure.net",
                "sqlServerHostname": "database.windows.net",
                "acrLoginServer": "azurecr.io",
            },
        }
    ]


@router.get("/subscriptions")
def subscriptions() -> dict[str, Any]:
    """The one subscription."""
    subscription = {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
        "displayName": "Emulated subscription",
        "state": "Enabled",
    }
    return {"value": [subscription]}


@router.get("/subscriptions/{subscription}/resources")
def resources(subscription: str, kind: Annotated[str, Query(alias="$filter")] = "") -> dict[str, Any]:
    """The one workspace, in a list."""
    wanted = subscription.lower() == SUBSCRIPTION and "machinelearningservices/workspaces" in kind.lower()
    return {"value": [workspace()] if wanted else []}


@router.get("")
def workspace() -> dict[str, Any]:
    """The workspace."""
    providers = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers"
    return {
        "id": SCOPE,
        "name": WORKSPACE,
        "type": "Microsoft.MachineLearningServices/workspaces",
        "location": REGION,
        "tags": {},
        "sku": {"name": "Basic", "tier": "Basic"},
        "properties": {
            "workspaceId": WORKSPACE_ID,
            "friendlyName": WORKSPACE,
            "discoveryUrl": f"{API}/discovery",
            "provisioningState": "Succeeded",
            "storageAccount": f"{providers}/Microsoft.Storage/storageAccounts/{ACCOUNT}",
        },
    }


@router.get(f"{compute.OPERATIONS}/{{operation}}")
def operation(request: Request, operation: str) -> dict[str, str]:
    """How far an operation is: begun when it is first asked about, and then done."""
    cloud: State = request.app.state.cloud
    found = cloud.documents.get(compute.OPERATION, operation)
    if found is None:
        raise CloudError(404, "NotFound", f"There is no operation {operation!r}.")
    cloud.documents.put(compute.OPERATION, operation, {"polled": True})
    return {"status": "Succeeded" if found["polled"] else "InProgress"}
