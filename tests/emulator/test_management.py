from __future__ import annotations

from fastapi.testclient import TestClient

from nbhelpers.emulator.names import API, ARM, DATASTORE, LOGIN, SCOPE, STUDIO, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID

from .conftest import Ask


def test_the_addresses_of_the_cloud_need_no_token(stranger: TestClient) -> None:
    (azure,) = stranger.get(f"{ARM}/metadata/endpoints", params={"api-version": "2019-05-01"}).json()

    assert (azure["name"], azure["resourceManager"]) == ("AzureCloud", ARM)
    assert azure["authentication"]["loginEndpoint"] == LOGIN
    assert azure["suffixes"]["storage"] == "core.windows.net"


def test_the_workspace_is_found_by_its_names(ask: Ask, stranger: TestClient) -> None:
    (subscription,) = ask("GET", f"{ARM}/subscriptions").json()["value"]
    workspace = ask("GET", ARM + SCOPE).json()

    assert subscription["subscriptionId"] == SUBSCRIPTION
    assert (workspace["id"], workspace["name"]) == (SCOPE, WORKSPACE)
    assert workspace["properties"]["workspaceId"] == WORKSPACE_ID
    addresses = stranger.get(workspace["properties"]["discoveryUrl"]).json()  # without a token, as the SDK does
    assert {addresses[name] for name in ("api", "history", "experimentation", "modelmanagement")} == {API}
    assert addresses["studio"] == STUDIO


def test_the_workspace_is_the_only_one_of_its_subscription(ask: Ask) -> None:
    kind = {"$filter": "resourceType eq 'Microsoft.MachineLearningServices/workspaces'"}

    def names(subscription: str, **params: str) -> list[str]:
        found = ask("GET", f"{ARM}/subscriptions/{subscription}/resources", params=params).json()["value"]
        return [resource["name"] for resource in found]

    assert names(SUBSCRIPTION, **kind) == [WORKSPACE]
    assert names(WORKSPACE_ID, **kind) == []
    assert names(SUBSCRIPTION) == []


def test_telemetry_is_taken(stranger: TestClient) -> None:
    answer = stranger.post("https://dc.services.visualstudio.com/v2/track", content=b"anything")

    assert answer.status_code == 200
    assert answer.json()["errors"] == []


def test_the_data_store_is_a_container_with_a_signature(ask: Ask, stranger: TestClient) -> None:
    base = f"{API}/datastore/v1.0{SCOPE}"
    default = ask("GET", f"{base}/default").json()

    assert default == ask("GET", f"{base}/datastores/{DATASTORE.upper()}").json()
    assert [default] == ask("GET", f"{base}/datastores").json()["value"]
    section = default["azureStorageSection"]
    assert (default["name"], default["dataStoreType"]) == (DATASTORE, "AzureBlob")
    url = f"{section['protocol']}://{section['accountName']}.blob.{section['endpoint']}/{section['containerName']}"
    assert stranger.get(f"{url}?comp=list&restype=container&{section['sasToken']}").status_code == 200
    assert stranger.get(f"{url}?comp=list&restype=container").status_code == 403


def test_another_data_store_is_not_there(ask: Ask) -> None:
    answer = ask("GET", f"{API}/datastore/v1.0{SCOPE}/datastores/other")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == (
        "Could not find datastore 'other': the emulated workspace has only 'workspaceblobstore'."
    )
