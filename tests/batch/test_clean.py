from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nbhelpers.batch import Record, clean
from nbhelpers.batch.chain import held
from nbhelpers.errors import BatchError


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


def test_size_is_that_of_the_files(tmp_path: Path) -> None:
    assert clean.bytes_in(tmp_path) == clean.bytes_in(tmp_path / "nowhere") == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(bytes(1000))
    (tmp_path / "a" / "link").symlink_to("nowhere")
    assert 1000 < clean.bytes_in(tmp_path) < 1100
    assert clean.bytes_in(tmp_path / "a" / "b" / "file") == 1000
