from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import Experiment, Workspace

CONFIG = {"subscription_id": "0-1", "resource_group": "group", "workspace_name": "space"}


def test_a_local_workspace_needs_no_file(home: Path) -> None:
    ws = Workspace.from_config()
    assert (ws.name, ws.resource_group, ws.location, ws.subscription_id) == ("local",) * 4
    assert ws.store.home == home
    assert ws.get_details()["resourceGroup"] == "local"
    assert ws.get_default_datastore().workspace is ws


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "content",
    [CONFIG, {"Scope": "/subscriptions/0-1/resourceGroups/group/providers/Microsoft.X/workspaces/space"}],
)
def test_the_names_of_an_azure_config_are_shown(tmp_path: Path, content: dict[str, str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(content))
    ws = Workspace.from_config(path=tmp_path / "config.json")
    assert (ws.name, ws.resource_group, ws.subscription_id) == ("space", "group", "0-1")


@pytest.mark.usefixtures("home")
def test_a_folder_is_searched_upwards_and_dot_azureml_wins(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    for folder, name in ((tmp_path / ".azureml", "hidden"), (below, "plain")):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(CONFIG | {"workspace_name": name}))
    assert Workspace.from_config(below).name == "hidden"
    with pytest.raises(UserErrorException, match=r"No other\.json was found"):
        Workspace.from_config(below, _file_name="other.json")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "does not exist"),
        ("{", "cannot be read"),
        ('{"resource_group": "g"}', "has no subscription_id, workspace"),
    ],
)
def test_a_wrong_config_is_refused(tmp_path: Path, content: str | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserErrorException, match=problem):
        Workspace.from_config(str(tmp_path / "config.json"))


@pytest.mark.usefixtures("target")
def test_a_missing_name_is_a_key_error_that_names_the_nearest(workspace: Workspace) -> None:
    Experiment(workspace, "automl-bank")
    with pytest.raises(KeyError, match="Use 'automl-bank'"):
        workspace.experiments["automl-bnk"]
    with pytest.raises(KeyError, match="has no data set 'x'; it has: none yet"):
        workspace.datasets["x"]
    assert "x" not in workspace.datasets
    assert workspace.experiments["automl-bank"].name == "automl-bank"
    assert list(workspace.compute_targets) == ["cpu"]
    assert workspace.compute_targets["cpu"].max_nodes == 2
