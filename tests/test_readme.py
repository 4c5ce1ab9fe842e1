"""Every command of the README is run here, or marked with the reason why not."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nbhelpers.service.errors import STATUSES
from nbhelpers.service.limits import Limits

from .service.servers import Process, processes

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(
    r"(?:<!-- not run by the tests[^:]*: (?P<reason>[^>]+) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)```", re.DOTALL
)
BLOCKS = list(BLOCK.finditer(README))
RUN = [block for block in BLOCKS if not block["reason"]]
#: The blocks of one section need each other; those of the others stand alone.
TOGETHER = range(README.index("## Publish and call"), README.index("## Keep it running"))
ALONE = [block for block in RUN if block.start() not in TOGETHER]
COMMANDS = [line for block in ALONE if block["kind"] == "bash" for line in block["body"].strip().splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: it looks like that of the project, with a file of the reader's own and a new workspace."""
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    pd.DataFrame({"size": range(200), "sold": ["yes", "no", "no", "yes"] * 50}).to_csv(
        tmp_path / "my-data.csv", index=False
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))
    return tmp_path


def succeed(*command: str | Path, **variables: str) -> str:
    """Run a command that has to succeed; gives what it prints."""
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_block_is_run_shown_or_excused() -> None:
    assert {block["kind"] for block in RUN} <= {"bash", "python", "text"}
    assert COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("folder")
def test_command_works(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program.startswith(".venv/bin/")
    succeed(program, *arguments)


@pytest.mark.parametrize("code", [block["body"] for block in ALONE if block["kind"] == "python"])
def test_python_works(code: str) -> None:
    exec(code, {})  # noqa: S102


def test_publish_and_call_works(folder: Path) -> None:
    names: dict[str, Any] = {}
    with processes() as started:
        started.append(Process(folder / "home"))
        for block in (block for block in RUN if block.start() in TOGETHER):
            if block["kind"] == "python":
                exec(block["body"], names)  # noqa: S102
            else:
                succeed("bash", "-euo", "pipefail", "-c", block["body"])
    assert names["answer"].json().keys() == {"result", "probabilities"}
    runs = list(names["ws"].experiments["sales-rest"].get_runs())
    assert len(runs) == 2  # one from the terminal, one from Python
    for run in runs:
        assert run.wait_for_completion(show_output=False) == "Finished"


def test_the_errors_and_limits_are_those_of_the_service() -> None:
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \|", README, re.MULTILINE)
    assert [int(status) for row in rows for status in row.split(", ")] == list(STATUSES)
    limits = Limits()
    for words in (
        f"within {limits.body_seconds} s",
        f"above {limits.body_bytes // 2**20} MB; ",
        f"above {limits.score_bytes // 2**20} MB or {limits.score_rows:,} rows",
        f"more than {limits.requests_per_second} times a second ({limits.burst} at once)",
        f"or {limits.unfinished_runs} runs have not ended",
        f"{limits.connections} connections are open",
    ):
        assert words in README


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_the_unit_is_valid(folder: Path) -> None:
    (unit,) = (block["body"] for block in BLOCKS if block["kind"] == "ini")
    (folder / "nbhelpers").symlink_to(folder)  # where the unit looks for the project
    (folder / "nbhelpers.service").write_text(unit)
    path = folder / "nbhelpers.service"
    assert succeed("systemd-analyze", "--user", "verify", path, HOME=str(folder), XDG_RUNTIME_DIR=str(folder)) == ""


def test_every_call_that_is_said_to_work_under_the_emulator_is_tested() -> None:
    table = README[README.index("| | calls |") :].partition("\n\n")[0]
    calls = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", table)}
    assert "from_config" in calls
    files = [*TESTS.glob("contract/*.py"), *TESTS.glob("emulator/*.py"), TESTS / "notebooks" / "sdk_v1_flow.ipynb"]
    words = set(re.findall(r"\w+", "\n".join(file.read_text() for file in files)))
    assert calls <= words


def test_every_notebook_is_in_the_table() -> None:
    listed = re.findall(r"^\| \[\w+\]\((notebooks/\w+\.ipynb)\)", README, re.MULTILINE)
    assert listed == sorted(str(path.relative_to(ROOT)) for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_links_lead_to_files_of_the_project() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]
