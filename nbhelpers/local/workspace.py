"""The workspace and its datastore, under the SDK's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import UserErrorException
from nbhelpers.local.arguments import path_of
from nbhelpers.local.names import NameMapping
from nbhelpers.local.store import Store, compute_targets, experiments, open_store

if TYPE_CHECKING:
    from nbhelpers.local.compute import ComputeTarget
    from nbhelpers.local.dataset import TabularDataset
    from nbhelpers.local.experiment import Experiment
    from nbhelpers.local.runs import Run

#: The three names that Azure's config.json holds, and that are shown where there is no such file.
LOCAL_CONFIG = {"subscription_id": "local", "resource_group": "local", "workspace_name": "local"}


class Workspace:
    """Everything that this project keeps for one user: experiments, data sets, compute targets and runs.

    Get one with `from_config`.

    Parameters
    ----------
    store : Store
        The folder that holds it.
    name, resource_group, subscription_id : str
        Names to show; they select nothing, there is one workspace for each folder.
    """

    location = "local"

    def __init__(
        self, store: Store, name: str = "local", resource_group: str = "local", subscription_id: str = "local"
    ) -> None:
        self.store = store
        self.name = name
        self.resource_group = resource_group
        self.subscription_id = subscription_id

    @classmethod
    def from_config(
        cls,
        path: str | Path | None = None,
        auth: object = None,  # noqa: ARG003 - the SDK's argument
        _file_name: str | None = None,
    ) -> Workspace:
        """Open the workspace in ``NBHELPERS_HOME`` (default: ``.nbhelpers`` in the project).

        Parameters
        ----------
        path : str or Path, optional
            A config.json of Azure, or a folder in or above which one lies: its names are shown. None: no file is
            needed, and all names are ``local``.
        auth : object, optional
            Not used: a local workspace has no sign-in.
        _file_name : str, optional
            Another file name than ``config.json``; looked for only with `path`.

        Raises
        ------
        UserErrorException
            There is no such file, or it is not in Azure's form.
        StoreError
            The workspace folder cannot be used.
        """
        config = LOCAL_CONFIG if path is None else _read_config(path_of("path", path), _file_name)
        return cls(open_store(), config["workspace_name"], config["resource_group"], config["subscription_id"])

    @property
    def datasets(self) -> Mapping[str, TabularDataset]:
        """The registered data sets by name, each in its latest version."""
        from nbhelpers.local.dataset import Dataset

        return Dataset.get_all(self)

    @property
    def experiments(self) -> Mapping[str, Experiment]:
        """The experiments by name."""
        from nbhelpers.local.experiment import Experiment

        return NameMapping("experiment", lambda: self._names(experiments.c.name), lambda name: Experiment(self, name))

    @property
    def compute_targets(self) -> Mapping[str, ComputeTarget]:
        """The compute targets by name."""
        from nbhelpers.local.compute import ComputeTarget

        return NameMapping(
            "compute target", lambda: self._names(compute_targets.c.name), lambda name: ComputeTarget(self, name)
        )

    def get_run(self, run_id: str) -> Run:
        """A run of any kind by its id.

        Raises
        ------
        UserErrorException
            The workspace has no such run.
        """
        from nbhelpers.local.runs import Run

        return Run.get(self, run_id)

    def get_default_datastore(self) -> Datastore:
        """The place where outputs of pipelines are kept."""
        return Datastore(self)

    def get_details(self) -> dict[str, Any]:
        """The names of the workspace, as the SDK spells them."""
        return {
            "name": self.name,
            "location": self.location,
            "resourceGroup": self.resource_group,
            "subscriptionId": self.subscription_id,
            "type": "nbhelpers.local",
        }

    def _names(self, column: sa.Column[str]) -> list[str]:
        return [row[column.name] for row in self.store.all(sa.select(column).distinct().order_by(column))]

    def __repr__(self) -> str:
        return (
            f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r})"
        )


class Datastore:
    """Where the workspace keeps the outputs of pipelines.

    Attributes
    ----------
    name : str
    workspace : Workspace
    """

    name = "workspaceblobstore"

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def __repr__(self) -> str:
        return f"Datastore(name={self.name!r}, workspace={self.workspace.name!r})"


def _read_config(path: Path, file_name: str | None) -> dict[str, str]:
    """The three names in a config.json: `path` itself, or found from the folder `path` upwards in the SDK's order."""
    if path.is_dir():
        file_names = [file_name] if file_name else ["config.json", "project.json"]
        folders = [path.absolute(), *path.absolute().parents]
        found = [
            file
            for kind in (".azureml", "aml_config", ".")
            for name in file_names
            for folder in folders
            if (file := folder / kind / name).is_file()
        ]
        if not found:
            raise UserErrorException(
                f"No {' or '.join(file_names)} was found in {path} or a folder above it "
                "(looked in .azureml, aml_config and the folders themselves).",
                "download config.json from the portal into it, or leave path out: a local workspace needs none",
            )
        path = found[0]
    form = 'write {"subscription_id": "…", "resource_group": "…", "workspace_name": "…"} into it, or leave path out'
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserErrorException(
            f"The workspace configuration {path} does not exist.",
            "give the path of a config.json, or leave path out: a local workspace needs none",
        ) from error
    except (OSError, ValueError) as error:
        raise UserErrorException(f"The workspace configuration {path} cannot be read: {error}.", form) from error
    if isinstance(config, dict) and "Scope" in config:
        parts = str(config["Scope"]).strip("/").split("/")
        config = dict(zip(map(str.lower, parts[::2]), parts[1::2], strict=False))
        config = {
            "subscription_id": config.get("subscriptions"),
            "resource_group": config.get("resourcegroups"),
            "workspace_name": config.get("workspaces"),
        }
    missing = [key for key in LOCAL_CONFIG if not (isinstance(config, dict) and isinstance(config.get(key), str))]
    if missing:
        raise UserErrorException(f"The workspace configuration {path} has no {', '.join(missing)}.", form)
    return {key: config[key] for key in LOCAL_CONFIG}
