"""The made-up names and ids of the emulated cloud, and the host names that stand for its services."""

from __future__ import annotations

TENANT = "00000000-0000-4000-a000-000000000001"
SUBSCRIPTION = "00000000-0000-4000-a000-000000000002"
CLIENT = "00000000-0000-4000-a000-000000000003"
WORKSPACE_ID = "00000000-0000-4000-a000-000000000004"
RESOURCE_GROUP = "emulated-group"
WORKSPACE = "emulated-workspace"
REGION = "westeurope"
ACCOUNT = "emulatedstorage"
DATASTORE = "workspaceblobstore"
#: The containers of the storage account: that of the default data store, and that of the files of runs.
DATA_CONTAINER, RUN_CONTAINER = "azureml-blobstore", "azureml"

#: The scope that the URLs of nearly all calls contain.
SCOPE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)

#: By host name, the first part of the path under which the application answers for it.
HOSTS = {
    "management.azure.com": "/arm",
    "login.microsoftonline.com": "/login",
    f"{REGION}.api.azureml.ms": "/api",
    f"{ACCOUNT}.blob.core.windows.net": "/blob",
    "dc.services.visualstudio.com": "/telemetry",
}
ARM, LOGIN, API, BLOB = (
    f"https://{host}"
    for host in (
        "management.azure.com",
        "login.microsoftonline.com",
        f"{REGION}.api.azureml.ms",
        f"{ACCOUNT}.blob.core.windows.net",
    )
)
STUDIO = "https://ml.azure.com"
