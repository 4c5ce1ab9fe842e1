"""What kernels write past their notebooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbhelpers.batch import Record, Stage, run_batch
from nbhelpers.batch.stage import Interruption, execute
from nbhelpers.errors import StageError

RAW_OUTPUT = "import os\nos.write(1, b'from 1, ')\nos.write(2, b'from 2')\n"


def quiet(_record: Record, _stage: Stage | None) -> None:
    pass


def test_raw_output_does_not_reach_the_terminal_and_leaves_no_log_of_a_good_stage(
    notebook: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "executed.ipynb"
    with Interruption() as interruption:
        assert execute(notebook(code=RAW_OUTPUT), target, {}, interruption=interruption) is None
    assert capfd.readouterr() == ("", "")
    assert not target.with_suffix(".log").exists()


def test_raw_output_of_a_failed_stage_is_kept_and_named(notebook: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "executed.ipynb"
    (tmp_path / "executed.log").write_text("of an earlier attempt")
    with Interruption() as interruption:
        failure = execute(notebook(code=RAW_OUTPUT + "1 / 0"), target, {}, interruption=interruption)
    assert failure is not None
    assert failure.log == "executed.log"
    assert f"The kernel's log: {tmp_path / 'executed.log'}" in failure.as_error("some", target, "resume").problem
    assert (tmp_path / "executed.log").read_text() == "from 1, from 2"


def test_log_of_a_cancelled_stage_is_not_kept(notebook: Callable[..., Path], tmp_path: Path) -> None:
    code = RAW_OUTPUT + "import signal\nos.kill(os.getppid(), signal.SIGINT)\nimport time\ntime.sleep(60)"
    target = tmp_path / "executed.ipynb"
    with Interruption() as interruption:
        failure = execute(notebook(code=code), target, {}, interruption=interruption)
    assert failure is not None
    assert failure.message == "KeyboardInterrupt"
    assert not target.with_suffix(".log").exists()


def test_crash_is_named_with_its_stack_in_the_log_until_the_stage_has_been_run_again(
    notebook: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # under pytest ipykernel leaves file descriptor 2 alone
    code = "import ctypes\ndef culprit():\n    ctypes.string_at(0)\nif crash:\n    culprit()"
    folder = notebook("crash: bool = True", code=code).parent
    output = tmp_path / "with {braces} and 'quotes'"
    with pytest.raises(StageError) as caught:
        run_batch(None, output, notebooks=folder, progress=quiet)
    log = output / "01_some.log"
    assert caught.value.problem.startswith("Stage 01_some failed in cell 2: the kernel died: Segmentation fault\n")
    assert caught.value.problem.endswith(f"\nThe kernel's log: {log}")
    assert "line 3 in culprit\n" in log.read_text()
    assert capfd.readouterr() == ("", "")
    error = Record.load(output).stages[0].error
    assert error is not None
    assert error["log"] == "01_some.log"

    record = run_batch({"crash": False}, resume=output, notebooks=folder, progress=quiet)
    assert (record.status, record.stages[0].error) == ("finished", None)
    assert not log.exists()
