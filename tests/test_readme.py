"""Every command of the README is run here, or marked with the reason why not."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(
    r"(?:<!-- not run by the tests[^:]*: (?P<reason>[^>]+) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)```", re.DOTALL
)
BLOCKS = list(BLOCK.finditer(README))
COMMANDS = [
    line
    for block in BLOCKS
    if block["kind"] == "bash" and not block["reason"]
    for line in block["body"].strip().splitlines()
]


def test_every_block_is_run_shown_or_excused() -> None:
    assert {block["kind"] for block in BLOCKS if not block["reason"]} <= {"bash", "python", "text"}
    assert COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_works(command: str, tmp_path: Path) -> None:
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    pd.DataFrame({"size": range(200), "sold": ["yes", "no", "no", "yes"] * 50}).to_csv(
        tmp_path / "my-data.csv", index=False
    )
    program, *arguments = shlex.split(command)
    assert program.startswith(".venv/bin/")
    done = subprocess.run(
        [Path(sys.executable).parent / program.removeprefix(".venv/bin/"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "NBHELPERS_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", [block["body"] for block in BLOCKS if block["kind"] == "python"])
def test_python_works(code: str) -> None:
    exec(code, {})  # noqa: S102


def test_links_lead_to_files_of_the_project() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]
