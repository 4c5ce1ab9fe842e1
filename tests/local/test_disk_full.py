"""Runs on a disk without room: a small file system in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from nbhelpers.errors import ActivityFailedException, StoreError
from nbhelpers.local import AutoMLConfig, AutoMLStep, Pipeline, PipelineRun, PublishedPipeline, Workspace
from nbhelpers.local.processes import BEAT
from nbhelpers.local.store import runs

from .conftest import bank_like
from .faults import (
    DEADLINE,
    NOTE,
    TRAIN_FOLD,
    assert_failed,
    completed,
    create_target,
    end_of,
    plant,
    submit,
    taken_over,
    trained,
    wait_until,
)

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 16 MB, with the workspace on it."""
    if not IS_ROOT:
        pytest.skip("only root may mount a file system; another test runs these as root of a namespace")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    monkeypatch.setenv("NBHELPERS_HOME", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.skipif(IS_ROOT, reason="the tests of this file have mounted file systems by themselves")
def test_the_tests_below_pass_in_a_namespace() -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("a user cannot make namespaces here")
    subprocess.run([*namespace, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__], check=True)


#: Where the disk becomes full, how many bytes are left, and what then cannot be written. The bytes are enough for the
#: database to note the failure, too few for the file.
FILES = {
    "the training data": ("nbhelpers.local.pool:SlotPool.submit", "fill(100_000)", r"training_data\.joblib"),
    "a child": (
        "nbhelpers.local.children:ChildKeeper.keep",
        "if args[1].iteration == 2: fill(100_000)",
        r"_2/predictions\.npy",
    ),
    "the model": ("nbhelpers.local.models:save_model", "fill(100_000)", r"model_data"),
}


@pytest.mark.parametrize("part", FILES)
def test_a_disk_that_is_too_full_for_a_file_fails_the_run_until_there_is_room(
    disk: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    place, fault, file = FILES[part]
    plant(monkeypatch, {place: fault})
    settings = {"training_data": bank_like(10_000), "iterations": 5}
    run = submit(create_target(Workspace.from_config(), max_nodes=2), **settings)
    reason = rf"The file {disk}/.*{file} cannot be written: No space left on device"
    with pytest.raises(ActivityFailedException, match=rf"is Failed: {reason}.*\n.*Make room on the disk"):
        run.wait_for_completion(show_output=False, timeout_seconds=DEADLINE)
    (disk / "filling").unlink()
    assert_failed(run, reason)
    assert_goes_on(run, monkeypatch, iterations=5)


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("nbhelpers.local.children:ChildKeeper.start", "if args[1] == 3: fill()"),
        ("nbhelpers.local.slots:Slots.give_back", "if args[1] == 3: fill()"),
        ("nbhelpers.local.processes:finish", "fill()"),
    ],
    ids=["as a child starts", "as a slot is given back", "as the run ends"],
)
def test_a_disk_without_a_byte_ends_in_a_clear_error_and_the_run_is_failed_when_there_is_room(
    disk: Path, monkeypatch: pytest.MonkeyPatch, place: str, fault: str
) -> None:
    plant(monkeypatch, {place: fault})
    run = submit(create_target(Workspace.from_config(), max_nodes=2))
    full = rf"store {disk}/workspace\.db could not be used: database or disk is full.\n.*Check that the disk is not"
    with pytest.raises(StoreError, match=full):
        run.wait_for_completion(show_output=False, timeout_seconds=DEADLINE)
    (disk / "filling").unlink()
    assert_failed(run, "The worker process died")
    assert_goes_on(run, monkeypatch, iterations=7)


#: Fills the disk once, and waits.
FULL_FOR_A_WHILE = """
if not os.path.exists("once"):
    open("once", "w").close()
    fill()
while not os.path.exists("go on"):
    time.sleep(0.05)
"""


def test_a_run_outlives_a_full_disk_if_there_is_room_again_before_it_has_to_write(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {TRAIN_FOLD: FULL_FOR_A_WHILE})
    run = submit(create_target(Workspace.from_config(), max_nodes=1))
    store = run.experiment.workspace.store

    def heartbeat() -> float:
        row = store.one(sa.select(runs.c.heartbeat).where(runs.c.id == run.id))
        return row["heartbeat"] if row else 0.0

    wait_until(lambda: (disk / "filling").exists())
    wait_until(lambda: time.time() - heartbeat() > 4 * BEAT)
    emptied = time.time()
    (disk / "filling").unlink()
    wait_until(lambda: heartbeat() > emptied)
    (disk / "go on").touch()
    assert end_of(run) == "Finished"
    assert completed(run) == set(range(7))


def test_publishing_on_a_full_disk_leaves_nothing_and_goes_well_when_there_is_room(disk: Path) -> None:
    target = create_target(Workspace.from_config(), max_nodes=1)
    config = AutoMLConfig("classification", compute_target=target, training_data=bank_like(300), label_column_name="y")
    pipeline = Pipeline(target.workspace, AutoMLStep("automl_module", config))
    description = "x" * 1_000_000  # more than what the files of the database have room for
    with (disk / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with pytest.raises(StoreError, match="database or disk is full"):
        pipeline.publish("bank", description)
    assert PublishedPipeline.list(target.workspace, active_only=False) == []
    (disk / "filling").unlink()
    published = pipeline.publish("bank", description)
    assert [made.id for made in PublishedPipeline.list(target.workspace)] == [published.id]
    assert PublishedPipeline.get(target.workspace, published.id).description == description


def assert_goes_on(run: PipelineRun, monkeypatch: pytest.MonkeyPatch, iterations: int) -> None:
    """A run that is continued ends well and trains only what had not been finished."""
    done = completed(run)
    plant(monkeypatch, NOTE)
    again = run.continue_run()
    assert end_of(again) == "Finished"
    assert completed(again) == set(range(iterations))
    candidates = set(range(iterations - 2))  # ensembles are chosen anew
    assert set(taken_over(again)) == done & candidates
    assert set(trained(again)) == candidates - done
