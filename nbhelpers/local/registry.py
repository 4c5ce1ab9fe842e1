"""`Model`: the registered models of a workspace, in versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nbhelpers.errors import ConflictError, NotFoundError, UserErrorException, nearest
from nbhelpers.local.arguments import check_tags, check_text, check_workspace
from nbhelpers.local.models import load, model_file
from nbhelpers.local.store import now, registered_models, webservices
from nbhelpers.local.workspace import Workspace

if TYPE_CHECKING:
    from nbhelpers.local.webservices import Webservice

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class Model:
    """A registered model: the best one of an AutoML run, under a name and version.

    Made by `AutoMLRun.register_model`.

    Parameters
    ----------
    workspace : Workspace
    name : str, optional
    id : str, optional
        ``name:version``; in place of the two.
    version : int, optional
        Default: the latest.

    Raises
    ------
    NotFoundError
        The workspace has no such model.
    UserErrorException
        An argument is wrong.

    Attributes
    ----------
    workspace : Workspace
    name : str
    version : int
    id : str
    run_id : str
        The step run that trained it.
    digest : str
        SHA-256 of its file.
    created_time : datetime
        In UTC.
    description : str or None
    tags : dict
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,
        version: int | None = None,
    ) -> None:
        check_workspace(workspace)
        if id is not None:
            if name is not None or version is not None:
                raise UserErrorException(f"id={id!r} was given with name or version.", "give id alone, or the others")
            name, _, number = str(id).rpartition(":")
            if not number.isdecimal() or len(number) > 18:
                raise UserErrorException(f"id={id!r} is not the id of a model.", "write it as in 'bank:1'")
            version = int(number)
        if not isinstance(name, str):
            raise UserErrorException(f"name={name!r} names no model.", "give a name, or an id such as 'bank:1'")
        if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
            raise UserErrorException(f"version={version!r} is not a whole number.", "leave it out for the latest one")
        check_text("name", name)
        row = _find(workspace, name, version)
        self.workspace = workspace
        self.name: str = row["name"]
        self.version: int = row["version"]
        self.id = f"{self.name}:{self.version}"
        self.run_id: str = row["run_id"]
        self.digest: str = row["digest"]
        self.created_time = datetime.fromisoformat(row["created"])
        self.description: str | None = row["description"]
        self.tags: dict[str, str] = dict(row["tags"])

    @staticmethod
    def list(workspace: Workspace, name: str | None = None) -> list[Model]:
        """The registered models, newest first; only those of one name if it is given."""
        check_workspace(workspace)
        check_text("name", name)
        chosen = sa.select(registered_models.c.name, registered_models.c.version)
        if name is not None:
            chosen = chosen.where(registered_models.c.name == name)
        rows = workspace.store.all(chosen.order_by(registered_models.c.created.desc()))
        return [Model(workspace, row["name"], version=row["version"]) for row in rows]

    @staticmethod
    def deploy(
        workspace: Workspace,
        name: str,
        models: Sequence[Model],
        inference_config: None = None,
        deployment_config: None = None,
        deployment_target: None = None,
        overwrite: bool = False,
        show_output: bool = False,
    ) -> Webservice:
        """Make a web service of a model, which answers while ``nbhelpers serve`` runs.

        Parameters
        ----------
        workspace : Workspace
        name : str
            Of the service: 3 to 32 lower-case letters, digits and ``-``; the first a letter, the last none of ``-``.
        models : list of Model
            One model.
        inference_config, deployment_config, deployment_target : None
            There is nothing to configure: a model has its preparation of columns within it, and runs on this machine.
        overwrite : bool, default False
            Replace a service of this name.
        show_output : bool, default False
            Print what the SDK prints.

        Raises
        ------
        ConflictError
            There is a service of this name and `overwrite` is False.
        ModelError
            The model cannot be loaded here.
        UserErrorException
            An argument is wrong.
        """
        from nbhelpers.local.webservices import deploy

        configs = {
            "inference_config": inference_config,
            "deployment_config": deployment_config,
            "deployment_target": deployment_target,
        }
        if given := [argument for argument, value in configs.items() if value is not None]:
            raise UserErrorException(
                f"A local service has no {', '.join(given)}: its model prepares columns by itself, and answers on this "
                "machine.",
                f"leave out {', '.join(given)}",
            )
        return deploy(workspace, name, models, overwrite=overwrite, show_output=show_output)

    def load(self) -> Any:
        """The fitted scikit-learn pipeline (not in the SDK); raises `ModelError` where its file cannot be used."""
        return load(model_file(self.workspace.store, self.run_id), self.workspace)

    def delete(self) -> None:
        """Remove it from the registry; the run that trained it stays.

        Raises
        ------
        ConflictError
            A service answers with it.
        """
        using = sa.select(webservices.c.name).where(
            webservices.c.model_name == self.name, webservices.c.model_version == self.version
        )
        mine = registered_models.c.name == self.name, registered_models.c.version == self.version
        with self.workspace.store.writing() as connection:
            services: Sequence[str] = connection.execute(using).scalars().all()
            if services:
                raise ConflictError(
                    f"Model {self.id} is deployed as {', '.join(services)}.",
                    "delete the service first with service.delete(), or give it another model with "
                    "service.update(models=[…])",
                )
            connection.execute(registered_models.delete().where(*mine))

    def __repr__(self) -> str:
        return (
            f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, version={self.version}, "
            f"tags={self.tags}, properties={{}})"
        )


def register(
    workspace: Workspace,
    run_id: str,
    digest: str,
    name: str,
    description: str | None,
    tags: Mapping[str, str] | None,
) -> Model:
    """Register the model of a step run as the next version of a name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserErrorException(
            f"{name!r} cannot be the name of a model.",
            "use 1 to 255 letters, digits, '-', '_' and '.', and begin with a letter or digit",
        )
    check_text("description", description)
    check_tags(tags or {})
    latest = sa.select(sa.func.max(registered_models.c.version)).where(registered_models.c.name == name)
    row: dict[str, Any] = {"name": name, "created": now(), "run_id": run_id, "digest": digest}
    row |= {"description": description, "tags": dict(tags or {})}
    with workspace.store.writing() as connection:
        version = (connection.execute(latest).scalar() or 0) + 1
        connection.execute(registered_models.insert().values(version=version, **row))
    return Model(workspace, name, version=version)


def _find(workspace: Workspace, name: str, version: int | None) -> sa.RowMapping:
    chosen = sa.select(registered_models).where(registered_models.c.name == name)
    rows = workspace.store.all(chosen.order_by(registered_models.c.version.desc()))
    found = next((row for row in rows if version in (None, row["version"])), None)
    if found is not None:
        return found
    if rows:
        raise NotFoundError(
            f"ModelNotFound: Model {name} has no version {version}; its latest is {rows[0]['version']}.",
            "give one of [model.version for model in Model.list(workspace, name)]",
        )
    names = [row["name"] for row in workspace.store.all(sa.select(registered_models.c.name).distinct())]
    near = nearest(name, names)
    raise NotFoundError(
        f"ModelNotFound: Model with name {name} not found in provided workspace.",
        f"use {near!r}" if near else "register one with run.register_model(…)",
    )
