from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from nbhelpers.batch import Record
from nbhelpers.local.store import Store, runs

from ..local.rows import add_run
from .conftest import assert_refused, nbhelpers

#: With the current folder as that of the project: no test touches the batches that a developer has made.
MAIN = (
    "from nbhelpers.batch import chain; chain.project_folder = chain.Path.cwd; from nbhelpers.cli import main; main()"
)


def clean(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return nbhelpers(home, "clean", *arguments, command=[sys.executable, "-W", "error:::nbhelpers", "-c", MAIN])


def test_without_options_it_only_shows(home: Path, tmp_path: Path) -> None:
    result = clean(home)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Workspace {home}: none\nBatches in {tmp_path / 'runs'}: none\nTo remove: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--older-than", "soon"], "Invalid value for '--older-than'"),
        (["--older-than", "-1"], "error: --older-than -1.0 is not from 0 to 36500"),
        (["--older-than", "nan"], "error: --older-than nan is not from 0 to 36500"),
        (["--older-than", "1e300"], "error: --older-than 1e+300 is not from 0 to 36500"),
        (["--all", "--older-than", "3"], "error: --all and --older-than contradict each other"),
        (["--yes"], "error: --yes does not say what to remove"),
    ],
)
def test_a_mistake_ends_with_code_2_and_one_message(store: Store, arguments: list[str], message: str) -> None:
    add_run(store)
    assert_refused(clean(store.home, *arguments), message)


def test_where_there_is_nothing_it_says_so(home: Path) -> None:
    result = clean(home, "--all", "--yes")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "There is nothing to remove."


def test_it_shows_what_there_is_and_removes_what_is_old_only_with_yes(store: Store) -> None:
    old, step_id = add_run(store, days=9, children=[("Completed", "1")])
    needed, step = add_run(store, days=9)
    reuse = {"azureml.reusedrunid": step, "azureml.reusedpipeline": needed}
    young, _ = add_run(store, days=1, facts=reuse)
    project = store.home.parent
    for name, days in (("new", 1), ("old", 9)):
        (project / "runs" / name).mkdir(parents=True)
        ended = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        Record(project / "runs" / name, "finished", ended=ended).save()
    (leftover := store.data_folder / f"{'ab' * 32}.parquet").write_bytes(bytes(300_000))
    os.utime(leftover, (time.time() - 7200,) * 2)

    result = clean(store.home)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"Batches in {project / 'runs'}: 2\n  new  ended " in result.stdout
    assert "  data 0.3 MB, runs 0.0 MB, store 0." in result.stdout
    assert (
        "  data sets 0, versions 0, tables 1, runs 3, child runs 1, models 3, published pipelines 0, " in result.stdout
    )

    shown = clean(store.home, "--older-than", "5").stdout
    assert "With --yes this removes:" in shown
    assert f"  batch {project / 'runs' / 'old'}  0.0 MB" in shown
    assert f"  run {old}  bank  Finished, ended " in shown
    assert f"  {leftover}, which nothing refers to  0.3 MB" in shown
    assert f"Run {needed} is kept: run {young} reuses it." in shown
    assert young not in shown.split("With --yes")[1].split("Run ")[0]
    assert (len(store.all(sa.select(runs.c.id))), leftover.exists()) == (7, True)

    result = clean(store.home, "--older-than", "5", "--yes")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Removing:" in result.stdout
    assert {row["id"] for row in store.all(sa.select(runs.c.id))}.isdisjoint({old, step_id, f"{step_id}_0"})
    assert [path.name for path in (project / "runs").iterdir()] == ["new"]
    assert not leftover.exists()
    assert not store.run_folder(old).exists()
    assert store.run_folder(needed).exists()


def test_a_workspace_of_another_version_can_be_removed_as_a_whole(store: Store) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("PRAGMA user_version=99")
    result = clean(store.home, "--older-than", "5", "--yes")
    assert result.returncode == 0
    assert "has schema 99" in result.stdout
    result = clean(store.home, "--all")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"  workspace {store.home}" in result.stdout
    assert (store.home / "workspace.db").exists()
