from __future__ import annotations

import json
from pathlib import Path

from nbhelpers.emulator.client import config_in
from nbhelpers.emulator.names import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE
from nbhelpers.local.workspace import Workspace

NAMES = {"subscription_id": SUBSCRIPTION, "resource_group": RESOURCE_GROUP, "workspace_name": WORKSPACE}


def config(folder: Path) -> Path:
    return folder / ".azureml" / "config.json"


def test_the_sdk_finds_the_workspace_from_a_folder_and_below_and_the_folder_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")  # which the SDK would take were there no other
    (tmp_path / "below").mkdir()
    with config_in(tmp_path) as problem:
        assert problem is None
        assert json.loads(config(tmp_path).read_text()) == NAMES
        assert Workspace.from_config(tmp_path / "below").name == WORKSPACE  # which looks where the SDK does
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "below"}


def test_the_users_own_file_is_kept_and_named(tmp_path: Path) -> None:
    config(tmp_path).parent.mkdir()
    config(tmp_path).write_text(text := json.dumps(NAMES | {"workspace_name": "mine"}))
    with config_in(tmp_path) as problem:
        assert problem == f"{config(tmp_path)} is not that of the emulated workspace."
        assert config(tmp_path).read_text() == text
    assert config(tmp_path).read_text() == text
    assert [path.name for path in config(tmp_path).parent.iterdir()] == ["config.json"]


def test_what_else_is_in_the_folder_is_kept(tmp_path: Path) -> None:
    config(tmp_path).parent.mkdir()
    (config(tmp_path).parent / "mine").touch()
    with config_in(tmp_path):
        assert config(tmp_path).is_file()
    assert [path.name for path in config(tmp_path).parent.iterdir()] == ["mine"]


def test_the_last_of_several_emulators_removes_the_file(tmp_path: Path) -> None:
    first, second = config_in(tmp_path), config_in(tmp_path)
    assert (first.__enter__(), second.__enter__()) == (None, None)
    first.__exit__(None, None, None)
    assert config(tmp_path).is_file()
    second.__exit__(None, None, None)
    assert not config(tmp_path).parent.exists()


def test_the_file_of_one_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    config(tmp_path).parent.mkdir()
    config(tmp_path).write_text(json.dumps(NAMES))
    with config_in(tmp_path) as problem:
        assert problem is None
    assert not config(tmp_path).parent.exists()


def test_where_it_cannot_be_made_the_reason_is_given(tmp_path: Path) -> None:
    (tmp_path / ".azureml").touch()
    with config_in(tmp_path) as problem:
        assert problem == f"{config(tmp_path)} cannot be made: File exists."
    assert [path.name for path in tmp_path.iterdir()] == [".azureml"]
