"""The data store of the workspace: a container of the emulated storage account, with what opens it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import ACCOUNT, DATA_CONTAINER, DATASTORE, RESOURCE_GROUP, SUBSCRIPTION
from nbhelpers.emulator.storage import access_token

router = APIRouter()


@router.get("/default")
def default(request: Request) -> dict[str, Any]:
    """The only data store, which is the default one."""
    token = access_token(request.app.state.cloud)
    return {
        "name": DATASTORE,
        "dataStoreType": "AzureBlob",
        "hasBeenValidated": True,
        "isDefault": True,
        "tags": {},
        "azureStorageSection": {
            "accountName": ACCOUNT,
            "containerName": DATA_CONTAINER,
            "endpoint": "core.windows.net",
            "protocol": "https",
            "credentialType": "Sas",
            "credential": token,
            "isSas": True,
            "sasToken": token,
            "accountKey": None,
            "subscriptionId": SUBSCRIPTION,
            "resourceGroup": RESOURCE_GROUP,
            "areWorkspaceManagedIdentitiesAllowed": False,
        },
    }


@router.get("/datastores")
def every(request: Request) -> dict[str, Any]:
    """All data stores."""
    return {"value": [default(request)], "continuationToken": None, "nextLink": None}


@router.get("/datastores/{name}")
def one(request: Request, name: str) -> dict[str, Any]:
    """A data store by name."""
    if name.lower() != DATASTORE:
        raise CloudError(
            404, "UserError", f"Could not find datastore {name!r}: the emulated workspace has only {DATASTORE!r}."
        )
    return default(request)
