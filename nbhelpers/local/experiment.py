"""Experiments: named containers of runs."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nbhelpers.errors import UserErrorException
from nbhelpers.local.arguments import check_tags, check_workspace
from nbhelpers.local.store import experiments, now, runs
from nbhelpers.local.workspace import Workspace

if TYPE_CHECKING:
    from nbhelpers.local.pipeline import Pipeline
    from nbhelpers.local.published import PublishedPipeline
    from nbhelpers.local.runs import PipelineRun

DOCS = "https://learn.microsoft.com/python/api/azureml-core/azureml.core.experiment.experiment"


class Experiment:
    """A named container of runs; created in the workspace if it is not there.

    Parameters
    ----------
    workspace : Workspace
    name : str
        1 to 255 letters, digits, ``_`` and ``-``, the first a letter or digit.

    Raises
    ------
    UserErrorException
        The name does not follow the rule, or `workspace` is none.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        check_workspace(workspace)
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", name):
            raise UserErrorException(
                f"{name!r} cannot be the name of an experiment.",
                "use 1 to 255 letters, digits, '_' and '-', and begin with a letter or digit",
            )
        self.workspace = workspace
        self.name = name
        with workspace.store.writing() as connection:
            connection.execute(insert(experiments).values(name=name, created=now(), tags={}).on_conflict_do_nothing())

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the experiment."""
        row = self.workspace.store.one(sa.select(experiments.c.tags).where(experiments.c.name == self.name))
        return dict(row["tags"]) if row else {}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or give existing ones new values."""
        check_tags(tags)
        mine = experiments.c.name == self.name
        with self.workspace.store.writing() as connection:
            old: dict[str, str] = connection.execute(sa.select(experiments.c.tags).where(mine)).scalar_one()
            connection.execute(experiments.update().where(mine).values(tags=old | dict(tags)))

    def submit(
        self,
        config: Pipeline | PublishedPipeline,
        tags: Mapping[str, str] | None = None,
        *,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool = False,
        regenerate_outputs: bool = False,
    ) -> PipelineRun:
        """Start a pipeline in this experiment.

        Parameters
        ----------
        config : Pipeline or PublishedPipeline
        tags : mapping, optional
            Tags of the run.
        pipeline_parameters, continue_on_step_failure, regenerate_outputs
            As `Pipeline.submit`.

        Returns
        -------
        PipelineRun

        Raises
        ------
        UserErrorException
            `config` is not a pipeline, or an argument is wrong.
        """
        from nbhelpers.local.pipeline import submit_pipeline

        return submit_pipeline(
            self,
            config,
            tags,
            pipeline_parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
        )

    def get_runs(self) -> list[PipelineRun]:
        """The pipeline runs of the experiment, newest first."""
        from nbhelpers.local.runs import PipelineRun

        mine = sa.select(runs.c.id).where(runs.c.experiment == self.name, runs.c.kind == "pipeline")
        return [PipelineRun(self, row["id"]) for row in self.workspace.store.all(mine.order_by(runs.c.created.desc()))]

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.name})"

    def _repr_html_(self) -> str:
        return (
            '<table style="width:100%"><tr><th>Name</th><th>Workspace</th><th>Report Page</th><th>Docs Page</th></tr>'
            f"<tr><td>{html.escape(self.name)}</td><td>{html.escape(self.workspace.name)}</td>"
            "<td>None: a local workspace has no studio</td>"
            f'<td><a href="{DOCS}" target="_blank" rel="noopener">Link to Documentation</a></td></tr></table>'
        )
