"""Blob storage: what the clients of Azure Storage ask of an account, over the blobs of the emulated cloud."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from email.utils import formatdate
from typing import Annotated, BinaryIO
from xml.sax.saxutils import escape

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.names import BLOB, DATA_CONTAINER, RUN_CONTAINER
from nbhelpers.emulator.state import Blob, Blobs, State

#: The version of the protocol; and the most names in one answer to a listing.
VERSION, PAGE = "2021-08-06", 5000
#: Bytes of a blob that are in memory at a time while it is read.
_CHUNK = 2**20
CONTAINERS = (DATA_CONTAINER, RUN_CONTAINER)
#: The container of the blocks of blobs, under ``container/name/block id``; no request can name it.
_BLOCKS = "~blocks"


def access_token(cloud: State) -> str:
    """A shared access signature that opens the storage account: the query string of its URLs."""
    return f"sv={VERSION}&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&spr=https&sig={cloud.storage_secret}"


def _check(request: Request, sig: str = "") -> None:
    cloud: State = request.app.state.cloud
    if not hmac.compare_digest(sig.encode(), cloud.storage_secret.encode()):
        raise CloudError(
            403, "AuthenticationFailed", "The URL has no valid signature: use the SAS token of the data store."
        )


def _blobs(request: Request) -> Blobs:
    cloud: State = request.app.state.cloud
    return cloud.blobs


def _blocks(request: Request) -> Blobs:
    cloud: State = request.app.state.cloud
    return cloud.blocks


async def _content(request: Request) -> bytes:
    content = await request.body()
    said = request.headers.get("content-md5")
    if said and said != base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode():
        raise CloudError(400, "Md5Mismatch", "The content has another MD5 hash than the header Content-MD5.")
    return content


def _container(container: str) -> str:
    if container not in CONTAINERS:
        only = " and ".join(CONTAINERS)
        raise CloudError(404, "ContainerNotFound", f"There is no container {container!r}; the account has {only}.")
    return container


Storage = Annotated[Blobs, Depends(_blobs)]
Blocks = Annotated[Blobs, Depends(_blocks)]
Container = Annotated[str, Depends(_container)]
router = APIRouter(dependencies=[Depends(_check)])


@router.get("/")
def list_containers(comp: str = "") -> Response:
    """The containers of the account."""
    _only("list", comp)
    facts = f"<Last-Modified>{formatdate(0, usegmt=True)}</Last-Modified><Etag>0x0</Etag>"
    listed = "".join(
        f"<Container><Name>{name}</Name><Properties>{facts}</Properties></Container>" for name in CONTAINERS
    )
    return _enumeration("", f"<Containers>{listed}</Containers>")


@router.get("/{container}")
def list_blobs(
    blobs: Storage,
    container: Container,
    comp: str = "",
    prefix: str = "",
    delimiter: str = "",
    marker: str = "",
    maxresults: Annotated[int, Query(ge=1)] = PAGE,
) -> Response:
    """The blobs of a container whose names begin with `prefix`; with `delimiter`, one folder of them."""
    if not comp:
        return container_facts(container)
    _only("list", comp)
    entries: dict[str, Blob | None] = {}  # by name; None is a folder
    for blob in blobs.list(container, prefix):
        folder, found, _ = blob.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        name = prefix + folder + found if found else blob.name
        if name >= marker:
            entries[name] = None if found else blob
    names, size = list(entries), min(maxresults, PAGE)
    listed = "".join(_entry(name, entries[name]) for name in names[:size])
    # The client takes the values for the next page from here.
    asked = {"Prefix": prefix, "Marker": marker, "MaxResults": size, "Delimiter": delimiter}
    echoed = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in asked.items())
    following = names[size] if len(names) > size else ""
    return _enumeration(f' ContainerName="{container}"', f"{echoed}<Blobs>{listed}</Blobs>", following)


@router.head("/{container}")
def container_facts(container: Container) -> Response:  # noqa: ARG001 - it is checked
    """Say that there is a container."""
    return Response(headers=_written("0x0", 0))


@router.put("/{container}")
def create_container(container: Container) -> Response:
    """Say that the containers are there from the beginning."""
    raise CloudError(409, "ContainerAlreadyExists", f"There is a container {container!r} already.")


@router.get("/{container}/{name:path}")
@router.head("/{container}/{name:path}")
def read(request: Request, blobs: Storage, container: Container, name: str, comp: str = "") -> Response:
    """A blob, or a range of its bytes; for HEAD, what is known about it."""
    _only("", comp)
    blob = blobs.get(container, name)
    if blob is None:
        raise CloudError(404, "BlobNotFound", f"The container {container!r} has no blob {name!r}.")
    _meet(request, blob)
    headers = {**_facts(blob), "Accept-Ranges": "bytes", "x-ms-blob-type": "BlockBlob"}
    headers |= {"Content-MD5": blob.md5} if blob.md5 else {}
    if request.method == "HEAD":
        return Response(None, 200, headers | {"Content-Length": str(blob.size)}, "application/octet-stream")
    wanted = request.headers.get("x-ms-range") or request.headers.get("range") or ""
    part = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    first, last = 0, blob.size - 1
    if part:
        first, last = int(part[1]), min(int(part[2] or last), last)
        if first > last:
            raise CloudError(416, "InvalidRange", f"The blob {name!r} has {blob.size} bytes, so it has no {wanted}.")
        headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
        headers.pop("Content-MD5", None)  # it is that of the whole blob
    headers["Content-Length"] = str(last + 1 - first)
    content = _bytes_of(blob.path.open("rb"), first, last + 1 - first)
    return StreamingResponse(content, 206 if part else 200, headers, "application/octet-stream")


@router.put("/{container}/{name:path}")
def write(
    request: Request,
    blobs: Storage,
    blocks: Blocks,
    container: Container,
    name: str,
    content: Annotated[bytes, Depends(_content)],
    comp: str = "",
    blockid: str = "",
) -> Response:
    """Keep a blob, or a block of one, or make a blob of its blocks."""
    if comp == "block":
        blocks.put(_BLOCKS, f"{container}/{name}/{blockid}", content)
        return Response(None, 201, {"x-ms-version": VERSION})
    if comp == "blocklist":
        _meet(request, blobs.get(container, name))
        content = _put_together(blocks, f"{container}/{name}/", content)
    else:
        _only("", comp)
        kind = request.headers.get("x-ms-blob-type", "none")
        if kind != "BlockBlob" or "x-ms-copy-source" in request.headers:
            raise CloudError(501, "NotEmulated", f"Blobs of type {kind}, and copies, are not emulated: use BlockBlob.")
        _meet(request, blobs.get(container, name))
        _drop_blocks(blocks, f"{container}/{name}/")
    return Response(None, 201, _facts(blobs.put(container, name, content)))


@router.delete("/{container}/{name:path}")
def delete(request: Request, blobs: Storage, blocks: Blocks, container: Container, name: str) -> Response:
    """Delete a blob; one that is a file of a run stays."""
    blob = blobs.get(container, name)
    if blob is None:
        raise CloudError(404, "BlobNotFound", f"The container {container!r} has no blob {name!r}.")
    _meet(request, blob)
    blobs.delete(container, name)
    _drop_blocks(blocks, f"{container}/{name}/")
    if blobs.get(container, name):
        raise CloudError(409, "BlobImmutable", f"{name!r} is a file of a run: delete the run with `nbhelpers clean`.")
    return Response(None, 202, {"x-ms-version": VERSION, "x-ms-delete-type-permanent": "true"})


def _only(known: str, comp: str) -> None:
    if comp != known:
        raise CloudError(501, "NotEmulated", f"The operation comp={comp} of blob storage is not emulated.")


def _meet(request: Request, blob: Blob | None) -> None:
    """Check the conditions of a request: that a blob is not there yet, or is still the one that was read."""
    if blob and request.headers.get("if-none-match") == "*":
        raise CloudError(409, "BlobAlreadyExists", f"There is a blob {blob.name!r} already.")
    wanted = request.headers.get("if-match")
    if wanted and (blob is None or wanted not in ("*", _etag(blob))):
        raise CloudError(412, "ConditionNotMet", "The blob has changed since it was read.")


def _put_together(blocks: Blobs, prefix: str, block_list: bytes) -> bytes:
    """The content that a list of blocks makes; blocks that it leaves out are dropped, as Azure does."""
    ids = re.findall(r"<(?:Latest|Uncommitted|Committed)>([^<]*)<", block_list.decode("utf-8", "replace"))
    kept = {block.name.removeprefix(prefix): block for block in blocks.list(_BLOCKS, prefix)}
    if missing := [id for id in ids if id not in kept]:
        raise CloudError(400, "InvalidBlockList", f"There are no blocks {', '.join(missing)}: send them first.")
    for id in kept.keys() - set(ids):
        blocks.delete(_BLOCKS, kept[id].name)
    return b"".join(kept[id].path.read_bytes() for id in ids)


def _drop_blocks(blocks: Blobs, prefix: str) -> None:
    for block in blocks.list(_BLOCKS, prefix):
        blocks.delete(_BLOCKS, block.name)


def _bytes_of(file: BinaryIO, first: int, size: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        while size and (chunk := file.read(min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk


def _etag(blob: Blob) -> str:
    return f'"0x{int(blob.modified.timestamp() * 1e6):X}"'


def _facts(blob: Blob) -> dict[str, str]:
    return _written(_etag(blob), blob.modified.timestamp())


def _written(etag: str, seconds: float) -> dict[str, str]:
    """The headers that say which state of something an answer is about."""
    return {"ETag": etag, "Last-Modified": formatdate(seconds, usegmt=True), "x-ms-version": VERSION}


def _entry(name: str, blob: Blob | None) -> str:
    """A blob, or a folder of blobs, in a listing."""
    if blob is None:
        return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"
    facts = {
        "Last-Modified": formatdate(blob.modified.timestamp(), usegmt=True),
        "Etag": _etag(blob).strip('"'),
        "Content-Length": blob.size,
        "Content-Type": "application/octet-stream",
        "Content-MD5": blob.md5,
        "BlobType": "BlockBlob",
    }
    members = "".join(f"<{key}>{value}</{key}>" for key, value in facts.items())
    return f"<Blob><Name>{escape(name)}</Name><Properties>{members}</Properties></Blob>"


def _enumeration(attributes: str, entries: str, following: str = "") -> Response:
    """A listing; `following` is where the next page begins."""
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="{BLOB}/"{attributes}>'
        f"{entries}<NextMarker>{escape(following)}</NextMarker></EnumerationResults>"
    )
    return Response(text, 200, {"x-ms-version": VERSION}, "application/xml")
