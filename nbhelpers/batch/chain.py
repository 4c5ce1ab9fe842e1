"""A batch: the numbered notebooks of a folder, one after the other, outputs handed on, everything recorded."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbhelpers.batch import notebook
from nbhelpers.batch.failure import Failure
from nbhelpers.batch.model_card import write_model_card
from nbhelpers.batch.outputs import read_outputs
from nbhelpers.batch.parameters import Parameter, check_parameters, describe, fit, is_utf8, read_parameters
from nbhelpers.batch.progress import show_progress
from nbhelpers.batch.record import Record, Stage, now
from nbhelpers.batch.report import write_report
from nbhelpers.batch.stage import Interruption, execute
from nbhelpers.errors import BatchError, ParameterError

#: The chain are the notebooks 00 to 07; those with other names or numbers are run by hand.
_CHAIN = re.compile(r"0[0-7]_\w+\.ipynb")


def run_batch(
    parameters: Mapping[str, object] | None = None,
    output: Path | str | None = None,
    *,
    notebooks: Path | str | None = None,
    first: str | None = None,
    only: str | None = None,
    resume: Path | str | None = None,
    execution_timeout: int | None = None,
    progress: Callable[[Record, Stage | None], None] = show_progress,
) -> Record:
    """Run a chain of notebooks in this process, each in a kernel of its own.

    A stage is given the user's values that it declares, then the outputs of earlier stages that it declares. Nothing
    is written before all parameters are found to be right. The folder of the batch gets the executed notebooks,
    ``run.json`` and ``index.html``, also after a failure, and then what the failed notebook's kernel wrote past it;
    where a cell tagged `model-card` shows Markdown, that is in ``model_card.md``.

    Parameters
    ----------
    parameters : mapping, optional
        Values for the notebooks' parameters; texts are converted to the declared types.
    output : Path or str, optional
        The folder of the batch, new or empty; by default a new one in ``runs/`` of the project.
    notebooks : Path or str, optional
        The folder of the notebooks; by default ``notebooks/`` of the project.
    first, only : str, optional
        Run the stages from this one on, or only this one; a beginning of its name or number is enough. Stages that
        are left out hand nothing on, unless their outputs are in the record of a resumed batch.
    resume : Path or str, optional
        Folder of a batch to go on with: with its parameters, at its first stage that has not finished.
    execution_timeout : int, optional
        Seconds that a single cell may take.
    progress : callable, optional
        Called with the record, and None at the start, then the stage whose status has changed.

    Returns
    -------
    Record
        The finished batch.

    Raises
    ------
    ParameterError
        A parameter is unknown or does not fit; nothing was run.
    BatchError
        The notebooks, a stage or a folder cannot be used as asked; nothing was run. Or the disk is full.
    StageError
        A notebook failed; the record says the same.
    KeyboardInterrupt
        Ctrl-C; the running stage was interrupted and recorded as cancelled. Its text has the command that goes on.
    """
    if first and only:
        raise BatchError("A batch cannot start from one stage and run only one.", "Give --from or --only, not both.")
    if execution_timeout is not None and not (isinstance(execution_timeout, int) and execution_timeout > 0):
        raise BatchError(f"execution_timeout={execution_timeout!r} is not a number of seconds.", "Give 600, or None.")
    if not isinstance(parameters, Mapping | None):
        raise ParameterError(f"parameters={parameters!r} is not a dictionary.", "Write it as in {'iterations': 20}.")
    if resume and output:
        raise BatchError("A resumed batch stays in its folder.", "Leave out --output.")
    sources = find_notebooks(notebooks)
    declared = {name: read_parameters(path) for name, path in sources.items()}
    wanted = first or only
    begin = find_stage(wanted, sources) if wanted else None
    values = dict(parameters or {})
    check_parameters(values, declared)  # before a folder is made
    folder = Path(resume).absolute() if resume else _new_folder(output)
    with held(folder):
        if resume:
            record = Record.load(folder)
        elif any(folder.iterdir()):
            raise BatchError(
                f"The output folder {folder} is not empty.",
                f"Name a new folder, or go on with the batch in it: --resume {shlex.quote(str(folder))}",
            )
        else:
            record = Record(folder)
        given = check_parameters({**record.parameters, **values}, declared)
        record.stages = _plan(record, declared, given, begin, only is not None)
        _say_unused(values, record.stages, declared)
        _say_changed(record, sources)
        resume_command = _command(folder, notebooks)
        try:
            return _Batch(record, sources, declared, given, execution_timeout, progress, resume_command).run()
        except OSError as error:
            raise BatchError(
                f"The batch in {folder} could not go on: {error}.",
                f"Make room or give write permission there, then go on with\n    {resume_command}",
            ) from error


def project_folder() -> Path:
    """The folder of pyproject.toml above this package; the current folder where the package was installed alone."""
    project = Path(__file__).parents[2]
    return project if (project / "pyproject.toml").is_file() else Path.cwd()


def find_notebooks(folder: Path | str | None = None) -> dict[str, Path]:
    """The notebooks of the chain (numbers 00 to 07) by name, in order.

    Raises
    ------
    BatchError
        There are none.
    """
    path = Path(folder).absolute() if folder else project_folder() / "notebooks"
    found = sorted(p for p in path.glob("*.ipynb") if _CHAIN.fullmatch(p.name))
    if not found:
        raise BatchError(
            f"{path} holds no notebooks of a chain, 00_name.ipynb to 07_name.ipynb.",
            "Name the folder of the notebooks with --notebooks.",
        )
    return {p.stem: p for p in found}


def find_stage(text: str, names: Sequence[str] | Mapping[str, Path]) -> str:
    """The stage whose name, or whose name without its number, begins with a text.

    Raises
    ------
    BatchError
        There is none, or more than one.
    """
    matches = [name for name in names if name == text]
    matches = matches or [name for name in names if name.startswith(text) or name[3:].startswith(text)]
    if len(matches) != 1:
        raise BatchError(
            f"{text!r} names {' and '.join(matches) if matches else 'no stage'}.",
            f"Name one of: {', '.join(names)}.",
        )
    return matches[0]


def _plan(
    record: Record,
    declared: Mapping[str, Sequence[Parameter]],
    given: Mapping[str, Mapping[str, object]],
    begin: str | None,
    only: bool,
) -> list[Stage]:
    """The stages of a batch: those to run are waiting, finished ones of a resumed batch kept, the others skipped."""
    old = {stage.name: stage for stage in record.stages}
    if missing := [name for name in old if name not in declared]:
        raise BatchError(
            f"The batch in {record.folder} ran other notebooks, too: {', '.join(missing)}.",
            "Name the folder of its notebooks with --notebooks, or start a new batch.",
        )
    stages = []
    going_on = False
    for name in declared:
        stage = old.get(name, Stage(name))
        if begin:
            to_run = name == begin or (name > begin and not only)
        else:
            done = stage.status == "finished" and (record.folder / stage.notebook).is_file()
            going_on = going_on or not (done or stage.status == "skipped")
            to_run = going_on and stage.status != "skipped"
        if to_run:
            stages.append(Stage(name))
        elif stage.status == "finished":
            _check_unchanged(stage, declared[name], given[name])
            stages.append(stage)
        else:
            stages.append(Stage(name, "skipped"))
    return stages


def _say_unused(
    values: Mapping[str, object], stages: Sequence[Stage], declared: Mapping[str, Sequence[Parameter]]
) -> None:
    """Tell of values that only stages would use that are left out."""
    for name in values:
        users = [stage for stage in stages if name in (parameter.name for parameter in declared[stage.name])]
        if all(stage.status == "skipped" for stage in users):
            print(f"{name} is not used: it is a parameter of {users[0].name}, which is not run.")


def _say_changed(record: Record, sources: Mapping[str, Path]) -> None:
    """Tell of finished stages that are kept although their notebook has other code by now."""
    for stage in record.stages:
        if stage.status == "finished" and _code(record.folder / stage.notebook) != _code(sources[stage.name]):
            print(f"{stage.name} has changed since it ran, and is kept. To run it again, add --from {stage.name}.")


def _code(path: Path) -> list[str]:
    cells = [cell for cell in notebook.read_cells(path) if "injected-parameters" not in notebook.tags(cell)]
    return [notebook.text(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _check_unchanged(stage: Stage, declared: Sequence[Parameter], given: Mapping[str, object]) -> None:
    """Refuse a new value for a parameter of a stage that has finished and is not run again."""
    for parameter in declared:
        used = stage.parameters.get(parameter.name, parameter.default)
        if (value := given.get(parameter.name, used)) != used:
            raise BatchError(
                f"{stage.name} has finished with {parameter.name} = {used!r}, not {value!r}.",
                f"Leave {parameter.name} out, run the stage again with --from {stage.name}, or start a new batch.",
            )


def _new_folder(output: Path | str | None) -> Path:
    if output is None:
        name = f"{datetime.now(UTC):%Y-%m-%d_%H%M%S}-{secrets.token_hex(2)}"
        folder = project_folder() / "runs" / name
    else:
        folder = Path(output).absolute()
    if not is_utf8(str(folder)):
        raise BatchError(f"The output folder {folder} has a name that is not UTF-8.", "Name another with --output.")
    try:
        folder.mkdir(parents=True, exist_ok=output is not None)
    except OSError as error:
        raise BatchError(
            f"The output folder {folder} cannot be made: {error.strerror}.",
            "Name a folder that you may write to with --output.",
        ) from error
    return folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a batch folder against a second process; the system lets go of it when this one ends, however it ends."""
    if sys.platform == "win32":  # which has no locks on folders
        yield
        return
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise BatchError(f"There is no batch in {folder}: {error.strerror}.", "Name the folder of a batch.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BatchError(f"A batch is running in {folder}.", "Wait for its end, or name another folder.") from error
    finally:
        os.close(handle)


@dataclass
class _Batch:
    """What the stages of a batch share while they run."""

    record: Record
    sources: Mapping[str, Path]
    declared: Mapping[str, Sequence[Parameter]]
    given: Mapping[str, Mapping[str, object]]
    execution_timeout: int | None
    progress: Callable[[Record, Stage | None], None]
    resume: str
    """The command that goes on with it."""

    def run(self) -> Record:
        """Run the waiting stages, and leave record and report behind, however it ends."""
        record = self.record
        record.parameters = {name: value for values in self.given.values() for name, value in values.items()}
        record.status, record.ended = "running", None
        record.save()
        try:
            with Interruption() as interruption:
                self._show(None)
                for stage in record.stages:
                    if stage.status == "waiting":
                        self._run_stage(stage, interruption)
            record.status = "finished"
        except KeyboardInterrupt:
            record.status = "cancelled"
            raise KeyboardInterrupt(f"The batch was cancelled. To go on with it:\n    {self.resume}") from None
        except BaseException:
            record.status = "failed"
            raise
        finally:
            record.ended = now()
            record.save()
            write_model_card(record)
            write_report(record, self.resume)
        return record

    def _run_stage(self, stage: Stage, interruption: Interruption) -> None:
        target = self.record.folder / f"{stage.name}.ipynb"
        start = time.monotonic()
        stage.status = "running"
        self.record.save()
        self._show(stage)
        try:
            failure = self._execute(stage, target, interruption)
            if interruption.requested:
                raise KeyboardInterrupt
            stage.status = "failed" if failure else "finished"
            if failure:
                stage.error = failure.to_dict()
                raise failure.as_error(stage.name, target, self.resume)
            stage.outputs = read_outputs(target)
        except BaseException as error:
            stage.status = "cancelled" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            stage.seconds = round(time.monotonic() - start, 1)
            stage.notebook = target.name if target.is_file() else ""
            self.record.save()
            self._show(stage)

    def _show(self, stage: Stage | None) -> None:
        # The batch goes on where nobody reads it any more, as after `| head -1`; rich would end the program then.
        with suppress(OSError, SystemExit):
            self.progress(self.record, stage)

    def _execute(self, stage: Stage, target: Path, interruption: Interruption) -> Failure | None:
        given = self.given[stage.name]
        try:
            stage.parameters = {**_handed_over(self.record, stage, self.declared[stage.name], given), **given}
        except ParameterError as error:
            return Failure("hand-over", error.problem)
        return execute(
            self.sources[stage.name],
            target,
            stage.parameters,
            interruption=interruption,
            execution_timeout=self.execution_timeout,
        )


def _handed_over(
    record: Record, stage: Stage, declared: Sequence[Parameter], given: Mapping[str, object]
) -> dict[str, Any]:
    """The outputs of earlier stages that a stage declares, the latest of each name."""
    values = {}
    earlier = record.stages[: record.stages.index(stage)]
    for parameter in declared:
        giver = next((s for s in reversed(earlier) if parameter.name in s.outputs), None)
        if giver and parameter.name not in given:
            value = giver.outputs[parameter.name]
            try:
                values[parameter.name] = fit(value, parameter.annotation)
            except ValueError as error:
                raise ParameterError(
                    f"the output {parameter.name} = {value!r} of {giver.name} does not fit {describe(parameter)}",
                    "Record another value, or declare another type.",
                ) from error
    return values


def _command(folder: Path, notebooks: Path | str | None) -> str:
    """The command that goes on with a batch, as one would type it here."""
    short = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    command = ["nbhelpers", "run", "--resume", str(short)]
    return shlex.join(command + (["--notebooks", str(notebooks)] if notebooks else []))
