"""The batches that a project has piled up in ``runs/``, and their removal."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbhelpers.batch.chain import held, project_folder
from nbhelpers.batch.record import Record
from nbhelpers.errors import BatchError


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
        items.append(Item(path.parent, ended, bytes_in(path.parent)))
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


def bytes_in(path: Path) -> int:
    """The size of a file, or of all files in a folder; 0 if there is none."""
    files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names] if path.is_dir() else [path]
    size = 0
    for file in files:
        with suppress(FileNotFoundError):  # whoever works there renames and removes files
            size += file.lstat().st_size
    return size
