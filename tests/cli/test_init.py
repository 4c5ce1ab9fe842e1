"""What all commands have in common."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nbhelpers.local.processes import log_file
from nbhelpers.local.store import Store

from ..local.rows import add_run
from .conftest import loaded, nbhelpers

COMMANDS = ["run", "runs", "logs", "cancel", "continue", "serve", "pipelines", "token", "emulate", "clean"]


def test_help_lists_the_commands_in_the_order_of_their_use(home: Path) -> None:
    listed = nbhelpers(home, "--help").stdout.partition("Commands:\n")[2]
    assert re.findall(r"^  (\w+)", listed, re.MULTILINE) == COMMANDS
    assert "..." not in listed, "a summary is too long for its line"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, home: Path) -> None:
    result = nbhelpers(home, command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: python -m nbhelpers {command} ")
    assert not home.exists()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["token", "create", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str], home: Path) -> None:
    heavy = {"papermill", "nbformat", "pandas", "numpy", "sklearn", "sqlalchemy", "matplotlib", "jinja2", "IPython"}
    heavy |= {"fastapi", "uvicorn", "httpx"}
    assert not heavy & loaded(home, *arguments)


def test_version_is_that_of_the_package(home: Path) -> None:
    assert re.fullmatch(r"nbhelpers \d+\.\d+\.\d+\n", nbhelpers(home, "--version").stdout)


def test_unknown_command_is_named(home: Path) -> None:
    result = nbhelpers(home, "rum")
    assert result.returncode == 2
    assert "No such command 'rum'" in result.stderr


def test_folder_that_is_no_workspace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    for arguments in (["run"], ["runs"], ["logs", "latest"], ["pipelines"], ["clean", "--all"]):
        result = nbhelpers(tmp_path, *arguments)
        assert result.returncode == 2
        assert "holds no workspace.db" in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_stdout_that_is_closed_is_no_error(store: Store) -> None:
    log_file(store, add_run(store)[1]).write_text("line")
    command = f"{sys.executable} -m nbhelpers logs latest >&-"
    environment = {**os.environ, "NBHELPERS_HOME": str(store.home)}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)  # noqa: S602
    assert (done.returncode, done.stderr) == (0, "")


def test_stdout_that_is_full_is_said_so(home: Path) -> None:
    command = f"{sys.executable} -m nbhelpers runs >/dev/full"
    environment = {**os.environ, "NBHELPERS_HOME": str(home)}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)  # noqa: S602
    assert done.returncode == 1
    assert done.stderr.startswith("error: [Errno 28] No space left on device\nTo mend it: Make room")
