from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from nbhelpers.batch import Record, Stage
from nbhelpers.errors import BatchError


def test_record_survives_the_round_trip_and_the_move_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    record = Record(folder, parameters={"rows": 3}, stages=[Stage("00_a", "finished", 1.5, outputs={"x": [1, None]})])
    record.save()
    moved = folder.rename(tmp_path / "b")
    record.folder = moved
    assert Record.load(moved) == record


def test_record_has_the_documented_form(tmp_path: Path) -> None:
    Record(tmp_path, stages=[Stage("00_a")]).save()
    content = json.loads((tmp_path / "run.json").read_text())
    assert set(content) == {"status", "started", "ended", "parameters", "stages"}
    expected = {"name", "status", "seconds", "notebook", "parameters", "outputs", "error"}
    assert set(content["stages"][0]) == expected


def test_nothing_but_the_record_is_left_by_saving(tmp_path: Path) -> None:
    Record(tmp_path).save()
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.save()
    record.parameters["x"] = object()
    with pytest.raises(TypeError):
        record.save()
    assert Record.load(tmp_path).parameters == {}


def test_disk_that_gets_full_half_way_leaves_the_old_record_alone(tmp_path: Path) -> None:
    record = Record(tmp_path, parameters={"rows": 1})
    record.save()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            Record(tmp_path, parameters={"rows": 2}).save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Record.load(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"stages": [{"nam": 1}]}', '{"status": "running"}'])
def test_missing_or_damaged_record_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(BatchError, match="is not the record of a batch"):
        Record.load(tmp_path)


def test_output_is_that_of_the_last_stage_that_has_it(tmp_path: Path) -> None:
    stages = [Stage("00_a", outputs={"x": 1}), Stage("01_b", outputs={"x": 2}), Stage("02_c")]
    record = Record(tmp_path, stages=stages)
    assert record.output("x") == 2
    assert record.output("y") is None
