"""Waiting for runs, with the lines that the SDK prints."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nbhelpers.errors import ActivityFailedException, ExperimentExecutionException, UserErrorException
from nbhelpers.local.arguments import check_flags
from nbhelpers.local.processes import RUNNING

if TYPE_CHECKING:
    from nbhelpers.local.runs import PipelineRun
    from nbhelpers.local.step_runs import StepRun

#: With this environment variable set, as a batch of notebooks does, an interrupt ends the run that is waited for, too.
CANCEL_ON_INTERRUPT = "NBHELPERS_CANCEL_ON_INTERRUPT"
#: Seconds between two looks at a run.
POLL = 0.5


def wait(
    run: PipelineRun | StepRun,
    follow: Callable[[Callable[[str], None], float], None],
    show_output: bool,
    timeout_seconds: float,
    raise_on_error: bool,
) -> str:
    """Follow a run until it ends, the time is over or the user interrupts.

    Parameters
    ----------
    run : PipelineRun or StepRun
    follow : callable
        Called with a function that prints and the deadline on `time.monotonic`'s clock; returns when the run has ended
        or the deadline has passed.
    show_output, timeout_seconds, raise_on_error
        As `PipelineRun.wait_for_completion`.

    Returns
    -------
    str
        The status of the run.
    """
    if not isinstance(timeout_seconds, int | float) or timeout_seconds != timeout_seconds:
        raise UserErrorException(f"timeout_seconds={timeout_seconds!r} is not a number.", "give seconds such as 600")
    check_flags({"show_output": show_output, "raise_on_error": raise_on_error})
    say: Callable[[str], None] = print if show_output else lambda _line: None
    start = time.monotonic()
    try:
        follow(say, start + timeout_seconds)
    except KeyboardInterrupt as error:
        if os.environ.get(CANCEL_ON_INTERRUPT):
            run.cancel()
            raise
        raise ExperimentExecutionException(
            f"Waiting for run {run.id} was interrupted; the run itself goes on.",
            "wait again with run.wait_for_completion(), or end the run with run.cancel()",
        ) from error
    status = run.get_status()
    if status in RUNNING:
        say(f"Timed out of waiting after {time.monotonic() - start:.0f} seconds; the run goes on, status: {status}")
    elif status != "Finished":
        error_record = run.get_details()["error"]
        if raise_on_error:
            problem = error_record["error"]
            log = f"read the run's log: {run.log_path}"
            remedy = f"{problem['remedy']}\nElse {log}" if "remedy" in problem else log
            remedy += "\nTo go on where it stopped: continue_run() of the pipeline run"
            raise ActivityFailedException(f"Run {run.id} is {status}: {problem['message']}", remedy)
        say(f"Error:\n{json.dumps(error_record, indent=4)}")
    return status


def follow_pipeline(run: PipelineRun, say: Callable[[str], None], deadline: float) -> None:
    """Print the progress of a pipeline run and of each of its steps."""
    say(f"PipelineRunId: {run.id}")
    for status in _statuses(run.get_status, deadline):
        say(f"PipelineRun Status: {status}")
        if status == "Running":
            break
    for step in run.get_steps():
        say("\n")
        follow_step(step, say, deadline)
    if run.get_status() not in RUNNING:
        title = "\nPipelineRun Execution Summary"
        say(f"{title}\n{'=' * len(title)}\nPipelineRun Status: {run.get_status()}\n{run.get_details()}\n")


def follow_step(step: StepRun, say: Callable[[str], None], deadline: float) -> None:
    """Print the progress of a step run, and its summary when it has ended."""
    say(f"StepRunId: {step.id}")
    for status in _statuses(step.get_status, deadline):
        say(f"StepRun( {step.name} ) Status: {status}")
    if step.get_status() in RUNNING:
        return
    title = f"\nStepRun({step.name}) Execution Summary"
    details = step.get_details()
    say(f"{title}\n{'=' * len(title)}\nStepRun( {step.name} ) Status: {step.get_status()}")
    if details["warnings"]:
        say("\nWarnings:\n" + "\n".join(warning["message"] for warning in details["warnings"]))
    say(f"{details}\n")


def _statuses(read: Callable[[], str], deadline: float) -> Iterator[str]:
    """Each new status until one is final or the deadline has passed."""
    last = None
    while True:
        status = read()
        if status != last:
            yield status
        last = status
        if status not in RUNNING or time.monotonic() >= deadline:
            return
        time.sleep(POLL)
