"""Everything of a run is killed at once, as when the power fails, and the workspace is opened again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from nbhelpers.local import Experiment, Workspace
from nbhelpers.local.children import finished_children

from .faults import assert_whole, completed, create_target, processes_of, submit, worker_pid


def survey() -> None:
    """Check the workspace, and print the state of its latest run and the children that it would not train again."""
    workspace = Workspace.from_config()
    assert_whole(workspace.store)
    for run in Experiment(workspace, "faults").get_runs()[:1]:
        status = run.wait_for_completion(show_output=False, raise_on_error=False)
        (step,) = run.get_steps()
        finished = [child.iteration for child in finished_children(workspace.store, step.id).values()]
        print(json.dumps({"status": status, "finished": finished}), flush=True)


def report() -> None:
    """Submit a run that continues the one before, and print each child that is seen to have completed."""
    run = submit(create_target(Workspace.from_config(), max_nodes=2), iterations=500)
    print("worker", worker_pid(run), flush=True)
    reported: set[int] = set()
    while True:
        for iteration in completed(run) - reported:
            print("completed", iteration, flush=True)
            reported.add(iteration)
        time.sleep(0.02)


def test_what_was_reported_as_completed_is_there_when_the_power_is_back(
    home: Path,  # noqa: ARG001 - it sets the folder
) -> None:
    # Only the killed processes have the store open, so that the next one finds it as they left it.
    chance = random.Random(0)  # noqa: S311
    reported: set[int] = set()
    for outage in range(5):
        process = start("survey(); report()")
        if outage:
            assert_kept(process, reported)
        worker = next(int(line.split()[1]) for line in process.stdout if line.startswith("worker"))
        lines = (int(line.split()[1]) for line in process.stdout if line.startswith("completed"))
        reported.update(islice(lines, chance.randrange(len(reported) + 4)))
        time.sleep(chance.uniform(0, 0.5))
        victims = [process.pid, *processes_of(worker)]
        chance.shuffle(victims)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        reported.update(lines)  # what it has printed before it died
        process.wait()
    assert_kept(start("survey()"), reported)
    assert len(reported) > 3


def start(call: str) -> Any:
    """A process that calls functions of this module, with what it prints as text in `stdout`."""
    statements = f"from tests.local.test_power_loss import report, survey; {call}"
    folder = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", statements], cwd=folder, stdout=subprocess.PIPE, text=True)


def assert_kept(process: Any, reported: set[int]) -> None:
    """The survey that a process prints finds the latest run ended, and all children that were reported."""
    found = json.loads(process.stdout.readline())
    assert found["status"] == "Failed"
    assert reported <= set(found["finished"])
