"""What a batch prints while it runs: one line when a stage starts, one when it ends."""

from __future__ import annotations

from nbhelpers.batch.record import Record, Stage

_STYLES = {"running": "cyan", "finished": "green", "failed": "bold red", "cancelled": "yellow"}


def show_progress(record: Record, stage: Stage | None) -> None:
    """Print the progress of a batch: coloured on a terminal, plain lines elsewhere.

    Parameters
    ----------
    record : Record
        The batch.
    stage : Stage or None
        The stage whose status has changed; None at the start of the batch.
    """
    from rich.console import Console
    from rich.text import Text

    if stage is None:
        kept = sum(stage.status == "finished" for stage in record.stages)
        waiting = sum(stage.status == "waiting" for stage in record.stages)
        line = Text(f"Batch in {record.folder}: {waiting} to run" + (f", {kept} finished before" if kept else ""))
    else:
        position = f"[{record.stages.index(stage) + 1}/{len(record.stages)}]"
        total = sum(stage.seconds for stage in record.stages)
        times = "" if stage.status == "running" else f" after {stage.seconds:.1f} s (batch: {total:.1f} s)"
        line = Text.assemble(f"{position} {stage.name} ", (stage.status, _STYLES[stage.status]), times)
    Console(highlight=False).print(line, soft_wrap=True)
