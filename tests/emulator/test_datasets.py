from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import API, SCOPE
from nbhelpers.emulator.registrations import Reference, find_reference
from nbhelpers.emulator.state import State

from .conftest import Ask

BASE = f"{API}/dataset/v1.0{SCOPE}"


def dataflow(path: str) -> str:
    rows = f'---\ntype: mltable\npaths:\n  - pattern: "{path}"\n'
    return json.dumps({"blocks": [], "meta": {"RsDataflow": rows}})


def register(ask: Ask, name: str, path: str = "a", *, new_version: bool = False, **more: Any) -> httpx.Response:
    """Register as the SDK does; `saved` is the id of the definition, if the SDK knows one."""
    latest = {"dataflow": dataflow(path), "properties": {}, "savedDatasetId": more.pop("saved", None)}
    flag = str(new_version).lower()
    params = {"ifExistsOk": flag, "updateDefinitionIfExists": flag}
    body = {"name": name, "datasetType": "tabular", "isVisible": True, "latest": latest, **more}
    # The SDK's media type, which FastAPI has to take for JSON.
    headers = {"Content-Type": "application/json-patch+json; charset=utf-8"}
    return ask("POST", f"{BASE}/datasets", params=params, content=json.dumps(body), headers=headers)


def registered(ask: Ask, name: str, path: str = "a", **more: Any) -> dict[str, Any]:
    answer = register(ask, name, path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_name(ask: Ask, name: str, **params: str) -> httpx.Response:
    return ask("GET", f"{BASE}/datasets/query/name={name}", params=params)


def saved(ask: Ask, path: str = "a", kind: str = "tabular") -> dict[str, Any]:
    body = {"datasetType": kind, "properties": {"label": "y"}, "dataflowJson": dataflow(path)}
    answer = ask("POST", f"{BASE}/saveddatasets", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    message: str = answer.json()["error"]["message"]
    return message


def test_a_registered_data_set_is_found_by_name_with_all_that_was_given(ask: Ask) -> None:
    made = registered(ask, "bank", description="calls", tags={"label": "y"})
    found = by_name(ask, "bank").json()

    assert found == made
    assert (found["description"], found["tags"], found["datasetType"]) == ("calls", {"label": "y"}, "tabular")
    assert (found["latest"]["versionId"], found["latest"]["dataflow"]) == ("1", dataflow("a"))


def test_every_version_is_found_by_its_number_and_has_a_description_of_its_own(ask: Ask) -> None:
    first = registered(ask, "bank", "a", description="old")
    second = registered(ask, "bank", "b", description="new", new_version=True)

    assert [second["latest"]["versionId"], second["datasetId"]] == ["2", first["datasetId"]]
    assert by_name(ask, "bank").json() == second
    assert by_name(ask, "bank", versionId="2").json() == second
    assert by_name(ask, "bank", versionId="1").json() == first


def test_a_name_is_not_taken_twice_without_create_new_version(ask: Ask) -> None:
    registered(ask, "bank", "a")

    assert "'bank'" in refusal(register(ask, "bank", "b"), 409)
    assert by_name(ask, "bank").json()["latest"]["dataflow"] == dataflow("a")


def test_the_same_definition_under_its_name_is_refused_with_the_version_that_it_has(ask: Ask) -> None:
    registered(ask, "bank", "a")
    registered(ask, "bank", "b", new_version=True)

    assert "has been registered as bank:1 (name:version)." in refusal(register(ask, "bank", "a"), 400)


def test_the_latest_definition_registered_again_is_the_same_version_with_the_new_tags(ask: Ask) -> None:
    first = registered(ask, "bank", "a", description="kept", tags={"a": "1"})
    again = registered(ask, "bank", "a", tags={"b": "2"}, new_version=True)

    assert (again["latest"]["versionId"], again["latest"]["savedDatasetId"]) == ("1", first["latest"]["savedDatasetId"])
    assert (again["description"], again["tags"]) == ("kept", {"b": "2"})


def test_an_earlier_definition_registered_again_is_a_new_version(ask: Ask) -> None:
    versions = [registered(ask, "bank", path, new_version=True) for path in "aba"]

    assert [version["latest"]["versionId"] for version in versions] == ["1", "2", "3"]
    assert len({version["latest"]["savedDatasetId"] for version in versions}) == 3


def test_a_definition_may_have_two_names_but_a_registered_one_is_not_renamed(ask: Ask) -> None:
    first = registered(ask, "bank", "a")
    second = registered(ask, "copy", "a")

    assert first["latest"]["savedDatasetId"] != second["latest"]["savedDatasetId"]
    renamed = register(ask, "other", "a", saved=first["latest"]["savedDatasetId"])
    assert "has been registered as bank:1 (name:version)." in refusal(renamed, 400)


def test_a_definition_that_was_saved_before_keeps_its_id_when_it_is_registered(ask: Ask) -> None:
    id = saved(ask)["id"]

    assert registered(ask, "bank", saved=id)["latest"]["savedDatasetId"] == id
    assert "'nowhere'" in refusal(register(ask, "else", saved="nowhere"), 404)


def test_equal_definitions_are_saved_once(ask: Ask) -> None:
    assert saved(ask, "a") == saved(ask, "a")
    assert len({saved(ask, "a")["id"], saved(ask, "b")["id"], saved(ask, "a", "file")["id"]}) == 3


def test_a_definition_is_found_by_its_id_and_a_registered_data_set_by_its_own(ask: Ask) -> None:
    unnamed = saved(ask, "unnamed")
    registered(ask, "bank", "a")
    latest = registered(ask, "bank", "b", new_version=True)

    def by_saved_id(id: str) -> list[Any]:
        return ask("GET", f"{BASE}/datasets/query/savedDatasetId={id}", params={"pageSize": 1}).json()["value"]

    def definition(id: str) -> httpx.Response:
        return ask("GET", f"{BASE}/saveddatasets/{id}", params={"resolveLegacyId": "true"})

    assert by_saved_id(latest["latest"]["savedDatasetId"]) == [latest]
    assert by_saved_id(unnamed["id"]) == []
    assert definition(unnamed["id"]).json() == unnamed
    assert definition(latest["datasetId"]).json()["dataflowJson"] == dataflow("b")
    assert "'nowhere'" in refusal(definition("nowhere"), 404)


@pytest.mark.parametrize("version", ["0", "2", "-1", "one"])
def test_an_unknown_version_is_refused_with_those_that_there_are(ask: Ask, version: str) -> None:
    registered(ask, "bank")

    message = refusal(by_name(ask, "bank", versionId=version), 404)
    assert repr(version) in message
    assert "1 to 1" in message


def test_an_unknown_name_is_refused(ask: Ask) -> None:
    assert "'bank'" in refusal(by_name(ask, "bank"), 404)
    assert "'bank'" in refusal(ask("DELETE", f"{BASE}/datasets/bank"), 404)


def test_description_and_tags_of_one_version_are_changed_and_cleared(ask: Ask) -> None:
    registered(ask, "bank", "a", description="old", tags={"a": "1"})
    second = registered(ask, "bank", "b", new_version=True, tags={"b": "2"})

    def change(version: str, **what: Any) -> Any:
        body = {"name": "bank", "latest": {"dataflow": dataflow("a"), "versionId": version}, **what}
        return ask("PUT", f"{BASE}/datasets/{second['datasetId']}", json=body).json()

    assert change("1", tags={"c": "3"})["description"] == "old"
    assert by_name(ask, "bank", versionId="1").json()["tags"] == {"c": "3"}
    assert change("1", description="", tags={})["description"] == ""
    assert by_name(ask, "bank", versionId="1").json()["tags"] == {}
    assert by_name(ask, "bank").json() == second


def test_an_update_with_the_id_of_a_name_that_was_registered_anew_is_refused(ask: Ask) -> None:
    old = registered(ask, "bank")["datasetId"]
    ask("DELETE", f"{BASE}/datasets/bank")
    registered(ask, "bank", tags={"kept": "yes"})

    body = {"name": "bank", "latest": {}, "tags": {}}
    assert old in refusal(ask("PUT", f"{BASE}/datasets/{old}", json=body), 404)
    assert by_name(ask, "bank").json()["tags"] == {"kept": "yes"}


def test_an_unregistered_name_begins_again_and_its_definitions_stay(ask: Ask) -> None:
    first = registered(ask, "bank", "a")
    registered(ask, "bank", "b", new_version=True)

    assert ask("DELETE", f"{BASE}/datasets/bank").status_code == 200
    assert by_name(ask, "bank").status_code == 404
    assert ask("GET", f"{BASE}/saveddatasets/{first['latest']['savedDatasetId']}").status_code == 200
    assert registered(ask, "bank", "c")["latest"]["versionId"] == "1"


def test_the_list_comes_in_pages_that_hold_every_name_once(ask: Ask) -> None:
    names = [f"set {number}" for number in range(5)]
    for name in reversed(names):
        registered(ask, name, name)
    registered(ask, "set 0", "newer", new_version=True)
    seen, token = [], None
    while True:
        params = {"pageSize": 2} | ({"continuationToken": token} if token else {})
        page = ask("GET", f"{BASE}/datasets", params=params).json()
        assert len(page["value"]) <= 2
        seen += [(each["name"], each["latest"]["versionId"]) for each in page["value"]]
        token = page["continuationToken"]
        if token is None:
            break

    assert seen == [(name, "2" if name == "set 0" else "1") for name in names]


def test_data_sets_survive_a_restart(ask: Ask, cloud: State) -> None:
    made, unnamed = registered(ask, "bank"), saved(ask, "unnamed")
    later = State(cloud.workspace)

    assert find_reference(later, {"DataSetReference": {"Name": "bank"}}).saved_id == made["latest"]["savedDatasetId"]
    assert find_reference(later, {"SavedDataSetReference": {"Id": unnamed["id"]}}) == Reference(unnamed["id"])


def test_references_of_graphs_and_requests_are_followed(ask: Ask, cloud: State) -> None:
    first = registered(ask, "bank", "a")
    second = registered(ask, "bank", "b", new_version=True)
    one, two = (
        Reference(each["latest"]["savedDatasetId"], "bank", each["latest"]["versionId"]) for each in (first, second)
    )

    assert find_reference(cloud, {"DataSetReference": {"Id": first["datasetId"]}}) == two
    assert find_reference(cloud, {"DataSetReference": {"Id": first["datasetId"], "Version": "1"}}) == one
    assert find_reference(cloud, {"DataSetReference": {"Name": "bank", "Version": 1}}) == one
    assert find_reference(cloud, {"DataSetReference": None, "SavedDataSetReference": {"Id": one.saved_id}}) == one
    for nothing in ({}, {"DataSetReference": {"Id": "nowhere"}}, {"SavedDataSetReference": {"Id": "nowhere"}}):
        with pytest.raises(CloudError) as caught:
            find_reference(cloud, nothing)
        assert caught.value.status == 404


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"meta": {}}', '{"meta": {"RsDataflow": 1}}'])
def test_a_definition_without_rows_is_refused(ask: Ask, text: str) -> None:
    body = {"name": "bank", "latest": {"dataflow": text}}

    assert "RsDataflow" in refusal(ask("POST", f"{BASE}/datasets", json=body), 400)
    assert "RsDataflow" in refusal(ask("POST", f"{BASE}/saveddatasets", json={"dataflowJson": text}), 400)
    assert by_name(ask, "bank").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"), [("name", "a/b"), ("name", ""), ("name", None), ("tags", {"a": 1}), ("description", 3)]
)
def test_what_nothing_can_be_registered_with_is_refused(ask: Ask, field: str, value: Any) -> None:
    body = {"name": "bank", "latest": {"dataflow": dataflow("a")}, field: value}

    assert 400 <= ask("POST", f"{BASE}/datasets", json=body).status_code < 500
    assert ask("GET", f"{BASE}/datasets").json()["value"] == []


def test_a_body_that_is_no_json_is_refused(ask: Ask) -> None:
    for body in (b"{", b"[]", b"null", b"\xff"):
        assert 400 <= ask("POST", f"{BASE}/datasets", content=body).status_code < 500


def test_versions_registered_at_the_same_moment_all_get_a_number_of_their_own(ask: Ask) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda path: registered(ask, "bank", path, new_version=True), map(str, range(16))))

    assert sorted(int(each["latest"]["versionId"]) for each in made) == list(range(1, 17))


def test_the_reader_of_rows_gets_the_text_of_a_definition(ask: Ask) -> None:
    id = saved(ask)["id"]

    answer = ask("GET", f"{API}/data/v1.0{SCOPE}/dataversion/unregistered-{id}/versions/1")
    assert answer.json()["legacyDataflow"] == json.loads(dataflow("a"))["meta"]["RsDataflow"]


@pytest.mark.parametrize("name", ["unregistered-nowhere", "bank"])
def test_there_are_no_data_assets_of_sdk_v2(ask: Ask, name: str) -> None:
    registered(ask, "bank")

    refusal(ask("GET", f"{API}/data/v1.0{SCOPE}/dataversion/{name}/versions/1"), 404)
