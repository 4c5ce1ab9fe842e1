"""The command line: ``nbhelpers run`` and ``nbhelpers clean``.

Only Typer is imported with this module; a command imports what it needs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from nbhelpers.errors import BatchError, NbhelpersError, ParameterError, StageError, StoreError

if TYPE_CHECKING:
    from nbhelpers.batch.record import Record

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
        except (OSError, ValueError, yaml.YAMLError) as error:
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

    if best := record.output("best_model"):
        print(f"\nBest model: {best}")
    if metrics := test_metrics(record):
        print("On the test data:")
        for name, value in metrics.items():
            print(f"  {name:42} {value:.4f}")
    print(f"\nReport: {record.folder / 'index.html'}")


@app.command()
def clean(
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Batches that ended longer ago than this.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All batches, and the workspace with all it holds.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only show what would be removed.")] = False,
) -> None:
    """Show what the workspace folder and runs/ hold, and remove what you say.

    The workspace is removed as a whole or not at all: its data, runs and models refer to each other.
    """
    from nbhelpers.batch import clean as cleaning
    from nbhelpers.batch.chain import project_folder
    from nbhelpers.local.store import home_folder

    if everything and older_than is not None:
        raise BatchError("--all and --older-than contradict each other.", "Give one of them.")
    home = home_folder()
    workspace = None
    try:
        workspace = cleaning.find_workspace(home)
        print(f"Workspace {home}: {_megabytes(workspace.size) if workspace else 'none'}")
    except StoreError as error:
        if everything:
            raise
        print(error.problem)
    batches = cleaning.find_batches()
    print(f"Batches in {project_folder() / 'runs'}: {len(batches) or 'none'}")
    for item in batches:
        print(f"  {item.path.name}  ended {item.ended:%Y-%m-%d %H:%M} UTC  {_megabytes(item.size)}")
    if everything:
        chosen = batches
        if workspace:
            cleaning.check_workspace_idle(home)
    elif older_than is not None:
        chosen, workspace = cleaning.older_than(batches, older_than), None
    else:
        print("To remove: --older-than DAYS (batches), or --all (batches and workspace); without --yes it only shows.")
        return
    print("Removing:" if yes else "With --yes this removes:")
    for item in [*chosen, workspace] if workspace else chosen:
        print(f"  {item.path}")
    if yes:
        for item in chosen:
            cleaning.remove_batch(item)
        if workspace:
            cleaning.remove_workspace(home)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
