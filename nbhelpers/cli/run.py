"""``run``: the notebooks as one batch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from nbhelpers.cli.runs import find_store
from nbhelpers.errors import BatchError, NbhelpersError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbhelpers.batch.record import Record

app = typer.Typer()


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

    Values are stored in clear in the executed notebooks. Those that look secret are refused: by their name, or because
    they are URLs with a password or signature. Download such a file first.
    """
    from nbhelpers.batch.chain import run_batch

    if "" in (first, only):
        raise BatchError("The name of the stage is empty.", "Give a name such as 03 or train, or leave the option out.")
    values = {name: _absolute_file(value) for name, value in (_read_yaml(file, yaml) | _once(parameters)).items()}
    if notebooks is None and resume is None:  # other notebooks may mean other things by the same names
        _check_values(values)
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
        print(str(stop) or "The command was cancelled.", file=sys.stderr)
        raise typer.Exit(130) from None
    _print_result(record)


def _once(pairs: list[tuple[str, str]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in pairs:
        if name in values:
            raise ParameterError(f"-p {name} is given more than once.", "Give one value for it.")
        values[name] = value
    return values


def _check_values(texts: Mapping[str, object]) -> None:
    """Refuse now what the notebooks of this project would refuse later."""
    from nbhelpers.backend import connect
    from nbhelpers.batch.chain import find_notebooks
    from nbhelpers.batch.parameters import check_parameters, read_parameters
    from nbhelpers.local.workspace import Workspace
    from nbhelpers.preparation import check_values

    declared = {name: read_parameters(path) for name, path in find_notebooks().items()}
    values: dict[str, Any] = {}
    for fitted in check_parameters(texts, declared).values():
        values |= fitted
    connect(values.get("backend", "local"), seed=values.get("seed", 0))
    if values.get("backend") != "azure":  # which has rules of its own
        store = find_store()
        check_values(values, Workspace(store) if store else None)


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
    from nbhelpers.metrics import number_text

    if (reuse := str(record.output("reuse") or "")) and not reuse.startswith("new run"):
        print(f"\nTraining {reuse}")
    if best := record.output("best_model"):
        print(f"\nBest model: {best}")
    if metrics := test_metrics(record):
        print("On the test data:")
        for name, value in metrics.items():
            print(f"  {name:42} {number_text(value)}")
    print(f"\nReport: {record.folder / 'index.html'}")
