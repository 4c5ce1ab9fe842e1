"""Why a notebook did not run to its end, in the words that its user needs."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nbhelpers.batch import notebook
from nbhelpers.errors import BatchError, StageError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: The first line of what Python writes when native code crashes.
_CRASH = re.compile(r"^Fatal Python error: (.+)", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """The end of a stage that failed.

    Attributes
    ----------
    kind : str
        error | dead kernel | time-out | early exit | no start | hand-over
    message : str
        One or a few lines: for an error its type and text.
    cell : int or None
        Number of the cell in the source notebook, from 1; None if no cell is to blame.
    source : str
        The cell's source, the middle of a long one left out.
    log : str
        File name of the kernel's log, beside the executed notebook; "" if nothing was written to it.
    """

    kind: str
    message: str
    cell: int | None = None
    source: str = ""
    log: str = ""

    @classmethod
    def from_error(cls, target: Path, index: int, name: str, value: str) -> Failure:
        """Build from an exception in the cell at a position of the executed notebook."""
        return cls("error", _COLOURS.sub("", f"{name}: {value}").rstrip(": "), *_locate(target, index))

    @classmethod
    def from_dead_kernel(cls, target: Path) -> Failure:
        """Build from the death of the kernel (out of memory, a crash in native code, `os._exit`)."""
        crash = _CRASH.search(log_of(target).read_text(encoding="utf-8", errors="replace"))
        message = f"the kernel died: {crash[1]}" if crash else "the kernel died; mostly it was ended for want of memory"
        return cls("dead kernel", message, *_locate(target, _last_started(target)))

    @classmethod
    def from_timeout(cls, target: Path, seconds: float | None) -> Failure:
        """Build from a cell that ran longer than allowed."""
        message = f"the cell ran longer than {seconds:g} s" if seconds else "the kernel stopped answering"
        return cls("time-out", message, *_locate(target, _last_started(target)))

    @classmethod
    def from_exit(cls, target: Path) -> Failure:
        """Build from a cell that ended the notebook early (`sys.exit(0)`, which papermill takes for success)."""
        message = "the cell left the notebook with sys.exit, so that later cells did not run"
        return cls("early exit", message, *_locate(target, _last_started(target)))

    @classmethod
    def from_start(cls, reason: object) -> Failure:
        """Build from a kernel that did not start."""
        return cls("no start", f"the kernel could not be started ({reason})")

    def to_dict(self) -> dict[str, Any]:
        """The form that the record of the batch keeps."""
        return asdict(self)

    def as_error(self, stage: str, target: Path, resume: str) -> StageError:
        """Say it with the executed notebook, the kernel's log and the command that goes on from here.

        Parameters
        ----------
        stage : str
            Name of the stage.
        target : Path
            The executed notebook.
        resume : str
            The command.
        """
        where = f" in cell {self.cell}" if self.cell else ""
        lines = [f"Stage {stage} failed{where}: {self.message}"]
        lines += [f"    | {line}" for line in self.source.splitlines()]
        if target.is_file():
            lines.append(f"The executed notebook: {target}")
        if self.log:
            lines.append(f"The kernel's log: {target.with_name(self.log)}")
        return StageError(
            "\n".join(lines),
            f"remove the cause (a wrong parameter: add -p NAME VALUE), then go on from this stage with\n    {resume}",
        )


def log_of(target: Path) -> Path:
    """Where the kernel of an executed notebook writes what goes past the notebook."""
    return target.with_suffix(".log")


def ended_early(target: Path) -> bool:
    """Whether an executed notebook was left by `sys.exit(0)`: papermill marks that, but raises nothing."""
    return any(_state(cell).get("exception") for cell in _executed(target))


def _executed(target: Path) -> list[dict[str, Any]]:
    """The cells as they were executed: without the banners that papermill adds to a failed notebook."""
    return [cell for cell in notebook.read_cells(target) if "papermill-error-cell-tag" not in notebook.tags(cell)]


def _state(cell: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = cell.get("metadata", {}).get("papermill", {})
    return state


def _last_started(target: Path) -> int:
    """The position of the cell that ran last. Its status is no help, but only cells that began have a start time."""
    try:
        return max(i for i, cell in enumerate(_executed(target)) if _state(cell).get("start_time"))
    except (BatchError, ValueError):
        return -1


def _locate(target: Path, index: int) -> tuple[int | None, str]:
    try:
        cells = _executed(target)
    except BatchError:  # the executed notebook was not written
        return None, ""
    if not 0 <= index < len(cells):
        return None, ""
    injected = sum("injected-parameters" in notebook.tags(cell) for cell in cells[:index])
    lines = notebook.text(cells[index]["source"]).strip().splitlines()
    return index - injected + 1, "\n".join(lines if len(lines) <= 11 else [*lines[:5], "...", *lines[-5:]])
