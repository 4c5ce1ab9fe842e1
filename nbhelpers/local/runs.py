"""Runs: of a pipeline, of its AutoML step, and of the step's children."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

from nbhelpers.errors import ConflictError, NotFoundError, UserErrorException, nearest
from nbhelpers.local.arguments import check_tags, check_workspace, path_of
from nbhelpers.local.display import html_table
from nbhelpers.local.outputs import PortDataReference, copy_out
from nbhelpers.local.processes import RUNNING, WORK, settle
from nbhelpers.local.store import runs
from nbhelpers.local.waiting import follow_pipeline, wait

if TYPE_CHECKING:
    from nbhelpers.local.experiment import Experiment
    from nbhelpers.local.published import PublishedPipeline
    from nbhelpers.local.step_runs import AutoMLRun
    from nbhelpers.local.workspace import Workspace

#: The property of a pipeline run that is the id of the published pipeline that it was submitted through.
PIPELINE_ID = "azureml.pipelineid"


class Run:
    """A run of any kind; of itself, a child of an AutoML step.

    Parameters
    ----------
    experiment : Experiment
    run_id : str

    Raises
    ------
    UserErrorException
        The experiment has no such run, or it is of another kind.

    Attributes
    ----------
    experiment : Experiment
    id : str
    name : str
    """

    kind: ClassVar[str] = "child"

    def __init__(self, experiment: Experiment, run_id: str) -> None:
        from nbhelpers.local.experiment import Experiment

        if not isinstance(experiment, Experiment):
            raise UserErrorException(
                f"experiment={experiment!r} is not an experiment.", "give Experiment(workspace, name)"
            )
        self.experiment = experiment
        self.id = run_id
        self._store = experiment.workspace.store
        row = _find(experiment.workspace, run_id)
        if row["experiment"] != experiment.name:
            raise UserErrorException(
                f"Run {run_id} is not in experiment {experiment.name!r}.",
                f"it is in {row['experiment']!r}: use Experiment(workspace, {row['experiment']!r})",
            )
        if row["kind"] != self.kind:
            raise UserErrorException(
                f"Run {run_id} is a {row['kind']} run, not a {self.kind} run.",
                "use Run.get(workspace, run_id), which knows the kind",
            )
        self.name: str = row["name"]
        self._parent_id: str | None = row["parent_id"]

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """Get a run of any kind by its id."""
        from nbhelpers.local.experiment import Experiment
        from nbhelpers.local.step_runs import AutoMLRun

        check_workspace(workspace)
        row = _find(workspace, run_id)
        classes: dict[str, type[Run]] = {"pipeline": PipelineRun, "step": AutoMLRun, "child": Run}
        return classes[row["kind"]](Experiment(workspace, row["experiment"]), run_id)

    @property
    def properties(self) -> dict[str, str]:
        """Facts about the run, all as text."""
        return dict(self._row()["properties"])

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the run."""
        return dict(self._row()["tags"])

    @property
    def status(self) -> str:
        """As `get_status`."""
        return self.get_status()

    @property
    def parent(self) -> Run | None:
        """The run that this one is part of; None for a pipeline run."""
        return None if self._parent_id is None else Run.get(self.experiment.workspace, self._parent_id)

    def get_properties(self) -> dict[str, str]:
        """As `properties`."""
        return self.properties

    def get_tags(self) -> dict[str, str]:
        """As `tags`."""
        return self.tags

    def tag(self, key: str, value: str = "") -> None:
        """Add one tag, or give it a new value."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or give existing ones new values."""
        check_tags(tags)
        mine = runs.c.id == self.id
        with self._store.writing() as connection:
            old: dict[str, str] = connection.execute(sa.select(runs.c.tags).where(mine)).scalar_one()
            connection.execute(runs.update().where(mine).values(tags=old | dict(tags)))

    def get_status(self) -> str:
        """State of the run: for a child Running, Completed, Failed or Canceled; see `PipelineRun` for the others."""
        return str(self._row()["status"])

    def get_details(self) -> dict[str, Any]:
        """State, times, properties, warnings and the error of the run, under the SDK's names.

        ``status`` is that of the SDK's generic run record, which says Completed where `get_status` says Finished.
        """
        row = self._row()
        details = {
            "runId": row["id"],
            "status": "Completed" if row["status"] == "Finished" else row["status"],
            "startTimeUtc": row["started"],
            "endTimeUtc": row["ended"],
            "properties": dict(row["properties"]),
            "warnings": self._warnings(row["properties"]),
        }
        return details | ({"error": {"error": row["error"]}} if row["error"] else {})

    def get_metrics(self, name: str | None = None) -> dict[str, Any]:
        """The metrics: numbers, and references to the tables in the run's files.

        Parameters
        ----------
        name : str, optional
            Only this one; the dictionary is empty if there is none of that name.
        """
        metrics: dict[str, Any] = self._row()["metrics"]
        return {key: value for key, value in metrics.items() if name in (None, key)}

    def get_file_names(self) -> list[str]:
        """The files of the run, for `download_file`."""
        folder = self._folder()
        files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return sorted(file.as_posix() for file in files if file.parts[0] != WORK)

    def download_file(self, name: str, output_file_path: str | Path | None = None) -> None:
        """Copy a file of the run.

        Parameters
        ----------
        name : str
            One of `get_file_names`.
        output_file_path : str or Path, optional
            Where to; a folder gets the file under its own name. Default: the current folder.

        Raises
        ------
        UserErrorException
            The run has no such file, or it cannot be written there.
        """
        if name not in (names := self.get_file_names()):
            near = nearest(name, names)
            raise UserErrorException(
                f"Run {self.id} has no file {name!r}; it has: {', '.join(names) or 'none'}.",
                f"use {near!r}" if near else "use one of these names",
            )
        target = path_of("output_file_path", output_file_path or ".")
        if target.is_dir():
            target /= Path(name).name
        copy_out(self._folder() / name, target)

    def _folder(self) -> Path:
        return self._store.run_folder(self.id)

    def _row(self) -> sa.RowMapping:
        row = self._store.one(sa.select(runs).where(runs.c.id == self.id))
        if row is None:
            raise UserErrorException(f"Run {self.id} was removed from the workspace.", "use another run")
        return row

    def _warnings(self, _properties: Mapping[str, str]) -> list[dict[str, str]]:
        return []

    def __repr__(self) -> str:
        return (
            f"Run(Experiment: {self.experiment.name},\nId: {self.id},\n"
            f"Type: {type(self).__name__},\nStatus: {self.get_status()})"
        )

    def _repr_html_(self) -> str:
        row = (self.experiment.name, self.id, type(self).__name__, self.get_status())
        return html_table(("Experiment", "Id", "Type", "Status"), [row])


def _find(workspace: Workspace, run_id: str) -> sa.RowMapping:
    row = workspace.store.one(sa.select(runs).where(runs.c.id == str(run_id)))
    if row is None:
        raise NotFoundError(
            f"The workspace has no run {str(run_id)[:100]!r}.", "take the id of one of experiment.get_runs()"
        )
    return row


class PipelinePart(Run):
    """A pipeline run or one of its steps: what a worker process works on."""

    def _pipeline_id(self) -> str:
        return self.id

    def get_status(self) -> str:
        """State of the run: NotStarted, Queued, Running, Finished, Failed or Canceled."""
        status = super().get_status()
        if status in RUNNING:
            settle(self._store, self._pipeline_id())
            status = super().get_status()
        return status

    def get_details(self) -> dict[str, Any]:
        """As `Run.get_details`."""
        self.get_status()
        return super().get_details()

    @property
    def log_path(self) -> Path:
        """The log of the worker process; that of the original run where a run was reused."""
        raise NotImplementedError

    def get_logs(self) -> str:
        """The text of the log so far (the SDK has this under `StepRun.get_stdout_log`)."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.is_file() else ""

    def get_details_with_logs(self) -> dict[str, Any]:
        """As `get_details`, with the text of each log under ``logFiles``."""
        return self.get_details() | {"logFiles": {self.log_path.name: self.get_logs()}}

    def get_all_logs(self, destination: str | Path | None = None) -> list[str]:
        """Copy the logs into a folder, by default the current one, and give the paths of the copies.

        Raises
        ------
        UserErrorException
            There is no log, or the folder cannot be written to.
        """
        if not self.log_path.is_file():
            raise UserErrorException(f"Run {self.id} has no log.", "wait until it has started")
        target = path_of("destination", destination or ".") / self.id / self.log_path.name
        copy_out(self.log_path, target)
        return [str(target)]

    def cancel(self) -> None:
        """Ask the run to stop; it ends within two seconds. Nothing happens to a run that has ended."""
        with self._store.writing() as connection:
            connection.execute(runs.update().where(runs.c.id == self._pipeline_id()).values(cancel_requested=True))


class PipelineRun(PipelinePart):
    """The run of a pipeline.

    States: NotStarted, Running, Finished, Failed, Canceled; a step is Queued while it waits for a slot. A run whose
    worker process is gone is found to be Failed as soon as somebody asks.
    """

    kind = "pipeline"

    @property
    def log_path(self) -> Path:
        """The log of the worker process."""
        return next(self.get_steps()).log_path

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """Wait until the run has ended, printing its progress.

        Parameters
        ----------
        show_output : bool, default True
            Print the SDK's lines.
        timeout_seconds : float, optional
            Stop waiting after this time; the run goes on.
        raise_on_error : bool, default True
            Raise where the run failed or was cancelled; else print the error.

        Returns
        -------
        str
            The status: ``"Finished"`` where all went well.

        Raises
        ------
        ActivityFailedException
            The run failed or was cancelled.
        ExperimentExecutionException
            Waiting was interrupted (Ctrl-C); the run goes on.
        """

        def follow(say: Any, deadline: float) -> None:
            follow_pipeline(self, say, deadline)

        return wait(self, follow, show_output, timeout_seconds, raise_on_error)

    def continue_run(self) -> PipelineRun:
        """Go on where this run stopped, in a new run that takes over the finished children of this one.

        The SDK has no such method. The new run's property ``nbhelpers.continues`` is the id of this run; its limits of
        time start anew. Submitting the same pipeline again does the same, if reuse is allowed.

        Returns
        -------
        PipelineRun

        Raises
        ------
        UserErrorException
            The run goes on, or has finished, or another one does its work; or the engine or a package has changed
            since, so that the children would not fit together.
        """
        from nbhelpers.local.children import finished_children
        from nbhelpers.local.pipeline import print_submission, submit_definition
        from nbhelpers.local.reuse import changes, continued, find_later, fingerprint_parts

        status = self.get_status()
        if status in (*RUNNING, "Finished"):
            raise UserErrorException(
                f"Run {self.id} is {status}, so there is nothing to continue.",
                "submit the pipeline with regenerate_outputs=True to train anew"
                if status == "Finished"
                else "wait with run.wait_for_completion(), or end it first with run.cancel()",
            )
        row, definition = next(self.get_steps())._row(), self._row()["definition"]
        if row["fingerprint"] is None:
            raise UserErrorException(
                f"Run {self.id} failed before its search began: {row['error']['message']}",
                "submit the pipeline again once that is mended",
            )
        if (later := find_later(self._store, row)) is not None:
            raise UserErrorException(
                f"Run {later['parent_id']}, submitted later, is {later['status']} on the same settings and data.",
                "use that run",
            )
        (step,) = definition["steps"]
        if changed := changes(row["definition"], step, fingerprint_parts(step)):
            raise UserErrorException(
                f"Run {self.id} cannot be continued, since these changed: {', '.join(changed)}.",
                "submit the pipeline again, which trains all of it anew",
            )
        reuse = continued(row, finished_children(self._store, row["id"]).values())
        published = {key: value for key, value in self.properties.items() if key == PIPELINE_ID}
        run = submit_definition(
            self.experiment, definition, self.tags, name=self.name, properties=published, reuse=reuse
        )
        print_submission(run)
        return run

    def publish_pipeline(
        self,
        name: str | None = None,
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> PublishedPipeline:
        """Publish the pipeline of this run, with the values that its parameters have in it as their defaults.

        It need not have finished: what it finds is reused as soon as it has.

        Parameters
        ----------
        name : str, optional
            Need not be unique; by default the pipeline's description.
        description, version : str, optional
        continue_on_step_failure : bool, optional
            Without effect on a pipeline of one step.

        Returns
        -------
        PublishedPipeline
            Always a new one.

        Raises
        ------
        ConflictError
            The run failed or was cancelled, so that nothing is known of the pipeline but that it does not end well.
        """
        from nbhelpers.local.published import publish

        if (status := self.get_status()) in ("Failed", "Canceled"):
            raise ConflictError(
                f"Run {self.id} is {status}, so its pipeline is not published.",
                "publish one that has finished; this one may go on with run.continue_run()",
            )
        definition = self._row()["definition"]
        return publish(
            self.experiment.workspace, definition, name, description, version, continue_on_step_failure, self.id
        )

    @staticmethod
    def get_pipeline_runs(workspace: Workspace, pipeline_id: str) -> list[PipelineRun]:
        """The runs that were submitted through a published pipeline, newest first.

        Raises
        ------
        NotFoundError
            The workspace has no published pipeline of this id.
        """
        from nbhelpers.local.experiment import Experiment
        from nbhelpers.local.published import PublishedPipeline

        published = PublishedPipeline.get(workspace, pipeline_id)
        its = sa.select(runs.c.id, runs.c.experiment).where(runs.c.properties[PIPELINE_ID].as_string() == published.id)
        return [
            PipelineRun(Experiment(workspace, row["experiment"]), row["id"])
            for row in workspace.store.all(its.order_by(runs.c.created.desc()))
        ]

    def get_steps(self) -> Iterator[AutoMLRun]:
        """The runs of the steps."""
        from nbhelpers.local.step_runs import AutoMLRun

        for row in self._store.all(sa.select(runs.c.id).where(runs.c.parent_id == self.id).order_by(runs.c.created)):
            yield AutoMLRun(self.experiment, row["id"])

    def get_children(self) -> Iterator[AutoMLRun]:
        """As `get_steps`."""
        return self.get_steps()

    def find_step_run(self, name: str) -> list[AutoMLRun]:
        """The runs of the step with a name; empty if there is none."""
        return [step for step in self.get_steps() if step.name == name]

    def get_pipeline_output(self, pipeline_output_name: str) -> PortDataReference:
        """One output of the pipeline.

        Parameters
        ----------
        pipeline_output_name : str
            The `pipeline_output_name` of its PipelineData (not the `name`).

        Raises
        ------
        UserErrorException
            The pipeline has no such output.
        """
        found = {
            output["pipeline_output_name"]: (step, output["name"])
            for step in self.get_steps()
            for output in step._row()["definition"]["outputs"]
            if output["pipeline_output_name"]
        }
        if pipeline_output_name not in list(found):
            near = nearest(pipeline_output_name, found)
            raise UserErrorException(
                f"The pipeline has no output {pipeline_output_name!r}; it has: {', '.join(found)}.",
                f"use {near!r}" if near else "use the pipeline_output_name of a PipelineData",
            )
        step, name = found[pipeline_output_name]
        return step.get_output_data(name)

    def get_portal_url(self) -> str:
        """An empty text: a local workspace has no portal."""
        return ""
