"""Measure what a batch costs beside the work of its notebooks, stage by stage.

    nbhelpers run --output batch
    python benchmarks/chain.py batch

Reads the folder of a finished batch: how long each stage took (`run.json`), and when each cell began and ended, which
papermill notes in the executed notebooks. Prints Markdown.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from nbhelpers.batch import Record, Stage

#: Cells that import, or that open the workspace: what nbhelpers needs is imported there, when it is first used.
IMPORTS = ("import ", "from ", "ml = nbhelpers.connect(")


def moment(papermill: Any, name: str) -> datetime:
    """A time that papermill has noted."""
    return datetime.fromisoformat(papermill[name])


def measure(folder: Path, stage: Stage) -> dict[str, float]:
    """The seconds of a stage, by what they went to."""
    notebook = nbformat.read(folder / stage.notebook, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    seconds = [cell.metadata.papermill.duration for cell in cells]
    imports = sum(s for s, cell in zip(seconds, cells, strict=True) if cell.source.startswith(IMPORTS))
    began = moment(notebook.metadata.papermill, "start_time")
    first = moment(notebook.cells[0].metadata.papermill, "start_time")
    kernel = (first - began) / timedelta(seconds=1)
    work = sum(seconds) - imports
    return {
        "whole": stage.seconds,
        "work": work,
        "kernel start": kernel,
        "imports": imports,
        "papermill and hand-over": stage.seconds - work - kernel - imports,
        "overhead": stage.seconds - work,
    }


def main() -> None:
    """Print a table with a row for each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of a finished batch")
    record = Record.load(parser.parse_args().folder)
    table = pd.DataFrame({stage.name: measure(record.folder, stage) for stage in record.stages if stage.notebook}).T
    table.loc["all stages"] = table.sum()
    print(f"| seconds | {' | '.join(table)} |")
    print("|---" * (table.shape[1] + 1) + "|")
    for name, row in table.iterrows():
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |")
    took = datetime.fromisoformat(str(record.ended)) - datetime.fromisoformat(record.started)
    print(f"\nFrom the start of the batch to the end of its last stage: {took.total_seconds():.0f} s.")


if __name__ == "__main__":
    main()
