"""``emulate``: a command for which this project stands in for Azure ML."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from nbhelpers.errors import BackendError, UserErrorException

if TYPE_CHECKING:
    from nbhelpers.local.store import Store

app = typer.Typer()


@app.command(context_settings={"allow_interspersed_args": False})  # options after COMMAND are those of COMMAND
def emulate(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="A program and its arguments.")],
    faults: Annotated[
        list[str],
        typer.Option(
            "--fault",
            metavar="REGEX=WHAT",
            help="Let requests go wrong whose METHOD https://host/path holds REGEX. WHAT is a status from 400 to 599, "
            "drop (no answer), or seconds such as 2.5s (a late answer); x3 after it means only the first 3 of them. "
            "Can be repeated.",
        ),
    ] = [],  # noqa: B006 - Typer reads it, nothing changes it
) -> None:
    """Run a command with this machine in the place of Azure ML.

    The Azure ML SDK in COMMAND talks to an emulated cloud on 127.0.0.1. Workspace.from_config() gives its workspace,
    which has the compute target automl-compute and the data set bank-marketing-dataset. Runs are those of this project,
    in the same workspace folder as with the other commands. No account is needed, and Azure is sent nothing.

    COMMAND has a home folder of its own, none of your AZURE… variables, and the programs of this environment first in
    its PATH. While it runs, .azureml/config.json is in the current folder. Its exit code is that of this command, too.
    The emulated cloud ends with COMMAND, even if that leaves programs behind; its runs go on.

    Examples: nbhelpers emulate -- jupyter lab, or nbhelpers emulate --fault '/history/=503x2' -- python flow.py
    """
    _check_platform()
    from nbhelpers.emulator import faults as fault
    from nbhelpers.emulator.client import config_in
    from nbhelpers.emulator.launch import running
    from nbhelpers.local.workspace import Workspace

    parsed = [fault.parse(text) for text in faults]
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that files are removed where there is no COMMAND to tell, too
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    workspace = Workspace.from_config()
    with running(workspace, parsed) as emulator, config_in(Path.cwd()) as problem:
        if problem:
            print(f"Workspace.from_config() may not find the emulated workspace: {problem}", file=sys.stderr)
        home = workspace.store.home
        address = emulator.proxy.rpartition("@")[2]  # without the secret
        print(f"Emulated Azure ML at http://{address}, on the workspace {home}", file=sys.stderr, flush=True)
        code = _run(command, emulator.environment)
    if count := _unfinished(workspace.store):
        print(f"Runs that go on: {count}. To see them: nbhelpers runs", file=sys.stderr)
    raise typer.Exit(code)


def _check_platform() -> None:
    if sys.platform == "win32":
        raise BackendError("The emulator does not run on Windows.", "use Linux, macOS, or WSL")
    if missing := [name for name in ("azureml", "cryptography") if find_spec(name) is None]:
        raise BackendError(
            f"The emulator needs the Azure ML SDK, and {' and '.join(missing)} cannot be imported here.",
            "run `make install-azure`, and then .venv-azure/bin/nbhelpers emulate",
        )


def _run(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command, which gets the signals that this process gets; gives its exit code as a shell has it."""
    try:
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - what the user asks for
    except (OSError, ValueError) as error:  # ValueError: a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise UserErrorException(
            f"{command[0]!r} cannot be started: {reason}.",
            "give a program and its arguments, such as: nbhelpers emulate -- python flow.py",
        ) from error

    def hand_on(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM or not _in_foreground():
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hand_on)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _in_foreground() -> bool:
    """Whether this is in the foreground of a terminal: that sends Ctrl-C and its own end to COMMAND as well."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _unfinished(store: Store) -> int:
    """How many pipeline runs have not ended."""
    import sqlalchemy as sa

    from nbhelpers.local.processes import RUNNING, settle_all
    from nbhelpers.local.store import runs

    settle_all(store)
    return len(store.all(sa.select(runs.c.id).where(runs.c.kind == "pipeline", runs.c.status.in_(RUNNING))))
