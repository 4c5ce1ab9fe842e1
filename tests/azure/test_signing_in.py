from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from nbhelpers.azure.signing_in import VARIABLES
from nbhelpers.emulator.names import WORKSPACE

from .conftest import Run

if TYPE_CHECKING:
    from nbhelpers.emulator.launch import Emulator

ASK = "from nbhelpers.azure.signing_in import can_answer; print(can_answer())"


def test_nobody_answers_a_program_without_a_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_nobody_answers_a_notebook_that_a_program_runs() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(ASK)])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert notebook.cells[0].outputs[0].text == "False\n"


def test_the_user_of_jupyterlab_can_answer() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    shown: list[str] = []

    def see(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            shown.append(message["content"]["text"])

    try:
        client.execute_interactive(ASK, allow_stdin=True, output_hook=see, stdin_hook=lambda _: None, timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert shown == ["True\n"]


def test_a_batch_that_is_not_signed_in_is_told_the_ways_to(tmp_path: Path) -> None:
    pytest.importorskip("azureml.core", reason="needs the azure environment: make install-azure")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("AZURE", "MSI_"))}
    done = subprocess.run(
        [sys.executable, "-c", "import nbhelpers; nbhelpers.connect('azure').InteractiveLoginAuthentication()"],
        # Else the SDK asks Azure for the names of its clouds.
        env=kept | {"HOME": str(tmp_path), "AZURE_CONFIG_DIR": str(tmp_path), "AZUREML_CURRENT_CLOUD": "AzureCloud"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "BackendError: AuthenticationException: Nobody is signed in to Azure" in done.stderr
    assert "az login" in done.stderr
    assert all(name in done.stderr for pair in VARIABLES.items() for name in pair)


def test_the_variables_of_other_tools_sign_a_service_principal_in(program: Run, emulator: Emulator) -> None:
    others: dict[str, str | None] = {other: emulator.environment[name] for name, other in VARIABLES.items()}
    assert program("print(json.dumps(ws.name))", **others, **dict.fromkeys(VARIABLES)) == WORKSPACE
