"""`Webservice`: a registered model that the service of the workspace answers with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nbhelpers.errors import ConflictError, NotFoundError, UserErrorException, WebserviceException, nearest
from nbhelpers.local.arguments import check_flags, check_text, check_workspace
from nbhelpers.local.endpoints import SCORE_PATH, SWAGGER_PATH, service_url
from nbhelpers.local.registry import Model
from nbhelpers.local.store import now, registered_models, runs, webservices
from nbhelpers.local.tokens import create_token
from nbhelpers.local.workspace import Workspace

#: What names of services look like.
NAME = "^[a-z][a-z0-9-]{1,30}[a-z0-9]$"
_LIFETIME = timedelta(hours=1)
#: Seconds that `Webservice.run` waits for the answer.
_PATIENCE = 60
#: Examples of the categories of a column.
_EXAMPLES = 20


class MissingServiceError(NotFoundError, WebserviceException):
    """There is no service of that name; a WebserviceException, too, as in the SDK."""


class Webservice:
    """A deployed model: rows in JSON are posted to it, and it answers with predictions.

    Made by `Model.deploy`. It answers while ``nbhelpers serve`` runs, or within ``nbhelpers.serving(workspace)``.

    Parameters
    ----------
    workspace : Workspace
    name : str

    Raises
    ------
    WebserviceException
        The workspace has no such service.

    Attributes
    ----------
    workspace : Workspace
    name : str
    state : str
        Always "Healthy": a service is deployed only after its model was loaded.
    created_time : datetime
        In UTC.
    description : str or None
    models : list of Model
    columns : list of RowColumn
        What a row must have (not in the SDK).
    label : str
        The column that is predicted (not in the SDK).
    classes : list or None
        The sorted labels; None for a regression (not in the SDK).
    example : dict
        A row that fits, as JSON has it, with the most frequent values (not in the SDK).
    """

    state = "Healthy"
    compute_type = "local"

    def __init__(self, workspace: Workspace, name: str) -> None:
        check_workspace(workspace)
        self.workspace = workspace
        self.name = str(name)
        self._token: tuple[str, datetime] | None = None
        self._read()

    @staticmethod
    def list(workspace: Workspace) -> list[Webservice]:
        """The services of the workspace, by name."""
        check_workspace(workspace)
        names = workspace.store.all(sa.select(webservices.c.name).order_by(webservices.c.name))
        services = []
        for row in names:
            with suppress(NotFoundError):  # it was deleted since
                services.append(Webservice(workspace, row["name"]))
        return services

    @property
    def scoring_uri(self) -> str:
        """Where rows are posted to."""
        return service_url(self.workspace.store) + SCORE_PATH.format(name=self.name)

    @property
    def swagger_uri(self) -> str:
        """Where the OpenAPI document of the service is."""
        return service_url(self.workspace.store) + SWAGGER_PATH.format(name=self.name)

    def wait_for_deployment(self, show_output: bool = False) -> None:
        """Print what the SDK prints when a service is ready; a local one is so at once."""
        check_flags({"show_output": show_output})
        if show_output:
            print('Running\nSucceeded\nLocal service creation operation finished, operation "Succeeded"')

    def run(self, input_data: str | bytes) -> Any:
        """Post rows to the service and give its answer.

        Parameters
        ----------
        input_data : str or bytes
            JSON: ``{"data": [{"column": value, …}, …]}``, also with ``"method": "predict_proba"``.

        Returns
        -------
        dict
            ``{"result": […], …}``, the parsed answer.

        Raises
        ------
        WebserviceException
            The service is not running, or refuses the rows; the message says why.
        """
        import httpx

        if not isinstance(input_data, str | bytes):
            raise UserErrorException(
                f"input_data is of type {type(input_data).__name__}, not JSON.", "pass it through json.dumps first"
            )
        if isinstance(input_data, str):
            check_text("input_data", input_data)
        token, _ = self.get_token()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            # trust_env=False: what a proxy is for lies outside this machine.
            with httpx.Client(trust_env=False, timeout=_PATIENCE) as client:
                answer = client.post(self.scoring_uri, content=input_data, headers=headers)
        except httpx.HTTPError as error:
            raise WebserviceException(
                f"The service {self.name} does not answer at {self.scoring_uri}: {error}.",
                "start it with `nbhelpers serve`, or call run() within `with nbhelpers.serving(workspace):`",
            ) from error
        try:
            if answer.is_success:
                return answer.json()
            message = answer.json()["Error"]["Message"]
        except (KeyError, TypeError, ValueError):  # another program has the port
            message = answer.text[:200]
        raise WebserviceException(
            f"The service {self.name} answered {answer.status_code}: {message}",
            f"see service.example for a row that fits, and {self.swagger_uri}",
        )

    def get_token(self) -> tuple[str, datetime]:
        """A token for scoring, valid for an hour, and when to ask for the next one, which is a little earlier."""
        if self._token is None or self._token[1] <= datetime.now(UTC):
            token = create_token(self.workspace.store, f"service {self.name}", ["score"], _LIFETIME)
            self._token = token, datetime.now(UTC) + 0.9 * _LIFETIME
        return self._token

    def update(self, models: Sequence[Model] | None = None, description: str | None = None) -> None:
        """Give the service another model, or another description; requests after this get the new one's answers."""
        check_text("description", description)
        values: dict[str, Any] = {} if description is None else {"description": description}
        if models is not None:
            values |= _answering(self.workspace, models)
        mine = webservices.c.name == self.name
        if values:
            with self.workspace.store.writing() as connection:
                _check_registered(connection, models)
                connection.execute(webservices.update().where(mine).values(**values))
        self._read()

    def delete(self) -> None:
        """Remove the service; its model stays registered."""
        with self.workspace.store.writing() as connection:
            connection.execute(webservices.delete().where(webservices.c.name == self.name))

    def _read(self) -> None:
        from nbhelpers.local.rows import RowColumn

        store = self.workspace.store
        row = None
        if re.fullmatch(NAME, self.name):
            row = store.one(sa.select(webservices).where(webservices.c.name == self.name))
        if row is None:
            near = nearest(self.name, [other["name"] for other in store.all(sa.select(webservices.c.name))])
            raise MissingServiceError(
                f"WebserviceNotFound: Webservice with name {self.name} not found in provided workspace.",
                f"use {near!r}" if near else "deploy a model with Model.deploy(workspace, name, [model])",
            )
        self.created_time = datetime.fromisoformat(row["created"])
        self.description: str | None = row["description"]
        self.models = [Model(self.workspace, row["model_name"], version=row["model_version"])]
        self.columns = [RowColumn(**column) for column in row["schema"]["columns"]]
        self.label: str = row["schema"]["label"]
        self.classes: list[Any] | None = row["schema"]["classes"]
        self.example: dict[str, Any] = row["example"]

    def __repr__(self) -> str:
        return (
            f"Webservice(workspace={self.workspace!r}, name={self.name}, compute_type={self.compute_type}, "
            f"state={self.state}, scoring_uri={self.scoring_uri}, models={self.models!r})"
        )


def deploy(
    workspace: Workspace, name: str, models: Sequence[Model], *, overwrite: bool, show_output: bool
) -> Webservice:
    """As `Model.deploy`."""
    check_workspace(workspace)
    check_flags({"overwrite": overwrite, "show_output": show_output})
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise UserErrorException(
            f"{name!r} cannot be the name of a web service.",
            "use 3 to 32 lower-case letters, digits and '-'; begin with a letter, and end with a letter or digit",
        )
    values = {"created": now(), "description": None} | _answering(workspace, models)
    row = insert(webservices).values(name=name, **values)
    row = row.on_conflict_do_update(index_elements=["name"], set_=values) if overwrite else row.on_conflict_do_nothing()
    with workspace.store.writing() as connection:
        _check_registered(connection, models)
        if not connection.execute(row).rowcount:
            raise ConflictError(
                f"Service {name} with the same name already exists.",
                "choose another name, pass overwrite=True, or delete it with Webservice(workspace, name).delete()",
            )
    service = Webservice(workspace, name)
    service.wait_for_deployment(show_output)
    return service


def _check_registered(connection: sa.Connection, models: Sequence[Model] | None) -> None:
    """Refuse models that were deleted since they were looked up."""
    known = registered_models.c
    for model in models or ():
        mine = sa.select(known.name).where(known.name == model.name, known.version == model.version)
        if not connection.execute(mine).first():
            raise NotFoundError(f"Model {model.id} is no longer registered.", "register it again with register_model")


def _answering(workspace: Workspace, models: Sequence[Model]) -> dict[str, Any]:
    """Columns of the row of a service that answers with a model: its name, and what it was trained on."""
    from nbhelpers.local.dataset import Dataset
    from nbhelpers.local.rows import example_row, training_columns

    if not isinstance(models, list | tuple) or len(models) != 1 or not isinstance(models[0], Model):
        raise UserErrorException(f"models={models!r} is no list of one model.", "give [model]")
    (model,) = models
    if model.workspace.store.home != workspace.store.home:
        raise UserErrorException(
            f"Model {model.id} is registered in {model.workspace.store.home}, not in {workspace.store.home}.",
            "deploy it in its own workspace, or register one here",
        )
    pipeline = model.load()
    run = workspace.store.one(sa.select(runs.c.definition).where(runs.c.id == model.run_id))
    definition = run["definition"] if run else {}
    dataset = Dataset.from_digest(workspace, definition["data_digest"])
    categories = {column.name: column.categories[:_EXAMPLES] for column in pipeline[0].columns_}
    columns = [
        column
        for column in training_columns(dataset, definition["label_column_name"], categories)
        if column.name in pipeline.feature_names_in_  # others say how much a row counts, or how to split
    ]
    classes = getattr(pipeline, "classes_", None)
    return {
        "model_name": model.name,
        "model_version": model.version,
        "example": example_row(dataset, columns),
        "schema": {
            "label": definition["label_column_name"],
            "classes": None if classes is None else classes.tolist(),
            "columns": [asdict(column) for column in columns],
        },
    }
