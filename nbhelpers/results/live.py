"""Watch a run while it is at work: one output that is updated in place, or a progress bar in a terminal."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from nbhelpers.errors import ExperimentExecutionException
from nbhelpers.results.live_frame import as_html, as_text, verdict
from nbhelpers.results.live_state import ATTEMPTS, ENDED, Reader, State

#: Least and most seconds between two frames; a service that answers slowly is asked less often.
REFRESH, MOST = 1.0, 15.0


def watch(run: Any) -> str:
    """Show a run until it has ended: status, time, steps, child runs with their scores, and the best so far.

    In a notebook the cell has one output, which is updated in place, at most once a second, and stays as it is when
    the run ends. In a terminal a progress bar runs, and the last state is printed.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun

    Returns
    -------
    str
        The status of the run at its end, such as ``"Finished"``, ``"Failed"`` or ``"Canceled"``.

    Raises
    ------
    UserErrorException
        `run` is no such run.
    ExperimentExecutionException
        Watching was interrupted (Ctrl-C), or the run could not be read for a minute; the run goes on. In a batch an
        interrupt cancels the run, as it does where a notebook waits for one.
    """
    reader = Reader(run)
    again = "watch again with results.watch(run), or end the run with run.cancel()"
    with _screen() as show:
        try:
            state = follow(reader.read, show, lambda: time.sleep(_pause(reader)))
        except KeyboardInterrupt:
            # The variable is set in a batch, where nobody is left to wait for the run: see local/waiting.py.
            cancelled = bool(os.environ.get("NBHELPERS_CANCEL_ON_INTERRUPT"))
            if cancelled:
                run.cancel()
            done = "it was asked to cancel" if cancelled else "the run goes on, and run.cancel() ends it"
            show(replace(reader.state, trouble=f"Watching was interrupted; {done}.", over=True))
            if cancelled:
                raise
            raise ExperimentExecutionException(
                f"Watching run {run.id} was interrupted; the run itself goes on.", again
            ) from None
    if state.status not in ENDED:
        raise ExperimentExecutionException(f"After {ATTEMPTS} attempts: {state.trouble}", again)
    return state.status


def show(run: Any) -> None:
    """Show a run as `watch` does, but return at once: a thread updates the output until the run has ended.

    In a terminal the state of the moment is printed.
    """
    reader = Reader(run)
    state = reader.read()
    if not _shell():
        print(as_text(state))
        return
    output = Output()
    output.show(state)
    if not state.over:
        _Background(reader, output).start()


def follow(read: Callable[[], State], show: Callable[[State], None], pause: Callable[[], object]) -> State:
    """Read, show and pause in turns until the run is over."""
    while True:
        state = read()
        show(state)
        if state.over:
            return state
        pause()


class Output:
    """One output of a notebook, updated in place by its display id."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, state: State) -> None:
        """Make `state` the content of the output."""
        from IPython.display import display

        forms = {"text/html": as_html(state), "text/plain": as_text(state)}
        if self._handle is None:
            self._handle = display(forms, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(forms, raw=True)


class _Background:
    """Updates an output from a thread, which ends with the run or the kernel and never raises."""

    def __init__(self, reader: Reader, output: Output) -> None:
        self._reader = reader
        self._output = output
        self._over = threading.Event()
        self._lock = threading.Lock()  # the thread and the end of a cell may both want to update
        self._thread = threading.Thread(target=self._follow, name=f"live view of {reader.run.id}", daemon=True)

    def start(self) -> None:
        # A program that runs the notebook (papermill, nbconvert) takes in what arrives while a cell runs, no more:
        # the end of the cell that waits for the run is the moment for the last frame.
        _shell().events.register("post_run_cell", self._after_cell)
        atexit.register(self._close)
        self._thread.start()

    def _follow(self) -> None:
        while not self._over.wait(_pause(self._reader)):
            self._update()
        atexit.unregister(self._close)
        _shell().events.unregister("post_run_cell", self._after_cell)

    def _after_cell(self, _result: object) -> None:
        with suppress(Exception):  # the thread says what the trouble is
            if self._reader.run.get_status() in ENDED:
                self._update()

    def _update(self) -> None:
        with self._lock:
            if self._over.is_set():
                return
            over = True
            with suppress(Exception):  # a kernel that ends takes no output, and nobody sees what a thread raises
                state = self._reader.read()
                self._output.show(state)
                over = state.over
            if over:
                self._over.set()

    def _close(self) -> None:
        """End the thread before the kernel does, within two seconds."""
        self._over.set()
        self._thread.join(2)


def _pause(reader: Reader) -> float:
    """Seconds to wait, so that the run is asked a fifth of the time at most."""
    return min(MOST, max(REFRESH, 4 * reader.seconds))


def _shell() -> Any:
    """The shell of a notebook's kernel; None in a terminal and in a program."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()  # type: ignore[no-untyped-call]
    return shell if hasattr(shell, "kernel") else None


@contextmanager
def _screen() -> Iterator[Callable[[State], None]]:
    """A function that shows a state where there is a screen for it: in the notebook or in the terminal."""
    if _shell():
        yield Output().show
        return
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    columns = BarColumn(table_column=Column(width=20)), TextColumn("{task.description}", markup=False)
    last = None
    # A log, which is no terminal, gets the last state only.
    with Progress(*columns, auto_refresh=False, transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("", total=None)

        def show(state: State) -> None:
            nonlocal last
            last, step = state, state.shown_step
            if step:
                bar.update(task, completed=step.ended, total=step.planned)
            bar.update(task, description=verdict(state), refresh=True)

        try:
            yield show
        finally:
            bar.stop()
            if last:
                print(as_text(last))
