from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nbhelpers.local.store import Store, open_store

COMMAND = [sys.executable, "-W", "error:::nbhelpers", "-m", "nbhelpers"]


def nbhelpers(home: Path, *arguments: str | Path, command: Sequence[str] = COMMAND) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as a person types it, on the workspace in a folder and beside that folder."""
    environment = {**os.environ, "NBHELPERS_HOME": str(home)}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=home.parent
    )


def assert_refused(result: subprocess.CompletedProcess[str], message: str) -> None:
    """A command ended as it does after a mistake: with code 2, and one message on stderr alone."""
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def loaded(home: Path, *arguments: str) -> set[str]:
    """The packages that a command loads."""
    code = f"import sys; sys.argv[1:] = {list(arguments)}\nfrom nbhelpers.cli import main\ntry: main()\n"
    code += "finally: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    result = nbhelpers(home, command=[sys.executable, "-c", code])
    assert result.returncode == 0, result.stderr
    return set(result.stderr.split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a workspace that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)
