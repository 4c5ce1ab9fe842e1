"""The runs of the workspace: ``runs``, ``logs``, ``cancel`` and ``continue``."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from nbhelpers.errors import StoreError, UserErrorException

if TYPE_CHECKING:
    from nbhelpers.local.runs import PipelineRun
    from nbhelpers.local.store import Store
    from nbhelpers.local.workspace import Workspace

app = typer.Typer()

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="The id of a pipeline, step or child run, a beginning of it (4 characters or more), or latest.",
    ),
]


@app.command()
def runs(
    experiment: Annotated[str | None, typer.Option(metavar="NAME", help="Only the runs of this experiment.")] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, max=10**6, help="At most so many.", show_default="20")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON array, with the duration in seconds.")] = False,
) -> None:
    """List the pipeline runs of the workspace, newest first.

    The columns are separated by two blanks or more. Times are UTC. Child runs are shown as completed/planned; a run
    that reuses another shows the child runs of that one.
    """
    from nbhelpers.local.listing import list_runs, runs_table
    from nbhelpers.local.store import home_folder

    if everything and limit is not None:
        raise UserErrorException("--all and --limit contradict each other.", "Give one of them.")
    store = find_store()
    found = list_runs(store, experiment, None if everything else limit or 20) if store else []
    if as_json:
        from dataclasses import asdict

        print(json.dumps([asdict(run) for run in found], indent=2))
    elif found:
        print(runs_table(found))
    else:
        of = f" of experiment {experiment}" if experiment and store else ""
        print(f"No runs{of} in the workspace {home_folder()}. To make one: nbhelpers run")


@app.command()
def logs(
    run: RunArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended. Ctrl-C leaves the run going.")
    ] = False,
) -> None:
    """Print the log of a run."""
    from nbhelpers.local.processes import RUNNING
    from nbhelpers.local.waiting import POLL

    run_id, pipeline = _find_run(run)
    (step,) = pipeline.get_steps()
    if run_id != pipeline.id:
        print(f"Run {run_id} is part of pipeline run {pipeline.id}; this is the log of all of it.", file=sys.stderr)
    if original := step.properties.get("azureml.reusedpipeline"):
        print(f"Run {pipeline.id} reuses run {original}; this is the log of that one.", file=sys.stderr)
    log, position = pipeline.log_path, 0
    try:
        while True:
            ended = pipeline.get_status() not in RUNNING  # asked first: what is written until the end is printed
            if log.is_file():
                with log.open("rb") as file:
                    file.seek(position)
                    shutil.copyfileobj(file, sys.stdout.buffer)
                    sys.stdout.flush()
                    position = file.tell()
            if ended or not follow:
                break
            time.sleep(POLL)
    except KeyboardInterrupt:
        print(f"\nRun {pipeline.id} goes on. To end it: nbhelpers cancel {pipeline.id}", file=sys.stderr)
        raise typer.Exit(130) from None
    if not log.is_file():
        raise UserErrorException(f"Run {pipeline.id} has no log {log}.", "look at its status with `nbhelpers runs`")
    status = pipeline.get_status()
    if status in ("Failed", "Canceled"):
        reason = pipeline.get_details()["error"]["error"]["message"]
        print(f"Run {pipeline.id} is {status}: {reason}", file=sys.stderr)
        print(f"To go on where it stopped: nbhelpers continue {pipeline.id}", file=sys.stderr)
    elif follow:
        print(f"Run {pipeline.id}: {status}.", file=sys.stderr)


@app.command()
def cancel(run: RunArgument) -> None:
    """Stop a run, and wait until it has ended.

    A step or child run is stopped with the whole pipeline run that it is part of.
    """
    from nbhelpers.local.processes import RUNNING
    from nbhelpers.local.waiting import POLL

    pipeline = _find_pipeline(run)
    status = pipeline.get_status()
    if status not in RUNNING:
        print(f"Run {pipeline.id} has ended already: {status}.")
        return
    pipeline.cancel()
    while (status := pipeline.get_status()) in RUNNING:
        time.sleep(POLL)
    print(f"Run {pipeline.id}: {status}.")


@app.command("continue")
def continue_(run: RunArgument) -> None:
    """Go on where a failed or cancelled run stopped.

    That is a new run, which repeats no finished child run.
    """
    new = _find_pipeline(run).continue_run()
    print(f"To follow it: nbhelpers logs {new.id} --follow")


def find_store() -> Store | None:
    """The store of the workspace; None where there is none, which is not created."""
    from nbhelpers.local.store import home_folder, open_store

    home = home_folder()
    if (home / "workspace.db").is_file():
        return open_store(home)
    if home.exists() and not (home.is_dir() and not any(home.iterdir())):
        raise StoreError(
            f"{home} is not a workspace folder: it holds no workspace.db.",
            "Set NBHELPERS_HOME to the folder of the workspace, or unset it.",
        )
    return None


def existing_workspace() -> Workspace:
    """The workspace, for a command that makes none."""
    from nbhelpers.local.store import home_folder
    from nbhelpers.local.workspace import Workspace

    store = find_store()
    if store is None:
        raise UserErrorException(
            f"There is no workspace in {home_folder()}.",
            "Make one with `nbhelpers run`, or set NBHELPERS_HOME to the folder of the workspace.",
        )
    return Workspace(store)


def _find_run(text: str) -> tuple[str, PipelineRun]:
    """The id that a person means, and the pipeline run that it belongs to."""
    from nbhelpers.local.listing import find_run

    return find_run(existing_workspace(), text)


def _find_pipeline(text: str) -> PipelineRun:
    """The pipeline run that a person means; says so where they have named a part of it."""
    run_id, pipeline = _find_run(text)
    if run_id != pipeline.id:
        print(f"Run {run_id} is part of pipeline run {pipeline.id}.")
    return pipeline
