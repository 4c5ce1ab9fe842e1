from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from nbhelpers.emulator.names import BLOB, DATA_CONTAINER, RUN_CONTAINER
from nbhelpers.emulator.state import State

from .conftest import Ask

BASE = f"{BLOB}/{DATA_CONTAINER}"
BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


def put(ask: Ask, name: str, content: bytes = b"hello", **headers: str) -> httpx.Response:
    return ask("PUT", f"{BASE}/{name}", content=content, headers=BLOCK_BLOB | headers)


def block(ask: Ask, name: str, id: str, content: bytes) -> str:
    """Send a block; gives its id in base64."""
    encoded = base64.b64encode(id.encode()).decode()
    params = {"comp": "block", "blockid": encoded}
    assert ask("PUT", f"{BASE}/{name}", params=params, content=content).status_code == 201
    return encoded


def commit(ask: Ask, name: str, *ids: str, kind: str = "Latest") -> httpx.Response:
    text = "".join(f"<{kind}>{id}</{kind}>" for id in ids)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{text}</BlockList>'
    return ask("PUT", f"{BASE}/{name}", params={"comp": "blocklist"}, content=body)


def texts(answer: httpx.Response, tag: str) -> list[str]:
    """What the elements of an answer contain."""
    return [unescape(text) for text in re.findall(f"<{tag}>([^<]*)</{tag}>", answer.text)]


def listed(ask: Ask, **params: str | int) -> tuple[list[str], list[str], str]:
    """Names of blobs, names of folders, and where the next page begins."""
    answer = ask("GET", BASE, params={"comp": "list", "restype": "container", **params})
    assert answer.status_code == 200, answer.text
    blobs, folders = (
        [unescape(name) for name in re.findall(f"<{kind}><Name>([^<]*)<", answer.text)]
        for kind in ("Blob", "BlobPrefix")
    )
    return blobs, folders, texts(answer, "NextMarker")[0]


def code(answer: httpx.Response) -> str:
    """The error code, which has to be the same in the header and in the body."""
    assert texts(answer, "Code") == [answer.headers["x-ms-error-code"]]
    return answer.headers["x-ms-error-code"]


def test_a_blob_is_read_as_it_was_written(ask: Ask) -> None:
    written = put(ask, "a b/ü&%25.txt")
    read, head = (ask(method, f"{BASE}/a b/ü&%25.txt") for method in ("GET", "HEAD"))

    assert (written.status_code, read.status_code, head.status_code) == (201, 200, 200)
    assert (read.content, head.content) == (b"hello", b"")
    assert written.headers["etag"] == read.headers["etag"] == head.headers["etag"]
    assert head.headers["content-length"] == "5"
    assert head.headers["x-ms-blob-type"] == "BlockBlob"
    assert head.headers["content-md5"] == base64.b64encode(hashlib.md5(b"hello").digest()).decode()  # noqa: S324
    assert listed(ask)[0] == ["a b/ü&%.txt"]


@pytest.mark.parametrize(
    ("wanted", "content", "shown"),
    [
        ("bytes=0-1", b"he", "bytes 0-1/5"),
        ("bytes=3-", b"lo", "bytes 3-4/5"),
        ("bytes=2-99", b"llo", "bytes 2-4/5"),
        ("bytes=4-4", b"o", "bytes 4-4/5"),
    ],
)
@pytest.mark.parametrize("header", ["Range", "x-ms-range"])
def test_a_range_of_a_blob_is_read(ask: Ask, header: str, wanted: str, content: bytes, shown: str) -> None:
    put(ask, "a")

    answer = ask("GET", f"{BASE}/a", headers={header: wanted})

    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, content, shown)
    assert "content-md5" not in answer.headers  # it would be taken for that of the range


def test_a_range_beyond_the_end_is_refused(ask: Ask) -> None:
    put(ask, "a")
    put(ask, "empty", b"")

    for name, wanted in (("a", "bytes=5-9"), ("empty", "bytes=0-9")):
        answer = ask("GET", f"{BASE}/{name}", headers={"x-ms-range": wanted})
        assert (answer.status_code, code(answer)) == (416, "InvalidRange")
    assert ask("GET", f"{BASE}/empty").content == b""


def test_a_listing_has_pages(ask: Ask) -> None:
    names = [f"p/{number}" for number in range(5)]
    for name in [*names, "q"]:
        put(ask, name)

    first, _, marker = listed(ask, prefix="p/", maxresults=3)
    second, _, end = listed(ask, prefix="p/", maxresults=3, marker=marker)

    assert (first + second, end) == (names, "")
    assert listed(ask)[0] == [*names, "q"]
    assert listed(ask, prefix="p/5") == ([], [], "")


def test_a_listing_can_be_of_one_folder(ask: Ask) -> None:
    for name in ("a/1", "a/2", "a/b/3", "c"):
        put(ask, name)

    assert listed(ask, delimiter="/") == (["c"], ["a/"], "")
    assert listed(ask, delimiter="/", prefix="a/") == (["a/1", "a/2"], ["a/b/"], "")
    first, folders, marker = listed(ask, delimiter="/", maxresults=1)
    assert (first, folders, listed(ask, delimiter="/", marker=marker)) == ([], ["a/"], (["c"], [], ""))


def test_a_listing_says_what_was_asked_for(ask: Ask) -> None:
    put(ask, "a&b/1")
    params = {"comp": "list", "prefix": "a&b/", "delimiter": "/", "maxresults": 7}

    answer = ask("GET", BASE, params=params)

    assert [texts(answer, name) for name in ("Prefix", "Delimiter", "MaxResults")] == [["a&b/"], ["/"], ["7"]]
    assert texts(answer, "Content-Length") == ["5"]


def test_a_blob_is_made_of_its_blocks_in_the_order_of_the_list(ask: Ask) -> None:
    one, two = block(ask, "a", "1", b"one"), block(ask, "a", "2", b"two")
    assert ask("GET", f"{BASE}/a").status_code == 404
    assert listed(ask) == ([], [], "")

    assert commit(ask, "a", two, one).status_code == 201
    assert ask("GET", f"{BASE}/a").content == b"twoone"

    three = block(ask, "a", "3", b"three")
    assert commit(ask, "a", two, three, kind="Committed").status_code == 201
    assert ask("GET", f"{BASE}/a").content == b"twothree"
    assert code(commit(ask, "a", one)) == "InvalidBlockList"  # it was left out, so it is gone


def test_blocks_belong_to_one_blob(ask: Ask) -> None:
    one = block(ask, "a", "1", b"one")

    answer = commit(ask, "b", one)

    assert (answer.status_code, code(answer)) == (400, "InvalidBlockList")
    assert one in answer.text


def test_blocks_outlive_the_emulator(cloud: State, ask: Ask) -> None:
    one = block(ask, "a", "1", b"one")

    again = State(cloud.workspace)

    assert [kept.name for kept in again.blocks.list("~blocks")] == [f"{DATA_CONTAINER}/a/{one}"]


def test_a_whole_blob_or_a_deletion_drops_the_blocks(ask: Ask) -> None:
    for drop in (lambda: put(ask, "a"), lambda: ask("DELETE", f"{BASE}/a")):
        one = block(ask, "a", "1", b"one")
        assert drop().is_success
        assert code(commit(ask, "a", one)) == "InvalidBlockList"


def test_a_deleted_blob_is_gone(ask: Ask) -> None:
    put(ask, "a")
    put(ask, "b")  # of the same content

    assert ask("DELETE", f"{BASE}/a").status_code == 202
    for method in ("GET", "DELETE"):
        answer = ask(method, f"{BASE}/a")
        assert (answer.status_code, code(answer)) == (404, "BlobNotFound")
    assert ask("HEAD", f"{BASE}/a").status_code == 404
    assert ask("GET", f"{BASE}/b").content == b"hello"


def test_a_file_of_a_run_can_be_read_but_not_deleted(cloud: State, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"line")
    cloud.blobs.sources.append(lambda container, _: {"r/log": tmp_path / "log"} if container == RUN_CONTAINER else {})
    url = f"{BLOB}/{RUN_CONTAINER}/r/log"

    assert ask("GET", url, headers={"Range": "bytes=1-2"}).content == b"in"
    answer = ask("DELETE", url)
    assert (answer.status_code, code(answer)) == (409, "BlobImmutable")
    assert ask("GET", url).content == b"line"


def test_conditions_are_met(ask: Ask) -> None:
    etag = put(ask, "a").headers["etag"]

    assert code(put(ask, "a", **{"If-None-Match": "*"})) == "BlobAlreadyExists"
    assert ask("GET", f"{BASE}/a", headers={"If-Match": etag}).status_code == 200
    assert put(ask, "a", b"other", **{"If-Match": etag}).status_code == 201
    answer = ask("GET", f"{BASE}/a", headers={"If-Match": etag})
    assert (answer.status_code, code(answer)) == (412, "ConditionNotMet")
    one = block(ask, "a", "1", b"one")
    params, headers = {"comp": "blocklist"}, {"If-None-Match": "*"}
    body = f"<BlockList><Latest>{one}</Latest></BlockList>"
    assert ask("PUT", f"{BASE}/a", params=params, headers=headers, content=body).status_code == 409
    assert ask("GET", f"{BASE}/a").content == b"other"


def test_content_that_changed_on_its_way_is_refused(ask: Ask) -> None:
    md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()  # noqa: S324

    assert put(ask, "a", **{"Content-MD5": md5}).status_code == 201
    answer = put(ask, "a", b"hallo", **{"Content-MD5": md5})
    assert (answer.status_code, code(answer)) == (400, "Md5Mismatch")
    assert ask("GET", f"{BASE}/a").content == b"hello"


def test_the_account_has_two_containers(ask: Ask) -> None:
    assert texts(ask("GET", BLOB, params={"comp": "list"}), "Name") == [DATA_CONTAINER, RUN_CONTAINER]

    params = {"restype": "container"}
    assert [ask(method, BASE, params=params).status_code for method in ("GET", "HEAD", "PUT")] == [200, 200, 409]
    for path in ("other", "other/a", "~blocks/x"):
        answer = ask("GET", f"{BLOB}/{path}", params=params)
        assert (answer.status_code, code(answer)) == (404, "ContainerNotFound")


@pytest.mark.parametrize("signature", [{}, {"sig": "wrong"}, {"sig": "ä"}])
def test_the_account_is_closed_without_the_signature(ask: Ask, stranger: TestClient, signature: dict[str, str]) -> None:
    put(ask, "a")

    for method, path in [("GET", "/a"), ("PUT", "/a"), ("DELETE", "/a"), ("GET", "?comp=list"), ("PUT", "")]:
        url = httpx.URL(f"{BASE}{path}").copy_merge_params(signature)
        answer = stranger.request(method, url)
        assert (answer.status_code, code(answer)) == (403, "AuthenticationFailed")
    assert stranger.head(f"{BASE}/a").status_code == 403
    assert ask("GET", f"{BASE}/a").content == b"hello"


def test_other_operations_are_not_emulated(ask: Ask) -> None:
    put(ask, "a")
    copy = {"x-ms-copy-source": f"{BASE}/a"}

    answers = [
        ask("PUT", f"{BASE}/b", content=b"", headers={"x-ms-blob-type": "AppendBlob"}),
        ask("PUT", f"{BASE}/b", headers=BLOCK_BLOB | copy),
        ask("PUT", f"{BASE}/a", params={"comp": "metadata"}),
        ask("GET", f"{BASE}/a", params={"comp": "blocklist"}),
        ask("GET", BASE, params={"comp": "acl", "restype": "container"}),
    ]

    assert [(answer.status_code, code(answer)) for answer in answers] == [(501, "NotEmulated")] * 5
    assert listed(ask)[0] == ["a"]
