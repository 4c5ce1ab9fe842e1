"""Runs that are submitted in a Jupyter kernel, and outlive it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from .faults import TRAIN_FOLD, plant, wait_until

SUBMIT = """
from nbhelpers.local import Workspace
from tests.local.faults import create_target, submit
run = submit(create_target(Workspace.from_config(), max_nodes=2))
"""
LOOK = """
import json
from nbhelpers.local import Experiment, Workspace
(run,) = Experiment(Workspace.from_config(), "faults").get_runs()
run.wait_for_completion(show_output=False)
(step,) = run.get_steps()
print(json.dumps({
    "status": run.get_status(),
    "details": run.get_details()["status"],
    "children": [child.get_status() for child in step.get_children()],
    "metrics": step.get_metrics(),
    "logs": step.get_logs(),
}))
"""
#: The ends of a kernel.
ENDS: dict[str, Callable[[KernelManager], None]] = {
    "shut down": lambda kernel: kernel.shutdown_kernel(),
    "restarted": lambda kernel: kernel.restart_kernel(),
    "killed": lambda kernel: kernel.signal_kernel(signal.SIGKILL),
}


@contextmanager
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """A kernel of this environment, with a client."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(Path(__file__).parents[2]))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: BlockingKernelClient, cell: str) -> str:
    """Execute a cell, and give what it prints."""
    printed: list[str] = []
    reply = client.execute_interactive(
        cell, timeout=120, output_hook=lambda message: printed.append(message["content"].get("text", ""))
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(printed)


@pytest.mark.parametrize("end", ENDS)
def test_a_run_goes_on_without_its_kernel_and_another_one_finds_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    plant(monkeypatch, {TRAIN_FOLD: "while not os.path.exists('kernel has ended'): time.sleep(0.05)"})
    with kernel() as (manager, client):
        execute(client, SUBMIT)
        first = manager.provisioner.process
        ENDS[end](manager)
        wait_until(lambda: first.poll() is not None)
    (home / "kernel has ended").touch()
    with kernel() as (_, client):
        found = json.loads(execute(client, LOOK))
    assert found["status"] == "Finished"
    assert found["details"] == "Completed"
    assert found["children"] == ["Completed"] * 7
    assert 0 < found["metrics"]["AUC_weighted"] <= 1
    assert "Current status: Completed." in found["logs"]
