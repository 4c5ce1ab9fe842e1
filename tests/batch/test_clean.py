from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nbhelpers.batch import Record, clean
from nbhelpers.batch.chain import held
from nbhelpers.errors import BatchError, StoreError


def make_workspace(home: Path, heartbeat: float | None = None) -> Path:
    for folder in ("data", "runs"):
        (home / folder).mkdir(parents=True)
    (home / "data" / "a.parquet").write_bytes(b"x" * 1000)
    connection = sqlite3.connect(home / "workspace.db")
    connection.execute("CREATE TABLE runs (id TEXT, heartbeat REAL, ended TEXT)")
    connection.execute("INSERT INTO runs VALUES ('run-1', ?, NULL)", [heartbeat])
    connection.commit()
    connection.close()
    return home


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with a batch of today, one of ten days ago, and a folder that is no batch."""
    monkeypatch.setattr(clean, "project_folder", lambda: tmp_path)
    for name, days in (("old", 10), ("new", 0)):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        Record(folder, "finished", ended=(datetime.now(UTC) - timedelta(days=days)).isoformat()).save()
    (tmp_path / "runs" / "mine").mkdir()
    (tmp_path / "runs" / "mine" / "run.json").write_text("{}")
    return tmp_path


@pytest.mark.usefixtures("project")
def test_batches_are_found_by_their_record_and_chosen_by_age() -> None:
    batches = clean.find_batches()
    assert sorted(item.path.name for item in batches) == ["new", "old"]
    assert [item.path.name for item in clean.older_than(batches, 5)] == ["old"]
    assert all(item.size > 0 for item in batches)


def test_batch_is_removed_with_its_folder_only(project: Path) -> None:
    (item,) = clean.older_than(clean.find_batches(), 5)
    clean.remove_batch(item)
    assert sorted(path.name for path in (project / "runs").iterdir()) == ["mine", "new"]


@pytest.mark.usefixtures("project")
def test_running_batch_is_not_removed() -> None:
    item = clean.find_batches()[0]
    with held(item.path), pytest.raises(BatchError, match="A batch is running"):
        clean.remove_batch(item)
    assert item.path.is_dir()


def test_workspace_is_removed_but_nothing_else_beside_it(tmp_path: Path) -> None:
    home = make_workspace(tmp_path / "home")
    (home / "thesis.txt").write_text("x")
    item = clean.find_workspace(home)
    assert item is not None
    assert item.size > 1000
    clean.remove_workspace(home)
    assert [path.name for path in home.iterdir()] == ["thesis.txt"]
    (home / "thesis.txt").unlink()
    make_workspace(home)
    clean.remove_workspace(home)
    assert not home.exists()


def test_linked_folder_is_not_followed(tmp_path: Path) -> None:
    home = make_workspace(tmp_path / "home")
    (home / "runs").rmdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (home / "runs").symlink_to(tmp_path / "precious")
    clean.remove_workspace(home)
    assert (tmp_path / "precious" / "file").exists()


def test_folder_without_a_store_is_no_workspace(tmp_path: Path) -> None:
    assert clean.find_workspace(tmp_path / "nowhere") is None
    assert clean.find_workspace(tmp_path) is None
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"holds no workspace\.db"):
        clean.find_workspace(tmp_path)


def test_workspace_with_a_living_run_is_in_use(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run-1 is running"):
        clean.check_workspace_idle(make_workspace(tmp_path / "a", heartbeat=time.time()))
    clean.check_workspace_idle(make_workspace(tmp_path / "b", heartbeat=time.time() - 3600))
    clean.check_workspace_idle(make_workspace(tmp_path / "c"))
