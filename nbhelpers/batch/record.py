"""The record of a batch, ``run.json`` in its folder: the truth about what ran.

The status that papermill leaves in an executed notebook is no such thing: after a dead kernel or a time-out it calls
every cell completed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from nbhelpers.errors import BatchError

StageStatus = Literal["waiting", "running", "finished", "failed", "cancelled", "skipped"]
BatchStatus = Literal["running", "finished", "failed", "cancelled"]


def now() -> str:
    """The time as the record keeps it: ISO 8601, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Stage:
    """One notebook of a batch.

    Attributes
    ----------
    name : str
        Its file name with no ending, such as ``03_train``.
    status : str
        ``skipped`` is a stage that this batch was told not to run.
    seconds : float
        How long it ran.
    notebook : str
        The executed notebook, relative to the folder of the batch; "" before it ran.
    parameters, outputs : dict
        What it was given, and what it recorded.
    error : dict or None
        Of a failed stage: kind, cell, source, message and log.
    """

    name: str
    status: StageStatus = "waiting"
    seconds: float = 0.0
    notebook: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None


@dataclass
class Record:
    """A batch and its stages.

    Attributes
    ----------
    folder : Path
        The folder of the batch (not part of ``run.json``, so that the folder can be moved).
    status : str
        Its state.
    started, ended : str or None
        ISO 8601, UTC.
    parameters : dict
        The values given by the user.
    stages : list of Stage
        In the order in which they run.
    """

    folder: Path
    status: BatchStatus = "running"
    started: str = field(default_factory=now)
    ended: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)

    def save(self) -> None:
        """Write ``run.json``; a reader sees the old one or the new one, never half of one."""
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        self.write("run.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a file of the folder, whole or not at all."""
        temporary = self.folder / f".{name}.new"
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)  # half of it, on a full disk

    @classmethod
    def load(cls, folder: Path) -> Record:
        """Read the record of a batch.

        Raises
        ------
        BatchError
            The folder holds none, or a damaged one.
        """
        path = folder / "run.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            stages = [Stage(**stage) for stage in content.pop("stages")]
            return cls(folder, **content, stages=stages)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BatchError(
                f"{path} is not the record of a batch ({type(error).__name__}: {error}).",
                "Name the folder of a batch, such as runs/2026-11-22_190532-3fa9, or start a new batch.",
            ) from error

    def output(self, name: str) -> Any:
        """What the last stage that recorded an output of this name recorded; None where there is none."""
        return next((stage.outputs[name] for stage in reversed(self.stages) if name in stage.outputs), None)
