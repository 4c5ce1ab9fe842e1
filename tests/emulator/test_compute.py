from __future__ import annotations

import copy
from typing import Any

import pytest

from nbhelpers.emulator.names import API, ARM, REGION, SCOPE
from nbhelpers.emulator.state import State
from nbhelpers.local import AmlCompute, ComputeTarget

from .conftest import Ask

WRITE, READ = f"{ARM}{SCOPE}/computes", f"{API}/rp/workspaces{SCOPE}/computes"
BODY: dict[str, Any] = {
    "location": REGION,
    "tags": {"team": "a"},
    "properties": {
        "computeType": "AmlCompute",
        "description": "for tests",
        "properties": {
            "vmSize": "STANDARD_D2_V2",
            "vmPriority": "lowpriority",
            "scaleSettings": {"minNodeCount": 1, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT60S"},
        },
    },
}


def sizes(changes: dict[str, Any]) -> dict[str, Any]:
    body = copy.deepcopy(BODY)
    body["properties"]["properties"] |= changes
    return body


def test_a_created_target_is_one_of_the_local_workspace(cloud: State, ask: Ask) -> None:
    assert ask("PUT", f"{WRITE}/cpu", json=BODY).status_code == 201

    target = ComputeTarget(cloud.workspace, "cpu")
    assert (target.vm_size, target.min_nodes, target.max_nodes) == ("STANDARD_D2_V2", 1, 4)
    shown = ask("GET", f"{READ}/cpu").json()
    assert ask("GET", READ).json() == {"value": [shown]}
    assert ask("GET", f"{WRITE}/cpu").json() == shown
    assert (shown["id"], shown["tags"]) == (f"{SCOPE}/computes/cpu", {"team": "a"})
    assert shown["properties"]["description"] == "for tests"
    assert shown["properties"]["provisioningState"] == "Succeeded"
    properties = shown["properties"]["properties"]
    assert properties["scaleSettings"] == BODY["properties"]["properties"]["scaleSettings"]
    assert (properties["vmPriority"], properties["subnet"]) == ("lowpriority", None)
    assert properties["currentNodeCount"] == 4  # so that no client waits for a node
    assert sum(properties["nodeStateCounts"].values()) == properties["nodeStateCounts"]["idleNodeCount"] == 4


def test_a_local_target_is_shown(cloud: State, ask: Ask) -> None:
    ComputeTarget.create(cloud.workspace, "mine", AmlCompute.provisioning_configuration(max_nodes=3))

    properties = ask("GET", f"{READ}/mine").json()["properties"]["properties"]

    assert properties["scaleSettings"] == {
        "minNodeCount": 0,
        "maxNodeCount": 3,
        "nodeIdleTimeBeforeScaleDown": "PT1800S",
    }


def test_an_operation_is_first_in_progress(ask: Ask) -> None:
    url = ask("PUT", f"{WRITE}/cpu", json=BODY).headers["Azure-AsyncOperation"]

    assert [ask("GET", url).json()["status"] for _ in range(3)] == ["InProgress", "Succeeded", "Succeeded"]
    assert ask("GET", url.replace("?", "x?")).status_code == 404


def test_the_number_of_nodes_can_change_but_not_the_machine(cloud: State, ask: Ask) -> None:
    ask("PUT", f"{WRITE}/cpu", json=BODY)
    more = {"scaleSettings": {"minNodeCount": 0, "maxNodeCount": 6}}

    assert ask("PUT", f"{WRITE}/cpu", json=sizes(more)).status_code == 201
    assert ComputeTarget(cloud.workspace, "cpu").max_nodes == 6
    for other in ({"vmSize": "STANDARD_D3_V2"}, {"vmPriority": "dedicated"}):
        answer = ask("PUT", f"{WRITE}/cpu", json=sizes(other))
        assert answer.status_code == 409
        assert "'cpu' is taken" in answer.json()["error"]["message"]
    assert ComputeTarget(cloud.workspace, "cpu").vm_size == "STANDARD_D2_V2"


def test_an_update_keeps_what_it_does_not_name(ask: Ask) -> None:
    ask("PUT", f"{WRITE}/cpu", json=BODY)
    scale = {"minNodeCount": 2, "maxNodeCount": 8, "nodeIdleTimeBeforeScaleDown": ""}
    update = {"properties": {"computeType": "AmlCompute", "properties": {"scaleSettings": scale}}}

    answer = ask("PATCH", f"{WRITE}/cpu", json=update)

    assert (answer.status_code, "Azure-AsyncOperation" in answer.headers) == (200, False)
    shown = ask("GET", f"{READ}/cpu").json()
    assert shown["properties"]["properties"]["scaleSettings"] == scale
    assert (shown["tags"], shown["properties"]["properties"]["vmSize"]) == ({"team": "a"}, "STANDARD_D2_V2")


def test_a_deleted_target_is_gone(cloud: State, ask: Ask) -> None:
    ask("PUT", f"{WRITE}/cpu", json=BODY)

    assert ask("DELETE", f"{WRITE}/cpu", params={"underlyingResourceAction": "detach"}).status_code == 400
    answer = ask("DELETE", f"{WRITE}/cpu", params={"underlyingResourceAction": "delete"})

    assert (answer.status_code, "Azure-AsyncOperation" in answer.headers) == (202, True)
    assert not cloud.workspace.compute_targets
    for method in ("GET", "DELETE"):
        assert ask(method, f"{WRITE}/cpu").status_code == 404


def test_an_unknown_target_is_named(ask: Ask) -> None:
    answer = ask("GET", f"{READ}/nope")

    assert answer.status_code == 404
    assert "Compute Target with name nope not found" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "body", "word"),
    [
        ("2bad", BODY, "2bad"),
        ("cpu", {}, "properties"),
        ("cpu", {**BODY, "location": None}, "location"),
        ("cpu", {**BODY, "properties": BODY["properties"] | {"computeType": "AKS"}}, "computeType"),
        ("cpu", sizes({"scaleSettings": {"minNodeCount": 0}}), "maxNodeCount"),
        ("cpu", sizes({"scaleSettings": {"minNodeCount": 3, "maxNodeCount": 2}}), "min_nodes=3"),
        ("cpu", sizes({"scaleSettings": {"minNodeCount": 0, "maxNodeCount": 5000}}), "max_nodes=5000"),
        ("cpu", sizes({"vmPriority": "free"}), "vm_priority='free'"),
        (
            "cpu",
            sizes({"scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "1 h"}}),
            "nodeIdleTimeBeforeScaleDown",
        ),
        ("cpu", sizes({"subnet": {"id": "/subscriptions/x"}}), "subnet"),
    ],
)
def test_a_wrong_description_is_refused(cloud: State, ask: Ask, name: str, body: dict[str, Any], word: str) -> None:
    answer = ask("PUT", f"{WRITE}/{name}", json=body)

    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]
    assert isinstance(answer.json()["error"]["details"], list)
    assert not cloud.workspace.compute_targets
