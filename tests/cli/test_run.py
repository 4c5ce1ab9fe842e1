from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nbhelpers.batch import Record
from nbhelpers.local import Dataset, Workspace
from nbhelpers.local.store import open_store

from .conftest import assert_refused, nbhelpers

CHAIN = Path(__file__).parents[1] / "notebooks_fixtures" / "chain"
TROUBLE = CHAIN.parent / "trouble"


def test_help_lists_the_parameters_of_the_notebooks(home: Path) -> None:
    result = nbhelpers(home, "run", "--notebooks", CHAIN, "--help")
    assert result.returncode == 0
    assert re.search(r"limit: float \| None = None +seconds\n", result.stdout)
    assert (
        result.stdout.index("00_start") < result.stdout.index("title: str = 'small'") < result.stdout.index("05_test")
    )


def test_help_works_without_notebooks(home: Path, tmp_path: Path) -> None:
    result = nbhelpers(home, "run", "--notebooks", tmp_path, "--help")
    assert result.returncode == 0
    assert "cannot be listed" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "rows", "many"], "error: rows = 'many' is not of type int, as in 00_start, 01_middle."),
        (["-p", "row", "1"], "the nearest is 'rows' (of 00_start, 01_middle).\nTo mend it"),
        (["-p", "api_key", "hunter2"], "pass the NAME of the variable"),
        (["-p", "rows"], "requires 2 arguments"),
        (["-p", "rows", "1", "-p", "rows", "2"], "error: -p rows is given more than once."),
        (["-p", "title", "https://me:hunter2@host/x"], "error: title is a URL with a password"),
        (["-y", "[1, 2]"], "are not names with values"),
        (["-y", "a: [1"], "cannot be read"),
        (["-f", "nowhere.yaml"], "error: The parameters file nowhere.yaml cannot be read"),
        (["-p", "title", "x" * 5000 + ".csv", "-p", "rows", "many"], "error: rows = 'many'"),
        (["--from", "train"], "'train' names no stage"),
        (["--from", ""], "The name of the stage is empty"),
        (["--resume", "nowhere"], "There is no batch in"),
    ],
)
def test_wrong_input_ends_with_code_2_and_one_message(
    arguments: list[str], message: str, home: Path, tmp_path: Path
) -> None:
    output = [] if "--resume" in arguments else ["--output", "out"]
    result = nbhelpers(home, "run", "--notebooks", CHAIN, *output, *arguments)
    assert_refused(result, message)
    assert "hunter2" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["max_concurrent_iterations", "0"], "max_concurrent_iterations=0 must be a whole number from 1"),
        (["experiment_timeout_minutes", "0"], "experiment_timeout_minutes=0.0 must be a number above 0"),
        (["featurization", "on"], "featurization='on' must be 'auto', 'off' or a FeaturizationConfig"),
        (["primary_metric", "foo"], "primary_metric='foo' is not one of 'accuracy'"),
        (["primary_metric", "r2_scor"], "Did you mean 'r2_score'?"),
        (["task", "xyz"], "The task 'xyz' is unknown"),
        (["test_size", "1.5"], "test_size=1.5 is not a share between 0 and 1"),
        (["backend", "gcp"], "There is no backend 'gcp'"),
        (["backend", "azure", "-p", "seed", "3"], "seed=3 cannot be honoured on Azure"),
        (["data", "nowhere.csv"], "The file 'nowhere.csv' does not exist (a relative path starts at"),
        (["data", ""], "'' is a folder"),
        (["test_data", "empty.csv"], "The file empty.csv is empty"),
    ],
)
def test_values_that_the_notebooks_would_refuse_are_refused_before_they_run(
    arguments: list[str], message: str, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").touch()
    assert_refused(nbhelpers(home, "run", "--output", "out", "-p", *arguments), message)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.csv"]


def test_data_that_is_a_url_or_registered_or_bundled_is_not_looked_for_among_the_files(
    home: Path, tmp_path: Path
) -> None:
    table = Dataset.Tabular.from_pandas_dataframe(pd.DataFrame({"x": [1, 2]}))
    table.register(Workspace(open_store(home)), "mine")
    for data in ("mine", "bank-marketing-twin", "https://host/x.csv"):
        values = ("-p", "data", data, "-p", "test_data", "", "-p", "iterations", "0")
        result = nbhelpers(home, "run", "--output", "out", *values)
        assert result.stderr.startswith("error: The settings cannot be used:\n- iterations=0 must be")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("reader", ["true", "head -1"])
def test_batch_goes_on_when_nobody_reads_its_progress(reader: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m nbhelpers run --notebooks {CHAIN} --only start --output out | {reader}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)  # noqa: S602
    assert done.stderr == ""
    assert Record.load(tmp_path / "out").status == "finished"
    assert (tmp_path / "out" / "index.html").is_file()


def test_stages_best_model_and_report_are_printed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("rows: 1\ntitle: from file\nlimit: 2\n")
    (tmp_path / "data.csv").write_text("a,b\n")
    result = nbhelpers(
        home,
        *("run", "--notebooks", CHAIN, "--only", "test", "--output", "out", "-f", "p.yaml"),
        *("-y", "rows: 2", "-y", "title: yaml", "-p", "rows", "5", "-p", "title", "data.csv"),
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


def test_a_tiny_metric_is_not_printed_as_zero(home: Path, tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    notebook = (CHAIN / "05_test.ipynb").read_text()
    (tmp_path / "notebooks" / "05_test.ipynb").write_text(notebook.replace("0.91}", "3.16e-09}"))
    result = nbhelpers(home, "run", "--notebooks", "notebooks", "--output", "out")
    assert re.search(r"^ +accuracy +3\.16e-09$", result.stdout, re.MULTILINE), result


def test_failed_batch_ends_with_code_1_and_the_command_that_goes_on(home: Path) -> None:
    result = nbhelpers(home, "run", "--notebooks", TROUBLE, "--only", "trouble", "--output", "out")
    assert result.returncode == 1
    assert "01_trouble failed after" in result.stdout
    assert result.stderr.startswith("error: Stage 01_trouble failed in cell 4: ValueError: no such thing")
    assert result.stderr.endswith(f"nbhelpers run --resume out --notebooks {TROUBLE}\n")
    assert "Traceback" not in result.stderr
