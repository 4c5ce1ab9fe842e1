"""The command line: a batch of notebooks, the runs of the workspace, its service, and cleaning up.

Only Typer is imported with this package; a command imports what it needs.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from nbhelpers.cli import clean, emulate, run, runs, serve
from nbhelpers.errors import NbhelpersError, StageError

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)
for module in (run, runs, serve, emulate, clean):  # the order of the commands in --help
    app.add_typer(module.app)


def main() -> None:
    """Run the command line; an error of this project ends it with one message and no traceback.

    The exit code is 2 for wrong input, 1 for a run that failed, 130 after Ctrl-C.
    """
    if sys.stdout is None:  # closed, as by >&-
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for all that is printed
    if isinstance(sys.stdout, TextIOWrapper):  # a character that the terminal lacks is no reason to end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except NbhelpersError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, StageError) else 2)
    except OSError as error:  # a full disk, a folder that may not be written
        remedy = "Make room or give permission there, and repeat the command."
        print(f"error: {error}\nTo mend it: {remedy}", file=sys.stderr)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"nbhelpers {version('nbhelpers')}")
        raise typer.Exit


@app.callback()
def _nbhelpers(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The Azure ML AutoML workflow as parameterised notebooks."""
