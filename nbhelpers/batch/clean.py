"""What a project has piled up: the batches in ``runs/`` and the workspace folder; and their removal."""

from __future__ import annotations

import shutil
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbhelpers.batch.chain import held, project_folder
from nbhelpers.batch.record import Record
from nbhelpers.errors import BatchError, StoreError

#: What a workspace folder consists of. Anything else that lies there is not ours to remove.
WORKSPACE_PARTS = ("workspace.db", "workspace.db-wal", "workspace.db-shm", "data", "runs")
ALIVE = 120  # seconds since the last heartbeat within which a run counts as running


@dataclass(frozen=True)
class Item:
    """A folder that can be removed.

    Attributes
    ----------
    path : Path
        The folder.
    ended : datetime
        When it was last used.
    size : int
        Bytes.
    """

    path: Path
    ended: datetime
    size: int


def find_batches() -> list[Item]:
    """The batches in ``runs/`` of the project, oldest first; folders with no readable ``run.json`` are not ours."""
    items = []
    for path in sorted((project_folder() / "runs").glob("*/run.json")):
        try:
            record = Record.load(path.parent)
            ended = datetime.fromisoformat(record.ended or record.started)
        except (BatchError, ValueError):
            continue
        items.append(Item(path.parent, ended, _size(path.parent)))
    return items


def older_than(items: list[Item], days: float) -> list[Item]:
    """Those that ended at least so many days ago."""
    return [item for item in items if item.ended <= datetime.now(UTC) - timedelta(days=days)]


def remove_batch(item: Item) -> None:
    """Remove the folder of a batch.

    Raises
    ------
    BatchError
        The batch is running.
    """
    with held(item.path):
        shutil.rmtree(item.path)


def find_workspace(home: Path) -> Item | None:
    """The workspace folder; None if there is none.

    Raises
    ------
    StoreError
        The folder is not a workspace.
    """
    if not home.is_dir() or not any(home.iterdir()):
        return None
    database = home / "workspace.db"
    if not database.is_file():
        raise StoreError(
            f"{home} holds no workspace.db, so it is not a workspace folder; nothing in it will be removed.",
            "Set NBHELPERS_HOME to the folder of the workspace, or unset it.",
        )
    size = sum(_size(home / part) for part in WORKSPACE_PARTS)
    return Item(home, datetime.fromtimestamp(database.stat().st_mtime, UTC), size)


def check_workspace_idle(home: Path) -> None:
    """Refuse a workspace in which a run is alive.

    Raises
    ------
    StoreError
        A run is alive, or the store cannot be read.
    """
    try:
        connection = sqlite3.connect(f"{(home / 'workspace.db').as_uri()}?mode=ro", uri=True)
        try:
            query = "SELECT id FROM runs WHERE heartbeat > ? AND ended IS NULL"
            running = [row[0] for row in connection.execute(query, [time.time() - ALIVE])]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(
            f"{home / 'workspace.db'} cannot be read: {error}.", "Look into it, and remove it by hand."
        ) from error
    if running:
        raise StoreError(
            f"The workspace {home} is in use: {', '.join(running)} is running.", "Cancel it or wait for its end."
        )


def remove_workspace(home: Path) -> None:
    """Remove a workspace; files in its folder that are none of its parts stay, and the folder with them."""
    for part in WORKSPACE_PARTS:
        path = home / part
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(home.iterdir()):
        home.rmdir()


def _size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file())
