"""The SDK's own notebook flow under the emulator, without any other network than loopback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from nbhelpers.local import Workspace
from nbhelpers.local.listing import list_runs

NOTEBOOK = Path(__file__).with_name("sdk_v1_flow.ipynb")
#: A network of its own that has loopback only, made without root.
ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
#: Writes down every address that the command and its children, native code included, connect or send to.
TRACED = (
    "strace",
    "-f",
    "--seccomp-bpf",
    "-qq",
    "-e",
    "trace=connect,sendto,sendmsg,sendmmsg",
    "-e",
    "signal=none",
    "-o",
)
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


@dataclass(frozen=True)
class Flow:
    """What is left of the notebook's run.

    Attributes
    ----------
    notebook : NotebookNode
    workspace : Workspace
        The local one, which the emulator has worked on.
    alone : bool
        Whether it ran in a network of its own.
    trace : str or None
        What `TRACED` wrote.
    """

    notebook: NotebookNode
    workspace: Workspace
    alone: bool
    trace: str | None


def works(*command: str) -> bool:
    """Whether a command is there and permitted."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run([*command, "true"], capture_output=True, check=False, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    pytest.importorskip("azureml.core", reason="needs the azure environment: make install-azure")
    folder = tmp_path_factory.mktemp("flow")
    executed, trace = folder / "executed.ipynb", folder / "trace"
    alone, traced = works(*ALONE), works(*TRACED, os.devnull)
    command = [
        *(ALONE if alone else ()),
        *((*TRACED, str(trace)) if traced else ()),
        *(sys.executable, "-m", "nbhelpers", "emulate", "--"),
        *(sys.executable, "-m", "papermill", "--no-progress-bar", str(NOTEBOOK), str(executed)),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBHELPERS_HOME", str(folder / "home"))
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        notebook = nbformat.read(executed, as_version=4)
        yield Flow(notebook, Workspace.from_config(), alone, trace.read_text() if traced else None)


def shown(notebook: NotebookNode) -> str:
    """All that the cells show as text."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_the_notebook_uses_the_sdk_alone_and_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell for cell in cells if "nbhelpers" in cell.source]
    assert not [cell for cell in cells if cell.outputs]


@pytest.mark.timeout(960)
def test_the_flow_of_the_sdk_runs_to_its_end(flow: Flow) -> None:
    text = shown(flow.notebook)
    assert "Created step automl_module" in text
    assert "Minimum number of nodes requested have been provisioned" in text
    assert text.count("PipelineRun Status: Finished") == 1
    assert text.count("_PipelineWidget(widget_settings=") == 2
    assert "The run over REST has taken over the results of the first." in text


def test_the_runs_of_the_flow_were_trained_in_the_local_workspace(flow: Flow) -> None:
    runs = {run.experiment: run for run in list_runs(flow.workspace.store)}
    assert set(runs) == {"sdk-v1-flow", "sdk-v1-flow-rest"}
    assert {run.status for run in runs.values()} == {"Finished"}
    first = runs["sdk-v1-flow"]
    assert runs["sdk-v1-flow-rest"].reuses == first.id
    run = flow.workspace.get_run(first.id)
    best = next(run.get_steps()).get_best_child()  # type: ignore[attr-defined]
    assert f"{best.id}" in shown(flow.notebook)
    assert float(best.properties["score"]) > 0.9


def test_nothing_leaves_loopback(flow: Flow) -> None:
    if flow.trace is None:
        pytest.skip("strace is missing or not permitted here, so nothing wrote down the addresses")
    addresses = {one or other for one, other in ADDRESS.findall(flow.trace)}
    assert "127.0.0.1" in addresses
    assert {address for address in addresses if not ip_address(address).is_loopback} == set()


def test_no_other_network_than_loopback_is_needed(flow: Flow) -> None:
    if not flow.alone:
        pytest.skip("a network namespace of its own is not permitted here")
