from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from nbhelpers.batch import Record, Stage, read_outputs, run_batch
from nbhelpers.batch.chain import find_notebooks, find_stage
from nbhelpers.errors import BatchError, ParameterError, StageError


def quiet(_record: Record, _stage: Stage | None) -> None:
    pass


def statuses(record: Record) -> list[str]:
    return [stage.status for stage in record.stages]


def start(notebooks: Path, output: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a batch as a process of its own."""
    command = [sys.executable, "-c", "from nbhelpers.cli import main; main()", "run"]
    command += ["--notebooks", str(notebooks), "--output", str(output), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def kernels_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children]


@pytest.fixture(scope="module")
def failed(trouble: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StageError]:
    """The folder of a batch whose second stage has raised, and its error."""
    output = tmp_path_factory.mktemp("batches") / "failed"
    with pytest.raises(StageError) as caught:
        run_batch({"how": "error", "number": 5}, output, notebooks=trouble, progress=quiet)
    return output, caught.value


class TestFinishedBatch:
    def test_record_on_disk_is_the_one_returned(self, finished: Record) -> None:
        assert Record.load(finished.folder) == finished
        assert finished.status == "finished"
        assert statuses(finished) == ["finished"] * 3
        assert finished.parameters == {"rows": 4, "title": "<3>"}
        assert all(stage.seconds > 0 for stage in finished.stages)

    def test_stages_get_what_they_declare_from_the_user_then_from_earlier_stages(self, finished: Record) -> None:
        first, second, third = finished.stages
        assert first.parameters == {"rows": 4, "title": "<3>"}
        assert second.parameters == {"rows": 4, "run_id": "run-<3>", "doubled": 8.0}
        assert third.parameters == {"run_id": "run-<3>"}
        assert second.outputs == {"seen": "run-<3>", "doubled_type": "float"}

    def test_notebooks_run_in_their_own_folder_and_this_process_stays_in_its(self, finished: Record) -> None:
        assert finished.stages[0].outputs["folder"] == "chain"
        assert Path.cwd().name != "chain"

    def test_folder_holds_executed_notebooks_record_and_report(self, finished: Record) -> None:
        found = sorted(path.name for path in finished.folder.iterdir())
        assert found == ["00_start.ipynb", "01_middle.ipynb", "05_test.ipynb", "index.html", "run.json"]

    def test_kernel_named_in_the_metadata_does_not_matter(self, finished: Record, chain: Path) -> None:
        metadata = json.loads((chain / "01_middle.ipynb").read_text())["metadata"]
        assert metadata["kernelspec"]["name"] == "no-such-kernel"
        assert finished.stages[1].status == "finished"

    def test_finished_batch_is_resumed_without_running_anything(
        self, finished: Record, chain: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(finished.folder, tmp_path / "copy")
        before = (folder / "00_start.ipynb").stat().st_mtime_ns
        assert statuses(run_batch(resume=folder, notebooks=chain, progress=quiet)) == ["finished"] * 3
        assert (folder / "00_start.ipynb").stat().st_mtime_ns == before

    def test_parameter_of_a_finished_stage_cannot_be_changed_by_resuming(self, finished: Record, chain: Path) -> None:
        with pytest.raises(BatchError, match="00_start has finished with rows = 4, not 5") as caught:
            run_batch({"rows": 5}, resume=finished.folder, notebooks=chain, progress=quiet)
        assert "--from 00_start" in caught.value.remedy
        assert Record.load(finished.folder) == finished

    def test_one_stage_of_a_finished_batch_is_run_again_on_what_was_handed_over(
        self, finished: Record, chain: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(finished.folder, tmp_path / "copy")
        record = run_batch(resume=folder, only="test", notebooks=chain, progress=quiet)
        assert record.stages[2].parameters == {"run_id": "run-<3>"}
        assert record.stages[:2] == finished.stages[:2]


class TestFailedBatch:
    def test_error_quotes_stage_cell_source_message_notebook_and_command(
        self, failed: tuple[Path, StageError], trouble: Path
    ) -> None:
        folder, error = failed
        assert "Stage 01_trouble failed in cell 4: ValueError: no such thing\nsecond line" in error.problem
        quoted = [line[6:] for line in error.problem.splitlines() if line.startswith("    | ")]
        assert quoted[:2] == ["# first line", "step_1 = 1"]
        assert quoted[5] == "..."
        assert quoted[-1] == "# last line"
        assert len(quoted) == 11
        assert str(folder / "01_trouble.ipynb") in error.problem
        assert f"nbhelpers run --resume {folder} --notebooks {trouble}" in error.remedy

    def test_record_tells_the_same_and_later_stages_wait(self, failed: tuple[Path, StageError]) -> None:
        record = Record.load(failed[0])
        assert record.status == "failed"
        assert statuses(record) == ["finished", "failed", "waiting"]
        error = record.stages[1].error
        assert error is not None
        assert (error["kind"], error["cell"]) == ("error", 4)
        assert error["message"].startswith("ValueError: no such thing")
        assert record.ended is not None

    def test_report_is_written_and_names_the_failure(self, failed: tuple[Path, StageError]) -> None:
        page = (failed[0] / "index.html").read_text()
        assert "01_trouble failed in cell 4" in page
        assert "ValueError: no such thing" in page

    def test_source_notebooks_are_not_touched(self, trouble: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(trouble, tmp_path / "notebooks")
        before = {path.name: sha256(path.read_bytes()).hexdigest() for path in copy.iterdir()}
        with pytest.raises(StageError):
            run_batch({"how": "error"}, tmp_path / "out", notebooks=copy, only="trouble", progress=quiet)
        assert {path.name: sha256(path.read_bytes()).hexdigest() for path in copy.iterdir()} == before

    def test_resuming_goes_on_at_the_failed_stage(
        self, failed: tuple[Path, StageError], trouble: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(failed[0], tmp_path / "copy")
        kept = (folder / "00_fine.ipynb").stat().st_mtime_ns
        changes: list[tuple[str, str]] = []

        def note(_record: Record, stage: Stage | None) -> None:
            changes.extend([(stage.name, stage.status)] if stage else [])

        record = run_batch({"how": "none"}, resume=folder, notebooks=trouble, progress=note)
        assert changes == [
            ("01_trouble", "running"),
            ("01_trouble", "finished"),
            ("02_after", "running"),
            ("02_after", "finished"),
        ]
        assert record.stages[1].parameters == {"how": "none", "number": 5}
        assert record.stages[2].parameters == {"done": True, "wrong": "text"}
        assert record.stages[1].error is None
        assert (folder / "00_fine.ipynb").stat().st_mtime_ns == kept

    def test_stages_before_the_one_asked_for_are_kept_or_skipped(
        self, failed: tuple[Path, StageError], trouble: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(failed[0], tmp_path / "copy")
        record = run_batch(resume=folder, first="after", notebooks=trouble, progress=quiet)
        assert statuses(record) == ["finished", "skipped", "finished"]
        assert record.stages[2].parameters == {"wrong": "text"}

    def test_missing_notebook_of_a_finished_stage_makes_the_batch_go_on_there(
        self, failed: tuple[Path, StageError], trouble: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(failed[0], tmp_path / "copy")
        (folder / "00_fine.ipynb").unlink()
        record = run_batch({"number": 6, "how": "none"}, resume=folder, notebooks=trouble, progress=quiet)
        assert record.stages[0].outputs["number"] == 6
        assert statuses(record) == ["finished"] * 3


class TestChangedNotebooks:
    """A batch is resumed with other notebooks than it began with."""

    def test_finished_stage_whose_code_has_changed_is_kept_and_named(
        self, finished: Record, chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, notebooks = tmp_path / "copy", tmp_path / "notebooks"
        shutil.copytree(finished.folder, folder)
        shutil.copytree(chain, notebooks)
        run_batch(resume=folder, notebooks=notebooks, progress=quiet)
        assert capsys.readouterr().out == ""
        content = json.loads((notebooks / "01_middle.ipynb").read_text())
        content["cells"][-1]["source"] += "\n# changed"
        (notebooks / "01_middle.ipynb").write_text(json.dumps(content))
        run_batch(resume=folder, notebooks=notebooks, progress=quiet)
        assert capsys.readouterr().out == (
            "01_middle has changed since it ran, and is kept. To run it again, add --from 01_middle.\n"
        )

    def test_notebooks_without_those_of_the_batch_are_refused(
        self, finished: Record, trouble: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(finished.folder, tmp_path / "copy")
        record = Record.load(folder)
        record.parameters = {}  # those of the batch would be refused already
        record.save()
        with pytest.raises(BatchError, match="ran other notebooks, too: 00_start, 01_middle, 05_test"):
            run_batch(resume=folder, notebooks=trouble, progress=quiet)
        assert Record.load(folder) == record


class TestOtherEnds:
    """What papermill takes for success, or tells in other ways than by its own exception."""

    @pytest.mark.parametrize(
        ("how", "kind", "message"),
        [("crash", "dead kernel", "the kernel died"), ("exit", "early exit", "left the notebook with sys.exit")],
    )
    def test_stage_that_does_not_reach_its_end_has_failed(
        self, trouble: Path, tmp_path: Path, how: str, kind: str, message: str
    ) -> None:
        with pytest.raises(StageError, match=f"01_trouble failed in cell 4: .*{message}"):
            run_batch({"how": how}, tmp_path / "out", notebooks=trouble, only="01", progress=quiet)
        record = Record.load(tmp_path / "out")
        assert record.stages[1].error is not None
        assert record.stages[1].error["kind"] == kind
        assert record.stages[1].error["source"].startswith("# first line")
        assert record.stages[1].error["log"] == ""
        assert not (tmp_path / "out" / "01_trouble.log").exists()
        assert record.stages[1].outputs == {}
        assert statuses(record) == ["skipped", "failed", "skipped"]

    def test_cell_that_takes_too_long_has_failed(self, trouble: Path, tmp_path: Path) -> None:
        with pytest.raises(StageError, match="01_trouble failed in cell 4: the cell ran longer than 3 s"):
            run_batch(
                {"how": "slow", "marker": str(tmp_path / "begun")},
                tmp_path / "out",
                notebooks=trouble,
                only="01",
                execution_timeout=3,
                progress=quiet,
            )

    def test_output_of_another_type_than_the_next_stage_declares_fails_that_stage(
        self, trouble: Path, notebook: Callable[..., Path], tmp_path: Path
    ) -> None:
        folder = notebook("wrong: int = 0").parent
        shutil.copy(trouble / "00_fine.ipynb", folder)
        with pytest.raises(StageError, match=r"01_some failed: the output wrong = 'text' of 00_fine does not fit"):
            run_batch(None, tmp_path / "out", notebooks=folder, progress=quiet)
        assert statuses(Record.load(tmp_path / "out")) == ["finished", "failed"]


class TestKernelStart:
    """The kernel named python3 is replaced by one that does not start, or only the second time."""

    @pytest.fixture
    def kernel(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def install(script: str, variable: str = "JUPYTER_PATH") -> None:
            folder = tmp_path / "jupyter" / "kernels" / "python3"
            folder.mkdir(parents=True)
            spec = {"argv": ["sh", "-c", script], "display_name": "x", "language": "python"}
            (folder / "kernel.json").write_text(json.dumps(spec))
            monkeypatch.setenv(variable, str(tmp_path / "jupyter"))

        return install

    def test_kernel_that_does_not_start_fails_the_stage(
        self, kernel: Callable[..., None], trouble: Path, tmp_path: Path
    ) -> None:
        kernel("echo out of order >&2; exit 1")
        with pytest.raises(StageError, match="00_fine failed: the kernel could not be started") as caught:
            run_batch(None, tmp_path / "out", notebooks=trouble, only="00", progress=quiet)
        assert Record.load(tmp_path / "out").status == "failed"
        log = tmp_path / "out" / "00_fine.log"
        assert f"The kernel's log: {log}\n" in caught.value.problem + "\n"
        assert set(log.read_text().splitlines()) == {"out of order"}  # of both attempts

    def test_kernel_of_the_same_name_that_the_user_has_installed_is_not_taken(
        self, kernel: Callable[..., None], trouble: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("JUPYTER_PREFER_ENV_PATH", raising=False)
        monkeypatch.setattr(sys, "base_prefix", sys.prefix)  # in a virtual environment Jupyter itself sees to it
        kernel("exit 1", "JUPYTER_DATA_DIR")
        record = run_batch(None, tmp_path / "out", notebooks=trouble, only="00", progress=quiet)
        assert record.stages[0].status == "finished"

    def test_start_that_fails_once_is_repeated(
        self, kernel: Callable[..., None], trouble: Path, tmp_path: Path
    ) -> None:
        marker = tmp_path / "tried"
        kernel(
            f"test -e '{marker}' || {{ touch '{marker}'; exit 1; }}; "
            f"exec '{sys.executable}' -m ipykernel_launcher -f {{connection_file}}"
        )
        record = run_batch(None, tmp_path / "out", notebooks=trouble, only="00", progress=quiet)
        assert marker.exists()
        assert record.stages[0].outputs == {"number": 7, "wrong": "text"}


def test_a_relative_workspace_folder_is_the_same_in_notebook_and_batch(
    notebook: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os\nfrom nbhelpers import record_outputs\nrecord_outputs(home=os.environ['NBHELPERS_HOME'])"
    (tmp_path / "notebooks").mkdir()
    notebook("rows: int = 1", code=code).rename(tmp_path / "notebooks" / "00_home.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBHELPERS_HOME", "mine")
    record = run_batch(None, "out", notebooks="notebooks", progress=quiet)
    assert record.stages[0].outputs == {"home": str(tmp_path / "mine")}


class TestRefusals:
    @pytest.mark.parametrize("values", [{"rows": "many"}, {"row": 1}, {"api_key": "x"}])
    def test_wrong_parameters_leave_no_folder(self, chain: Path, tmp_path: Path, values: dict[str, object]) -> None:
        with pytest.raises(ParameterError):
            run_batch(values, tmp_path / "out", notebooks=chain, progress=quiet)
        assert not (tmp_path / "out").exists()

    def test_folder_that_is_not_empty_is_refused_and_left_as_it_is(self, chain: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("x")
        with pytest.raises(BatchError, match="is not empty"):
            run_batch(None, tmp_path, notebooks=chain, progress=quiet)
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_folder_whose_name_is_no_utf8_is_refused(self, chain: Path, tmp_path: Path) -> None:
        with pytest.raises(BatchError, match="has a name that is not UTF-8"):
            run_batch(None, tmp_path / "caf\udce9", notebooks=chain, progress=quiet)
        assert list(tmp_path.iterdir()) == []

    def test_output_that_is_a_file_is_refused(self, chain: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(BatchError, match="cannot be made"):
            run_batch(None, tmp_path / "file", notebooks=chain, progress=quiet)

    def test_resuming_what_is_no_batch_is_refused(self, chain: Path, tmp_path: Path) -> None:
        with pytest.raises(BatchError, match="is not the record of a batch"):
            run_batch(resume=tmp_path, notebooks=chain)
        with pytest.raises(BatchError, match="There is no batch in"):
            run_batch(resume=tmp_path / "nowhere", notebooks=chain)

    def test_contradictions_are_refused(self, chain: Path, tmp_path: Path) -> None:
        with pytest.raises(BatchError, match="run only one"):
            run_batch(first="00", only="01", notebooks=chain)
        with pytest.raises(BatchError, match="stays in its folder"):
            run_batch(output=tmp_path / "out", resume=tmp_path, notebooks=chain)

    def test_arguments_of_a_wrong_type_are_refused(self, chain: Path, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match="parameters='rows=4' is not a dictionary"):
            run_batch("rows=4", tmp_path / "out", notebooks=chain)  # type: ignore[arg-type]
        with pytest.raises(BatchError, match="execution_timeout='60' is not a number"):
            run_batch(None, tmp_path / "out", notebooks=chain, execution_timeout="60")  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()

    def test_a_folder_that_can_no_longer_be_written_ends_the_batch_with_what_goes_on(
        self, chain: Path, tmp_path: Path
    ) -> None:
        def remove(record: Record, _stage: Stage | None) -> None:
            shutil.rmtree(record.folder)

        with pytest.raises(BatchError, match=r"could not go on: .*\n.*\n    nbhelpers run --resume"):
            run_batch(None, tmp_path / "out", notebooks=chain, progress=remove)

    def test_folder_with_no_chain_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "08_score.ipynb").write_text("{}")
        with pytest.raises(BatchError, match="holds no notebooks of a chain"):
            find_notebooks(tmp_path)

    @pytest.mark.parametrize(
        ("text", "name"), [("03", "03_train"), ("train", "03_train"), ("05_test", "05_test"), ("04_e", "04_examine")]
    )
    def test_stage_is_found_by_the_beginning_of_its_name_or_number(self, text: str, name: str) -> None:
        assert find_stage(text, ["03_train", "04_examine", "05_test", "06_test_more"]) == name

    @pytest.mark.parametrize(("text", "problem"), [("te", "05_test and 06_test_more"), ("x", "no stage")])
    def test_stage_that_is_not_one_is_refused_with_the_choice(self, text: str, problem: str) -> None:
        with pytest.raises(BatchError, match=problem) as caught:
            find_stage(text, ["05_test", "06_test_more"])
        assert "05_test, 06_test_more" in caught.value.remedy


class TestProcesses:
    def test_two_batches_at_once_do_not_meet(self, chain: Path, tmp_path: Path) -> None:
        batches = [start(chain, tmp_path / name, "-p", "title", name, "--only", "start") for name in ("one", "two")]
        for name, batch in zip(("one", "two"), batches, strict=True):
            _, errors = batch.communicate(timeout=120)
            assert (batch.returncode, errors) == (0, "")
            assert Record.load(tmp_path / name).stages[0].outputs["run_id"] == f"run-{name}"

    @pytest.mark.parametrize("how", ["cleanup", "swallow"])
    def test_interrupt_lets_the_cell_clean_up_and_is_recorded(self, trouble: Path, tmp_path: Path, how: str) -> None:
        marker, output = tmp_path / "begun.marker", tmp_path / "out"
        batch = start(trouble, output, "--from", "01", "-p", "how", how, "-p", "marker", str(marker))
        wait_for(marker)
        with pytest.raises(BatchError, match="A batch is running in"):
            run_batch(resume=output, notebooks=trouble, progress=quiet)
        kernels = kernels_of(batch.pid)
        batch.send_signal(signal.SIGINT)
        printed, errors = batch.communicate(timeout=60)
        assert batch.returncode == 130
        assert "01_trouble cancelled" in printed
        assert errors == (
            f"The batch was cancelled. To go on with it:\n    nbhelpers run --resume {output} --notebooks {trouble}\n"
        )
        record = Record.load(output)
        assert (record.status, statuses(record)) == ("cancelled", ["skipped", "cancelled", "waiting"])
        assert marker.with_suffix(".cleaned").exists()
        assert read_outputs(output / "01_trouble.ipynb") == {}  # later cells did not run
        assert (output / "index.html").is_file()
        assert kernels
        assert not any(Path(f"/proc/{kernel}").exists() for kernel in kernels)

    def test_second_signal_ends_a_cell_that_does_not_stop(self, trouble: Path, tmp_path: Path) -> None:
        marker, output = tmp_path / "begun.marker", tmp_path / "out"
        batch = start(trouble, output, "--from", "01", "-p", "how", "stubborn", "-p", "marker", str(marker))
        wait_for(marker)
        batch.send_signal(signal.SIGTERM)
        wait_for(marker.with_suffix(".cleaned"))
        batch.send_signal(signal.SIGINT)
        batch.communicate(timeout=10)  # the cell would sleep for a minute
        assert batch.returncode == 130
        assert statuses(Record.load(output)) == ["skipped", "cancelled", "waiting"]

    def test_batch_that_was_killed_can_be_resumed(self, trouble: Path, tmp_path: Path) -> None:
        marker, output = tmp_path / "begun.marker", tmp_path / "out"
        batch = start(trouble, output, "-p", "how", "slow", "-p", "marker", str(marker))
        wait_for(marker)
        kernels = kernels_of(batch.pid)
        batch.kill()
        batch.communicate()
        for kernel in kernels:
            with contextlib.suppress(ProcessLookupError):
                os.kill(kernel, signal.SIGKILL)
        assert statuses(Record.load(output)) == ["finished", "running", "waiting"]
        record = run_batch({"how": "none"}, resume=output, notebooks=trouble, progress=quiet)
        assert statuses(record) == ["finished"] * 3
