"""Published pipelines: submitted again without the code that made them, also over REST."""

from __future__ import annotations

import builtins
import html
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from nbhelpers.errors import ConflictError, NotFoundError, UserErrorException
from nbhelpers.local.arguments import check_flags, check_tags, check_text, check_workspace
from nbhelpers.local.assignments import resolve
from nbhelpers.local.endpoints import SUBMIT_PATH, service_url
from nbhelpers.local.experiment import Experiment
from nbhelpers.local.pipeline import print_submission, submit_definition
from nbhelpers.local.runs import PIPELINE_ID, PipelineRun
from nbhelpers.local.store import ID_FORM, now, published_pipelines, runs
from nbhelpers.local.workspace import Workspace

ACTIVE, DISABLED = "Active", "Disabled"


class PublishedPipeline:
    """A pipeline that can be submitted again; get one with `get`, `list` or by publishing.

    Attributes
    ----------
    workspace : Workspace
    id : str
    name : str
    description, version : str or None
    created : str
        When it was published, ISO 8601.
    continue_on_step_failure : bool
        Without effect on a pipeline of one step.
    total_run_steps : int
    parameters : dict
        What may be changed when it is submitted (not in the SDK). By name: the ``setting`` that it stands for, its
        ``type`` and its ``default``.
    """

    def __init__(self, workspace: Workspace, row: sa.RowMapping | Mapping[str, Any]) -> None:
        self.workspace = workspace
        self.id: str = row["id"]
        self.name: str = row["name"]
        self.description: str | None = row["description"]
        self.version: str | None = row["version"]
        self.created: str = row["created"]
        self.continue_on_step_failure: bool = row["continue_on_step_failure"]
        self._definition: dict[str, Any] = row["definition"]
        self.total_run_steps = len(self._definition["steps"])
        self.parameters: dict[str, dict[str, Any]] = self._definition.get("parameters", {})

    @staticmethod
    def get(workspace: Workspace, id: str) -> PublishedPipeline:
        """The published pipeline with an id.

        Raises
        ------
        NotFoundError
            The workspace has none.
        """
        check_workspace(workspace)
        row = None
        if isinstance(id, str) and ID_FORM.fullmatch(id):
            row = workspace.store.one(sa.select(published_pipelines).where(published_pipelines.c.id == id))
        if row is None:
            raise NotFoundError(
                f"The workspace has no published pipeline {str(id)[:100]!r}.",
                "take the id of one of PublishedPipeline.list(workspace, active_only=False)",
            )
        return PublishedPipeline(workspace, row)

    @staticmethod
    def list(workspace: Workspace, active_only: bool = True) -> builtins.list[PublishedPipeline]:
        """The published pipelines, newest first; without those that are disabled unless `active_only` is False."""
        check_workspace(workspace)
        check_flags({"active_only": active_only})
        wanted = sa.select(published_pipelines).order_by(published_pipelines.c.created.desc())
        if active_only:
            wanted = wanted.where(published_pipelines.c.status == ACTIVE)
        return [PublishedPipeline(workspace, row) for row in workspace.store.all(wanted)]

    @property
    def status(self) -> str:
        """``Active`` or ``Disabled``, as it is now."""
        mine = sa.select(published_pipelines.c.status).where(published_pipelines.c.id == self.id)
        with self.workspace.store.reading() as connection:
            return str(connection.execute(mine).scalar_one())

    @property
    def endpoint(self) -> str:
        """The URL that starts it over REST, while the service of the workspace runs."""
        return service_url(self.workspace.store) + SUBMIT_PATH.format(id=self.id)

    def get_step_names(self) -> builtins.list[str]:
        """The names of the steps."""
        return [step["name"] for step in self._definition["steps"]]

    def enable(self) -> None:
        """Let it be submitted again."""
        self._set_status(ACTIVE)

    def disable(self) -> None:
        """Let it no longer be submitted, until it is enabled."""
        self._set_status(DISABLED)

    def check_active(self) -> None:
        """Raise a ConflictError if it is disabled."""
        if self.status == DISABLED:
            raise ConflictError(
                f"The published pipeline {self.name!r} ({self.id}) is disabled.", "enable it with published.enable()"
            )

    def submit(
        self,
        workspace: Workspace,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool | None = None,
        regenerate_outputs: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> PipelineRun:
        """Start it, and print the SDK's lines.

        Parameters
        ----------
        workspace : Workspace
            The one it was published in.
        experiment_name : str
            Created if it is not there.
        pipeline_parameters : mapping, optional
            New values of its parameters, see `nbhelpers.local.assignments.resolve`.
        continue_on_step_failure : bool, optional
            Without effect on a pipeline of one step.
        regenerate_outputs : bool, default False
            Run even if an earlier run could be reused.
        tags : mapping, optional
            Tags of the run.

        Returns
        -------
        PipelineRun

        Raises
        ------
        ConflictError
            It is disabled.
        UserErrorException
            An argument is wrong; all wrong parameters are listed.
        """
        run = PublishedPipeline.get(workspace, self.id).start(
            experiment_name,
            pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
            tags=tags,
        )
        print_submission(run)
        return run

    def start(
        self,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        *,
        continue_on_step_failure: bool | None = None,
        regenerate_outputs: bool = False,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        display_name: str | None = None,
    ) -> PipelineRun:
        """As `submit`, without printing; what requests may say besides are `properties`, `description` and a name."""
        self.check_active()
        check_text("description", description)
        check_text("display_name", display_name)
        check_tags(tags or {})
        check_tags(properties or {}, "properties")
        if own := [key for key in properties or {} if key.startswith(("azureml.", "nbhelpers."))]:
            raise UserErrorException(
                f"The property {own[0][:100]!r} cannot be set.",
                "use names that do not begin with azureml. or nbhelpers.",
            )
        if continue_on_step_failure is None:
            continue_on_step_failure = self.continue_on_step_failure
        check_flags({"continue_on_step_failure": continue_on_step_failure, "regenerate_outputs": regenerate_outputs})
        definition = resolve(self.workspace, self._definition, pipeline_parameters)
        definition["continue_on_step_failure"] = continue_on_step_failure
        if description is not None:
            definition["description"] = description
        return submit_definition(
            Experiment(self.workspace, experiment_name),
            definition,
            tags,
            name=display_name,
            properties={**(properties or {}), PIPELINE_ID: self.id},
            regenerate_outputs=regenerate_outputs,
        )

    def _set_status(self, status: str) -> None:
        mine = published_pipelines.update().where(published_pipelines.c.id == self.id)
        with self.workspace.store.writing() as connection:
            connection.execute(mine.values(status=status))

    def __repr__(self) -> str:
        return f"Pipeline(Name: {self.name},\nId: {self.id},\nStatus: {self.status},\nEndpoint: {self.endpoint})"

    def _repr_html_(self) -> str:
        cells = (html.escape(cell) for cell in (self.name, self.id, self.status))
        link = f'<a href="{html.escape(self.endpoint)}" target="_blank" rel="noopener">REST Endpoint</a>'
        return (
            '<table style="width:100%"><tr><th>Name</th><th>Id</th><th>Status</th><th>Endpoint</th></tr>'
            f"<tr>{''.join(f'<td>{cell}</td>' for cell in (*cells, link))}</tr></table>"
        )


def publish(
    workspace: Workspace,
    definition: Mapping[str, Any],
    name: str | None,
    description: str | None,
    version: str | None,
    continue_on_step_failure: bool | None = None,
    run_id: str | None = None,
) -> PublishedPipeline:
    """Publish a pipeline by its definition; `run_id` is the run that it comes from, if any.

    Raises
    ------
    UserErrorException
        An argument cannot be used, or the run was removed in the meantime.
    """
    for argument, value in {"name": name, "description": description, "version": version}.items():
        check_text(argument, value)
    name = name or definition["description"] or "pipeline"
    if len(name) > 255 or not name.isprintable():
        raise UserErrorException(
            f"{name[:100]!r} cannot be the name of a published pipeline.", "use 1 to 255 printable characters"
        )
    if continue_on_step_failure is None:
        continue_on_step_failure = definition["continue_on_step_failure"]
    check_flags({"continue_on_step_failure": continue_on_step_failure})
    row = {
        "id": str(uuid.uuid4()),
        "name": name,
        "description": description,
        "version": version,
        "status": ACTIVE,
        "created": now(),
        "continue_on_step_failure": continue_on_step_failure,
        "definition": dict(definition),
        "run_id": run_id,
    }
    with workspace.store.writing() as connection:
        # From here on `nbhelpers clean` keeps the data; had the run gone before, its data might have gone with it.
        if run_id and not connection.execute(sa.select(runs.c.id).where(runs.c.id == run_id)).first():
            raise NotFoundError(f"Run {run_id} was removed from the workspace.", "publish another one")
        connection.execute(published_pipelines.insert().values(row))
    return PublishedPipeline(workspace, row)
