from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nbhelpers.batch import Record

CHAIN = Path(__file__).parent / "notebooks_fixtures" / "chain"
TROUBLE = CHAIN.parent / "trouble"


def nbhelpers(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error:::nbhelpers", "-c", "from nbhelpers.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_command_line_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; sys.argv[1:] = {arguments}\nfrom nbhelpers.cli import main\ntry: main()\n"
    code += "finally: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    heavy = {"papermill", "nbformat", "pandas", "numpy", "sklearn", "sqlalchemy", "matplotlib", "jinja2", "IPython"}
    assert not heavy & set(loaded)


def test_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"nbhelpers \d+\.\d+\.\d+\n", nbhelpers("--version").stdout)


def test_help_of_run_lists_the_parameters_of_the_notebooks() -> None:
    result = nbhelpers("run", "--notebooks", CHAIN, "--help")
    assert result.returncode == 0
    assert re.search(r"limit: float \| None = None +seconds\n", result.stdout)
    assert (
        result.stdout.index("00_start") < result.stdout.index("title: str = 'small'") < result.stdout.index("05_test")
    )


def test_help_of_run_works_without_notebooks(tmp_path: Path) -> None:
    result = nbhelpers("run", "--notebooks", tmp_path, "--help")
    assert result.returncode == 0
    assert "cannot be listed" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "rows", "many"], "error: rows = 'many' is not of type int, as in 00_start, 01_middle."),
        (["-p", "row", "1"], "the nearest is 'rows' (of 00_start, 01_middle).\nTo mend it"),
        (["-p", "api_key", "hunter2"], "pass the NAME of the variable"),
        (["-p", "rows"], "requires 2 arguments"),
        (["-y", "[1, 2]"], "are not names with values"),
        (["-y", "a: [1"], "cannot be read"),
        (["-f", "nowhere.yaml"], "error: The parameters file nowhere.yaml cannot be read"),
        (["-p", "title", "x" * 5000 + ".csv", "-p", "rows", "many"], "error: rows = 'many'"),
        (["--from", "train"], "'train' names no stage"),
        (["--resume", "nowhere"], "There is no batch in"),
    ],
)
def test_wrong_input_ends_with_code_2_and_one_message(arguments: list[str], message: str, tmp_path: Path) -> None:
    output = [] if "--resume" in arguments else ["--output", tmp_path / "out"]
    result = nbhelpers("run", "--notebooks", CHAIN, *output, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_run_prints_stages_best_model_and_report(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("rows: 1\ntitle: from file\nlimit: 2\n")
    (tmp_path / "data.csv").write_text("a,b\n")
    result = nbhelpers(
        *(
            "run",
            "--notebooks",
            CHAIN,
            "--only",
            "test",
            "--output",
            "out",
            "-f",
            "p.yaml",
            "-y",
            "rows: 2",
            "-y",
            "title: yaml",
        ),
        *("-p", "rows", "5", "-p", "title", "data.csv"),
        cwd=tmp_path,
    )
    assert (result.returncode, result.stderr) == (0, "")
    unused = "title is not used: it is a parameter of 00_start, which is not run."
    assert unused in result.stdout.splitlines()
    lines = [line for line in result.stdout.splitlines() if "is not used" not in line]
    assert lines[1] == "[3/3] 05_test running"
    assert re.fullmatch(r"\[3/3\] 05_test finished after \d+\.\d s \(batch: \d+\.\d s\)", lines[2])
    assert "Best model: VotingEnsemble" in lines
    assert any(re.fullmatch(r" +AUC_weighted +0\.9512", line) for line in lines)
    assert lines[-1] == f"Report: {tmp_path / 'out' / 'index.html'}"
    title = str(tmp_path / "data.csv")  # a file is found although the notebook runs in another folder
    assert Record.load(tmp_path / "out").parameters == {"rows": 5, "title": title, "limit": 2.0}


def test_failed_run_ends_with_code_1_and_the_command_that_goes_on(tmp_path: Path) -> None:
    result = nbhelpers("run", "--notebooks", TROUBLE, "--only", "trouble", "--output", "out", cwd=tmp_path)
    assert result.returncode == 1
    assert "01_trouble failed after" in result.stdout
    assert result.stderr.startswith("error: Stage 01_trouble failed in cell 4: ValueError: no such thing")
    assert result.stderr.endswith(f"nbhelpers run --resume out --notebooks {TROUBLE}\n")
    assert "Traceback" not in result.stderr


class TestClean:
    def test_without_options_it_only_shows(self, tmp_path: Path) -> None:
        result = nbhelpers("clean", NBHELPERS_HOME=str(tmp_path / "home"))
        assert result.returncode == 0
        assert f"Workspace {tmp_path / 'home'}: none" in result.stdout
        assert "Batches in" in result.stdout
        assert list(tmp_path.iterdir()) == []

    def test_folder_that_is_not_ours_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("x")
        result = nbhelpers("clean", "--all", NBHELPERS_HOME=str(tmp_path))
        assert result.returncode == 2
        assert "holds no workspace.db" in result.stderr
        assert (tmp_path / "mine").exists()

    def test_contradiction_is_refused(self, tmp_path: Path) -> None:
        result = nbhelpers("clean", "--all", "--older-than", "3", NBHELPERS_HOME=str(tmp_path))
        assert result.returncode == 2
        assert "Give one of them" in result.stderr
