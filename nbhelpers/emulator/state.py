"""What the emulated cloud keeps beside the local workspace: documents of its services, and blobs."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nbhelpers.emulator.faults import Fault
from nbhelpers.local.store import now, write_atomically
from nbhelpers.local.workspace import Workspace

_metadata = sa.MetaData()

_documents = sa.Table(
    "documents",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.UniqueConstraint("kind", "id"),
)


class State:
    """What the services of the emulated cloud share; kept in the folder ``emulator`` of the workspace.

    Parameters
    ----------
    workspace : Workspace
        The local workspace that experiments, compute targets, runs and published pipelines are in.

    Attributes
    ----------
    workspace : Workspace
    documents : Documents
    blobs : Blobs
    blocks : Blobs
        Parts of blobs that are being written.
    faults : list of Fault
        What goes wrong on purpose; may be changed while the emulator runs.
    client_environment : dict of str to str
        The environment variables of a program that takes the emulated cloud for Azure; set when it is running.
    client_secret, storage_secret, token_key : str
        Made anew each time: what a client signs in with, what a request to the storage carries, and what tokens are
        signed with.
    """

    def __init__(self, workspace: Workspace, faults: list[Fault] | None = None) -> None:
        folder = workspace.store.home / "emulator"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.workspace = workspace
        self.documents = Documents(folder / "documents.db")
        self.blobs = Blobs(self.documents, folder / "blobs")
        self.blocks = Blobs(self.documents, folder / "blobs")
        self.faults = faults if faults is not None else []
        self.client_environment: dict[str, str] = {}
        self.client_secret, self.storage_secret, self.token_key = (secrets.token_urlsafe(32) for _ in range(3))


class Documents:
    """JSON documents by kind and id, in a SQLite file."""

    def __init__(self, path: Path) -> None:
        url = sa.URL.create("sqlite", database=str(path))
        self._engine = sa.create_engine(url, connect_args={"timeout": 30})
        with self._engine.connect() as connection:  # so that reading does not wait for writing
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        _metadata.create_all(self._engine)

    def get(self, kind: str, id: str) -> dict[str, Any] | None:
        """The document, or None."""
        chosen = sa.select(_documents.c.body).where(_documents.c.kind == kind, _documents.c.id == id)
        with self._engine.connect() as connection:
            body: dict[str, Any] | None = connection.execute(chosen).scalar_one_or_none()
        return body

    def put(self, kind: str, id: str, body: Mapping[str, Any]) -> None:
        """Keep a document, in the place of the one that has the id."""
        row = insert(_documents).values(kind=kind, id=id, body=dict(body))
        row = row.on_conflict_do_update(index_elements=["kind", "id"], set_={"body": row.excluded.body})
        with self._engine.begin() as connection:
            connection.execute(row)

    def all(self, kind: str, prefix: str = "") -> dict[str, dict[str, Any]]:
        """The documents of a kind by id, in the order in which they were first put.

        Parameters
        ----------
        kind : str
        prefix : str, default ""
            Only those whose ids begin with it.
        """
        chosen = sa.select(_documents.c.id, _documents.c.body).where(_documents.c.kind == kind)
        if prefix:  # a range uses the index, and knows no wildcards
            chosen = chosen.where(_documents.c.id >= prefix, _documents.c.id < prefix + "\U0010ffff")
        with self._engine.connect() as connection:
            return {row.id: row.body for row in connection.execute(chosen.order_by(_documents.c.number))}

    def delete(self, kind: str, id: str) -> None:
        """Forget a document, if it is there."""
        with self._engine.begin() as connection:
            connection.execute(_documents.delete().where(_documents.c.kind == kind, _documents.c.id == id))


@dataclass(frozen=True)
class Blob:
    """A file of the storage account.

    Attributes
    ----------
    name : str
        Its path in the container.
    path : Path
        The local file with its content.
    size : int
        In bytes.
    md5 : str
        Of the content, in base64; empty where it is not known.
    modified : datetime
        In UTC.
    """

    name: str
    path: Path
    size: int
    md5: str
    modified: datetime


class Blobs:
    """The storage account: containers of blobs, each a file.

    Attributes
    ----------
    sources : list of callable
        Each is given a container and the beginning of names, and gives files by name that are there although nobody
        has put them, such as the outputs of runs.
    """

    def __init__(self, documents: Documents, folder: Path) -> None:
        self._documents = documents
        self._folder = folder
        self.sources: list[Callable[[str, str], Mapping[str, Path]]] = []

    def put(self, container: str, name: str, content: bytes) -> Blob:
        """Keep a blob, in the place of the one that has the name."""
        digest = hashlib.sha256(content).hexdigest()
        if not (self._folder / digest).is_file():
            write_atomically(self._folder / digest, content)
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        body = {"digest": digest, "size": len(content), "md5": md5, "modified": now()}
        self._documents.put(f"blob {container}", name, body)
        return self._blob(name, body)

    def get(self, container: str, name: str) -> Blob | None:
        """The blob of a name, or None."""
        return next((blob for blob in self.list(container, name) if blob.name == name), None)

    def list(self, container: str, prefix: str = "") -> list[Blob]:
        """The blobs whose names begin with a text, by name."""
        found = {
            name: self._blob(name, body) for name, body in self._documents.all(f"blob {container}", prefix).items()
        }
        for source in self.sources:
            for name, path in source(container, prefix).items():
                if name.startswith(prefix):
                    facts = path.stat()
                    modified = datetime.fromtimestamp(facts.st_mtime).astimezone()
                    found[name] = Blob(name, path, facts.st_size, "", modified)
        return [found[name] for name in sorted(found)]

    def delete(self, container: str, name: str) -> None:
        """Forget a blob that was put, if it is there; its content stays, as other blobs may share it."""
        self._documents.delete(f"blob {container}", name)

    def _blob(self, name: str, body: Mapping[str, Any]) -> Blob:
        modified = datetime.fromisoformat(body["modified"])
        return Blob(name, self._folder / body["digest"], body["size"], body["md5"], modified)
