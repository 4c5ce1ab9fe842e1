"""The command line: a batch of notebooks (``run``), the runs of the workspace (``runs`` …), and ``clean``.

Only Typer is imported with this module; a command imports what it needs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from nbhelpers.errors import (
    BatchError,
    NbhelpersError,
    ParameterError,
    StageError,
    StoreError,
    UserErrorException,
)

if TYPE_CHECKING:
    from nbhelpers.batch.record import Record
    from nbhelpers.local.cleaning import Plan
    from nbhelpers.local.runs import PipelineRun
    from nbhelpers.local.store import Store

#: The longest time for --older-than, in days.
MOST_DAYS = 36500

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)


def main() -> None:
    """Run the command line; an error of this project ends it with one message and no traceback.

    The exit code is 2 for wrong input, 1 for a run that failed, 130 after Ctrl-C.
    """
    try:
        app()
    except NbhelpersError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, StageError) else 2)
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"nbhelpers {version('nbhelpers')}")
        raise typer.Exit


@app.callback()
def _nbhelpers(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The Azure ML AutoML workflow as parameterised notebooks."""


class _RunCommand(TyperCommand):
    """`run` with papermill's ``-p NAME VALUE``, and with the notebooks' parameters in its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for option in self.params:
            if option.name == "parameters":
                option.nargs = 2  # Typer itself offers no option that has two values and can be repeated

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        formatter.write(f"\n{_describe_parameters(ctx.params.get('notebooks'))}\n")


def _describe_parameters(folder: Path | None) -> str:
    from nbhelpers.batch.chain import find_notebooks
    from nbhelpers.batch.parameters import describe, read_parameters

    try:
        lines = ["Parameters of the notebooks (-p NAME VALUE):"]
        for name, path in find_notebooks(folder).items():
            parameters = read_parameters(path)
            width = min(max((len(describe(p)) for p in parameters), default=0), 60)
            lines.append(f"\n  {name}")
            lines += [f"    {describe(p):{width}}  {p.comment}".rstrip() for p in parameters]
    except NbhelpersError as error:
        return f"The parameters of the notebooks cannot be listed: {error}"
    return "\n".join(lines)


@app.command(cls=_RunCommand)
def run(
    parameters: Annotated[
        list[Any],
        typer.Option(
            "-p", "--parameters", metavar="NAME VALUE", parser=lambda pair: pair, help="A parameter; can be repeated."
        ),
    ] = [],  # noqa: B006 - Typer reads it, nothing changes it
    yaml: Annotated[
        list[str], typer.Option("-y", "--parameters_yaml", metavar="YAML", help="Parameters as YAML text.")
    ] = [],  # noqa: B006
    file: Annotated[
        list[Path], typer.Option("-f", "--parameters_file", metavar="FILE", help="Parameters from a YAML file.")
    ] = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A new or empty folder for the batch.", show_default="new in runs/"),
    ] = None,
    notebooks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", is_eager=True, help="The folder of the notebooks.", show_default="notebooks/"),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="Run from this stage on, such as 03 or train.")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="STAGE", help="Run only this stage.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with the batch in this folder where it stopped.")
    ] = None,
    execution_timeout: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=1, help="End a cell that takes longer.")
    ] = None,
) -> None:
    """Run the notebooks 00 to 07 as one batch, and write a report.

    Values of -p win over those of -y, and these over those of -f, as with papermill. A value that is the path of a
    file is taken from the current folder, although notebooks run in their own.
    """
    from nbhelpers.batch.chain import run_batch

    if "" in (first, only):
        raise BatchError("The name of the stage is empty.", "Give a name such as 03 or train, or leave the option out.")
    values = _read_yaml(file, yaml)
    values.update(parameters)
    values = {name: _absolute_file(value) for name, value in values.items()}
    try:
        record = run_batch(
            values,
            output,
            notebooks=notebooks,
            first=first,
            only=only,
            resume=resume,
            execution_timeout=execution_timeout,
        )
    except KeyboardInterrupt as stop:
        print(str(stop) or "The batch was cancelled before it began.", file=sys.stderr)
        raise typer.Exit(130) from None
    _print_result(record)


def _read_yaml(files: list[Path], texts: list[str]) -> dict[str, object]:
    import yaml  # type: ignore[import-untyped]

    values: dict[str, object] = {}
    for source, path in [(None, path) for path in files] + [(text, None) for text in texts]:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8") if path else source or "")
        except OSError as error:
            raise ParameterError(
                f"The parameters file {path} cannot be read: {error.strerror}.", "Give the path of a YAML file."
            ) from error
        except (ValueError, yaml.YAMLError) as error:
            raise ParameterError(
                f"The parameters {str(path or source)!r} cannot be read: {error}.",
                "Give lines such as `iterations: 20`.",
            ) from error
        if not isinstance(content, dict | None):
            raise ParameterError(
                f"The parameters {str(path or source)!r} are not names with values.",
                "Give lines such as `iterations: 20`.",
            )
        values.update({str(name): value for name, value in (content or {}).items()})
    return values


def _absolute_file(value: object) -> object:
    """The path of a file, made absolute; any other value as it is."""
    # Path.is_file would raise where a text is too long to be a path.
    if isinstance(value, str) and Path(value).suffix and os.path.isfile(value):  # noqa: PTH113
        return str(Path(value).absolute())
    return value


def _print_result(record: Record) -> None:
    from nbhelpers.batch.report import test_metrics

    if (reuse := str(record.output("reuse") or "")) and not reuse.startswith("new run"):
        print(f"\nTraining {reuse}")
    if best := record.output("best_model"):
        print(f"\nBest model: {best}")
    if metrics := test_metrics(record):
        print("On the test data:")
        for name, value in metrics.items():
            print(f"  {name:42} {value:.4f}")
    print(f"\nReport: {record.folder / 'index.html'}")


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
    store = _open_workspace()
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


def _open_workspace() -> Store | None:
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


def _find_run(text: str) -> tuple[str, PipelineRun]:
    """The id that a person means, and the pipeline run that it belongs to."""
    from nbhelpers.local.listing import find_run
    from nbhelpers.local.store import home_folder
    from nbhelpers.local.workspace import Workspace

    store = _open_workspace()
    if store is None:
        raise UserErrorException(
            f"There is no workspace in {home_folder()}, so there is no run {text!r}.",
            "Make a run with `nbhelpers run`, or set NBHELPERS_HOME to the folder of the workspace.",
        )
    return find_run(Workspace(store), text)


def _find_pipeline(text: str) -> PipelineRun:
    """The pipeline run that a person means; says so where they have named a part of it."""
    run_id, pipeline = _find_run(text)
    if run_id != pipeline.id:
        print(f"Run {run_id} is part of pipeline run {pipeline.id}.")
    return pipeline


@app.command()
def clean(
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Runs and batches that ended longer ago than this.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All batches, and the workspace with all it holds.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only show what would be removed.")] = False,
) -> None:
    """Show what the workspace and runs/ hold, and remove it.

    By age, runs of the workspace go with their logs and models, and stored tables that nothing refers to any more.
    Registered data sets and experiments stay, and so do runs that others need.
    """
    from nbhelpers.batch import clean as batch
    from nbhelpers.batch.chain import project_folder
    from nbhelpers.local import cleaning as workspace
    from nbhelpers.local.processes import settle_all
    from nbhelpers.local.store import home_folder, open_store

    if everything and older_than is not None:
        raise BatchError("--all and --older-than contradict each other.", "Give one of them.")
    if yes and not everything and older_than is None:
        raise BatchError("--yes does not say what to remove.", "Add --older-than DAYS or --all.")
    if older_than is not None and not 0 <= older_than <= MOST_DAYS:  # which not-a-number is not, either
        raise BatchError(f"--older-than {older_than} is not from 0 to {MOST_DAYS}.", "Give days, such as 30.")
    home, sizes, store, plan = home_folder(), None, None, None
    try:
        if sizes := workspace.find_workspace(home):
            store = open_store(home)
    except StoreError as error:  # of a workspace of another version, only the size is known
        if everything and not sizes:
            raise
        print(error.problem)
    batches = batch.find_batches()
    _print_workspace(home, sizes or {}, workspace.count(store) if store else {})
    print(f"Batches in {project_folder() / 'runs'}: {len(batches) or 'none'}")
    for item in batches:
        print(f"  {item.path.name}  ended {item.ended:%Y-%m-%d %H:%M} UTC  {_megabytes(item.size)}")
    if everything:
        chosen = batches
        if store:
            settle_all(store)
        if sizes:
            workspace.check_idle(home)
    elif older_than is not None:
        chosen = batch.older_than(batches, older_than)
        plan = workspace.plan_removal(store, older_than) if store else None
    else:
        print("To remove: --older-than DAYS, or --all (all batches and the workspace); without --yes it only shows.")
        return
    if not (chosen or everything or (plan and (plan.runs or plan.leftovers))):
        print("Nothing in it is that old." if plan or not sizes else "Only --all can remove this workspace.")
        return
    print("Removing:" if yes else "With --yes this removes:")
    for item in chosen:
        print(f"  batch {item.path}  {_megabytes(item.size)}")
    if plan:
        _print_plan(plan)
    elif everything and sizes:
        print(f"  workspace {home}")
    if not yes:
        return
    for item in chosen:
        batch.remove_batch(item)
    if store and plan:
        workspace.remove(store, plan)
        if plan.runs and not workspace.shrink(store):
            print("workspace.db stays as large as it is, since another process uses it; the next runs fill it.")
    elif everything and sizes:
        workspace.remove_workspace(home)


def _print_workspace(home: Path, sizes: dict[str, int], numbers: dict[str, int]) -> None:
    print(f"Workspace {home}: {_megabytes(sum(sizes.values())) if sizes else 'none'}")
    if sizes:
        print("  " + ", ".join(f"{part} {_megabytes(size)}" for part, size in sizes.items()))
    if numbers:
        print("  " + ", ".join(f"{name} {number}" for name, number in numbers.items()))


def _print_plan(plan: Plan) -> None:
    for run in plan.runs:
        line = f"{run.id}  {run.experiment}  {run.status}, ended {run.ended:%Y-%m-%d %H:%M} UTC"
        print(f"  run {line}  {_megabytes(run.size)}")
    for path, size in plan.leftovers.items():
        print(f"  {path}, which nothing refers to  {_megabytes(size)}")
    print(f"  together {_megabytes(plan.size)} of the workspace")
    for run_id, reason in plan.kept.items():
        print(f"Run {run_id} is kept: {reason}.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
