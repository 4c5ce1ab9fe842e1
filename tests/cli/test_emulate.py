"""``nbhelpers emulate``; tests/emulator has what the emulated cloud answers."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from nbhelpers.local.store import open_store

from ..local.faults import wait_until
from ..local.rows import add_run
from .conftest import COMMAND, assert_refused, nbhelpers

HAS_SDK = find_spec("azureml") is not None
needs_sdk = pytest.mark.skipif(not HAS_SDK, reason="needs the azure environment: make install-azure")
#: Says that it is there, and ends with the number of the first signal that it gets, and with 99 where it gets a second.
WAITING = """
import signal, sys, time
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: got.append(number))
print("there", flush=True)
while not got: time.sleep(0.01)
time.sleep(1)
sys.exit(got[0] if len(got) == 1 else 99)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, in which nothing may be left but what the SDK puts there."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert not {path.name for path in folder.iterdir()} - {"azureml-logs"}
    assert not (tmp_path / ".azureml").exists()


@pytest.mark.skipif(HAS_SDK, reason="the SDK is installed")
def test_without_the_sdk_it_is_said_how_to_get_it(home: Path) -> None:
    assert_refused(nbhelpers(home, "emulate", "--", "true"), "To mend it: Run `make install-azure`, and then ")
    assert not home.exists()


@needs_sdk
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["--", "no-such-program"], "error: 'no-such-program' cannot be started: No such file or directory."),
        (["--", "/etc/passwd"], "error: '/etc/passwd' cannot be started: Permission denied."),
        (["--", ""], "error: '' cannot be started: "),
        (["--fault", "x=200", "--", "true"], "error: 'x=200' does not describe a fault."),
        (["--fault", "(=503", "--", "true"], "error: '(' is not a regular expression: "),
        (["--faults", "x=503", "--", "true"], "No such option"),
    ],
)
def test_a_mistake_ends_with_code_2_and_one_message(home: Path, arguments: list[str], message: str) -> None:
    assert_refused(nbhelpers(home, "emulate", *arguments), message)


@needs_sdk
def test_the_output_and_the_exit_code_are_those_of_the_command(home: Path) -> None:
    result = nbhelpers(home, "emulate", "sh", "-c", "echo out; echo err >&2; exit 7", "--help")
    assert (result.returncode, result.stdout) == (7, "out\n")
    first, second = result.stderr.splitlines()
    assert first.startswith("Emulated Azure ML at http://127.0.0.1:")
    assert first.endswith(f", on the workspace {home}")
    assert second == "err"


@needs_sdk
def test_a_command_that_a_signal_ended_has_the_exit_code_of_shells(home: Path) -> None:
    assert nbhelpers(home, "emulate", "--", "sh", "-c", "kill -9 $$").returncode == 137


@needs_sdk
def test_the_sdk_finds_its_workspace_with_no_word_about_where_it_is(home: Path) -> None:
    (home.parent / "below").mkdir()
    code = "from azureml.core import Workspace; print(Workspace.from_config().name)"
    result = nbhelpers(home, "emulate", "--", "sh", "-c", f"cd below && python -c '{code}'")
    assert result.stdout == "emulated-workspace\n"


@needs_sdk
def test_the_users_own_config_is_kept_and_its_workspace_is_refused(home: Path) -> None:
    own = home.parent / "mine" / ".azureml" / "config.json"
    own.parent.mkdir(parents=True)
    text = '{"subscription_id": "a", "resource_group": "mine", "workspace_name": "mine"}'
    own.write_text(text)
    code = "from azureml.core import Workspace; Workspace.from_config()"
    result = subprocess.run(
        [*COMMAND, "emulate", "--", "python", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "NBHELPERS_HOME": str(home)},
        cwd=own.parent.parent,
    )
    assert result.returncode == 1
    assert f"Workspace.from_config() may not find the emulated workspace: {own} is not that of" in result.stderr
    assert own.read_text() == text


@needs_sdk
def test_faults_are_those_asked_for(home: Path) -> None:
    code = "import requests; print(requests.get('https://management.azure.com/metadata/endpoints').status_code)"
    options = ["--fault", "GET .*/metadata/=403x1", "--fault", "/metadata/=0.1s"]
    result = nbhelpers(home, "emulate", *options, "--", "sh", "-c", f'python -c "{code}"; python -c "{code}"')
    assert result.stdout == "403\n200\n"


@needs_sdk
def test_it_ends_with_the_command_though_that_leaves_a_program_behind(home: Path) -> None:
    began = time.monotonic()
    leave = "import subprocess, sys; print(subprocess.Popen(['sleep', '300'], stdin=-3, stdout=-3, stderr=-3).pid)"
    result = nbhelpers(home, "emulate", "--", "python", "-c", leave)
    os.kill(int(result.stdout), signal.SIGKILL)
    assert result.returncode == 0
    assert time.monotonic() - began < 100


@needs_sdk
def test_runs_that_go_on_are_counted_at_the_end(home: Path) -> None:
    store = open_store(home)
    add_run(store, status="Running", pid=os.getpid(), heartbeat=time.time() + 3600)
    result = nbhelpers(home, "emulate", "--", "true")
    assert result.stderr.splitlines()[1:] == ["Runs that go on: 1. To see them: nbhelpers runs"]


@needs_sdk
def test_a_second_one_on_the_workspace_is_refused(home: Path) -> None:
    result = nbhelpers(home, "emulate", "--", sys.executable, "-m", "nbhelpers", "emulate", "--", "true")
    assert result.returncode == 2
    assert f"error: The workspace {home} is used by an emulator already." in result.stderr


@contextmanager
def started(home: Path) -> Iterator[subprocess.Popen[str]]:
    """An emulator, in a session of its own, with a command that waits for signals."""
    process = subprocess.Popen(
        [*COMMAND, "emulate", "--", "python", "-c", WAITING],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NBHELPERS_HOME": str(home)},
        cwd=home.parent,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@needs_sdk
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_handed_on_to_the_command(home: Path, number: int) -> None:
    with started(home) as process:
        process.send_signal(number)
        assert process.wait(90) == number


@needs_sdk
def test_ctrl_c_in_a_terminal_reaches_the_command_once(home: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home.parent)
        os.environ["NBHELPERS_HOME"] = str(home)
        os.execv(COMMAND[0], [*COMMAND, "emulate", "--", "python", "-c", WAITING])  # noqa: S606
    output = b""
    while b"there" not in output:
        output += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == signal.SIGINT


@needs_sdk
def test_before_there_is_a_command_a_signal_ends_it_and_leaves_nothing(home: Path, temporary: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "emulate", "--", "sleep", "60"],
        env={**os.environ, "NBHELPERS_HOME": str(home)},
        cwd=home.parent,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: list(temporary.iterdir()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 128 + signal.SIGTERM
