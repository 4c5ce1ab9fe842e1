from __future__ import annotations

import uuid
from typing import Any

import pytest

from nbhelpers.emulator.names import API, RUN_CONTAINER, SCOPE
from nbhelpers.emulator.state import State

from .conftest import Ask

V1, V2 = (f"{API}/content/{version}{SCOPE}/snapshots" for version in ("v1.0", "v2.0"))
TREE = {"name": "", "type": "Directory", "hash": "ab", "timestamp": "2026-11-01T10:00:00", "children": {}}


def folder(**more: Any) -> dict[str, Any]:
    return {"ParentSnapshotId": None, "DirTreeNode": TREE, "FileRevisionList": {"FileNodes": []}, **more}


def test_at_first_there_is_an_empty_folder(ask: Ask) -> None:
    latest = ask("GET", f"{V1}/latest/metadata").json()

    assert latest["root"]["children"] == {}
    assert uuid.UUID(latest["id"])


def test_files_are_uploaded_to_the_addresses_that_are_given(ask: Ask, cloud: State) -> None:
    nodes = ask("POST", f"{V2}/getblob", json={"FileNames": ["train.py", "ä b/c?.txt"]}).json()["fileNodes"]

    assert [node["fullName"] for node in nodes] == ["train.py", "ä b/c?.txt"]
    for node in nodes:
        written = ask("PUT", node["blobUri"], content=b"x", headers={"x-ms-blob-type": "BlockBlob"})
        assert written.status_code == 201
    names = [blob.name.split("/", 2)[2] for blob in cloud.blobs.list(RUN_CONTAINER, "snapshots/")]
    assert names == ["train.py", "ä b/c?.txt"]


def test_an_empty_folder_needs_no_addresses(ask: Ask) -> None:
    assert ask("POST", f"{V2}/getblob", json={"FileNames": []}).json() == {"fileNodes": []}


def test_the_latest_snapshot_is_what_the_next_one_is_compared_with(ask: Ask) -> None:
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for id in ids:
        assert ask("POST", f"{V2}/{id}", json=folder()).json()["id"] == id

    latest = ask("GET", f"{V1}/latest/metadata").json()
    assert (latest["id"], latest["root"]) == (ids[1], TREE)


@pytest.mark.parametrize("body", [{}, {"DirTreeNode": TREE}, folder(DirTreeNode=None), folder(FileRevisionList=[])])
def test_a_folder_that_is_not_described_is_refused(ask: Ask, body: dict[str, Any]) -> None:
    assert 400 <= ask("POST", f"{V2}/{uuid.uuid4()}", json=body).status_code < 500


def test_an_id_that_is_no_uuid_is_refused(ask: Ask) -> None:
    answer = ask("POST", f"{V2}/latest", json=folder())

    assert answer.status_code == 400
    assert "'latest'" in answer.json()["error"]["message"]
