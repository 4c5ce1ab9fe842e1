from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from jupyter_client.manager import start_new_kernel

from nbhelpers import results
from nbhelpers.batch import Record, Stage
from nbhelpers.batch.report import write_report
from nbhelpers.errors import ExperimentExecutionException, UserErrorException
from nbhelpers.results import live, live_chart
from nbhelpers.results.live_frame import as_html, as_text, verdict
from nbhelpers.results.live_state import ATTEMPTS, Reader, State

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


class Child:
    def __init__(self, number: int, score: float | str = "", status: str = "Completed", **facts: str) -> None:
        self.id, self.status, self.asked = f"step_{number}", status, 0
        self.properties = {
            "iteration": str(number),
            "run_algorithm": "LightGBM",
            "run_preprocessor": "MaxAbsScaler",
            "score": str(score),
        } | facts

    def get_details(self) -> dict[str, Any]:
        self.asked += 1
        ended = self.status != "Running"
        times = {"startTimeUtc": "2026-01-01T12:00:30Z", "endTimeUtc": "2026-01-01T12:00:32.4Z" if ended else None}
        return {"status": self.status, "properties": self.properties} | times


class Step:
    name = "automl_module"

    def __init__(self, *children: Child, status: str = "Running", planned: int = 22, **facts: str) -> None:
        self.id, self.children, self.status, self.tags = "step", list(children), status, {"of": "a test"}
        self.properties = {"primary_metric": "AUC_weighted", "num_iterations": str(planned)} | facts

    def get_status(self) -> str:
        return self.status

    def get_children(self) -> Iterator[Any]:
        setup = Child(0)
        setup.id, setup.properties = "step_setup", {}
        yield from [*reversed(self.children), setup]


class PipelineRun:
    """A run with one step; each of its `answers` is what `get_status` gives or raises, the last one for good."""

    id = "pipeline"

    def __init__(self, step: Step, *answers: str | BaseException, details: dict[str, Any] | None = None) -> None:
        self.step, self.answers, self.cancelled = step, list(answers or ("Running",)), False
        self.details = {"properties": {}, "startTimeUtc": START.isoformat()} | (details or {})
        self.get_children = self.get_steps

    def get_status(self) -> str:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def get_steps(self) -> Iterator[Step]:
        yield self.step

    def get_details(self) -> dict[str, Any]:
        return self.details

    def cancel(self) -> None:
        self.cancelled = True


def at(seconds: float) -> Callable[[], datetime]:
    return lambda: START + timedelta(seconds=seconds)


def read(run: Any, seconds: float = 34) -> State:
    return Reader(run, at(seconds)).read()


def ended(step: Step, status: str = "Finished", **details: Any) -> PipelineRun:
    step.status = status
    return PipelineRun(step, status, details={"endTimeUtc": "2026-01-01T13:01:02Z"} | details)


def svg(html: str) -> str:
    """The chart in a frame."""
    (source,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    return base64.b64decode(source).decode()


def markers(html: str) -> dict[str, int]:
    """The number of markers of each kind in the chart, without those of the legend."""
    counts = {kind: svg(html).count(marker) - 1 for kind, marker in live_chart.MARKERS.items()}
    return {kind: count for kind, count in counts.items() if count > 0}


def search() -> Step:
    """A search at work, with one child of each kind."""
    return Step(
        Child(0, 0.93, **{"nbhelpers.taken_over_from": "old_0"}),
        Child(1, 0.9512),
        Child(2, status="Failed"),
        Child(3, 0.94),
        Child(4, status="Canceled"),
        Child(5, status="Running"),
    )


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (PipelineRun(Step(), "NotStarted", details={"startTimeUtc": None}), "Waiting to start · 0 of 22 child runs"),
        (PipelineRun(Step(Child(0, "nan"))), "Running for 0:34 · 1 of 22 child runs"),
        (
            PipelineRun(search()),
            "Running for 0:34 · 5 of 22 child runs, 1 failed · best AUC_weighted 0.9512 (child 1, LightGBM)",
        ),
        (PipelineRun(Step(status="Queued")), "Running for 0:34, waiting for a slot · 0 of 22 child runs"),
        (
            PipelineRun(Step(status="Queued"), details={"properties": {"nbhelpers.waits_for": "other"}}),
            "Running for 0:34, waiting for run other · 0 of 22 child runs",
        ),
        (
            ended(Step(Child(0, 0.9), Child(1, 0.9))),
            "Finished after 1:01:02 · 2 child runs · best AUC_weighted 0.9000 (child 0, LightGBM)",
        ),
        (
            ended(Step(Child(0, 0.3), Child(1, 0.2), primary_metric="normalized_mean_absolute_error")),
            "Finished after 1:01:02 · 2 child runs · best normalized_mean_absolute_error 0.2000 (child 1, LightGBM)",
        ),
        (
            ended(Step(Child(0, 0.9), **{"azureml.reusedpipeline": "first", "azureml.reusedrunid": "first_step"})),
            "Finished, taken over from run first · 1 child run · best AUC_weighted 0.9000 (child 0, LightGBM)",
        ),
        (ended(Step(), "Canceled"), "Canceled after 1:01:02 · 0 child runs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_verdict_says_how_far_the_run_is(run: PipelineRun, said: str) -> None:
    assert verdict(read(run)) == said


def test_a_frame_shows_steps_and_the_last_children() -> None:
    assert as_text(
        read(PipelineRun(search(), details={"properties": {"nbhelpers.continues": "old"}}))
    ).splitlines() == [
        "Running for 0:34 · 5 of 22 child runs, 1 failed · best AUC_weighted 0.9512 (child 1, LightGBM)",
        "PipelineRun pipeline, which continues run old",
        "Step automl_module: Running, 5 of 22 child runs",
        "Child run 1: MaxAbsScaler, LightGBM, 0.9512, Completed, 2.4 s",
        "Child run 2: MaxAbsScaler, LightGBM, Failed, 2.4 s",
        "Child run 3: MaxAbsScaler, LightGBM, 0.9400, Completed, 2.4 s",
        "Child run 4: MaxAbsScaler, LightGBM, Canceled, 2.4 s",
        "Child run 5: MaxAbsScaler, LightGBM, Running, 4.0 s",
    ]


def test_a_child_that_was_taken_over_is_marked_and_has_no_duration() -> None:
    step = Step(Child(0, 0.93, **{"nbhelpers.taken_over_from": "old_0"}))
    assert as_text(read(PipelineRun(step))).endswith("0.9300, Completed, taken over")


def test_a_failed_run_says_why() -> None:
    error = {"error": {"error": {"code": "WorkerLost", "message": "The worker process died."}}}
    assert "pipeline: The worker process died." in as_text(read(ended(Step(), "Failed", **error)))


def test_a_step_run_is_shown_as_a_pipeline_run_is() -> None:
    step = search()
    step.get_details = lambda: {"properties": step.properties, "startTimeUtc": START.isoformat()}  # type: ignore[attr-defined]
    assert verdict(read(step)) == verdict(read(PipelineRun(step)))


def test_what_has_no_children_is_refused() -> None:
    with pytest.raises(UserErrorException, match="A Child has no children to watch"):
        results.watch(Child(0))


def test_the_chart_marks_each_kind_of_child_and_says_so_in_words() -> None:
    html = as_html(read(PipelineRun(search())))
    assert markers(html) == {"score": 2, "taken over": 1, "best": 1, "running": 1, "failed": 1, "without a score": 1}
    assert (
        'alt="Chart of AUC_weighted by iteration (higher is better). Child runs: 3 with a score, 1 running, 1 failed, '
        '1 without a score; the best is 0.9512 of child 1, MaxAbsScaler, LightGBM."'
    ) in html


def test_the_best_child_of_a_run_that_has_ended_is_the_one_it_has_chosen() -> None:
    step = Step(Child(0, 0.9), Child(1, 0.89))
    step.tags["automl_best_child_run_id"] = "step_1"
    assert verdict(read(ended(step))).endswith("best AUC_weighted 0.8900 (child 1, LightGBM)")


@pytest.mark.parametrize(("metric", "worse"), [("AUC_weighted", 0.1), ("normalized_root_mean_squared_error", 0.9)])
def test_the_line_of_the_best_so_far_never_gets_worse(metric: str, worse: float) -> None:
    step = Step(Child(0, 0.5), Child(1, worse), Child(2, 1 - worse), Child(3, worse), primary_metric=metric)
    (line,) = re.findall('<path d="(M[^"]*V[^"]*)"', svg(as_html(read(PipelineRun(step)))))
    start, *heights = (float(height) for height in re.findall(r"(?:^M\S+ |V)([\d.]+)", line))
    turned = 1 if metric == "AUC_weighted" else -1  # down on the screen is up in pixels
    assert [turned * (start - height) for height in heights[:2]] == [0, 0]
    assert turned * (start - heights[2]) > 0
    assert heights[3] == heights[2]


@pytest.mark.parametrize("scores", [[], [1.0], [0.5, 0.5], [1e-7, 3e8], ["nan"], [-2.0, 0.1]])
def test_any_scores_can_be_drawn(scores: list[float | str]) -> None:
    step = Step(*(Child(number, score) for number, score in enumerate(scores)), primary_metric="r2_score")
    root = ElementTree.fromstring(svg(as_html(read(PipelineRun(step)))))  # noqa: S314 - our own
    places = [re.findall(r"-?[\d.]+", place) for group in root.iter() if (place := group.get("transform"))]
    assert all(0 < float(x) < live_chart.WIDTH and 0 < float(y) < live_chart.HEIGHT for x, y in places)


def test_a_frame_keeps_its_height_and_its_axis_while_children_come() -> None:
    few, many = (as_html(read(PipelineRun(Step(*map(Child, range(n)))))) for n in (1, 20))
    assert few.count("<tr>") == many.count("<tr>")
    assert few.count("<br>") == many.count("<br>")
    axes = [re.findall(r'y="218" text-anchor="middle">(\d+)<', svg(frame)) for frame in (few, many)]
    assert axes == [["0", "5", "10", "15", "20"]] * 2


def test_a_frame_is_escaped_and_loads_nothing() -> None:
    step = Step(Child(0, 0.9, run_preprocessor="<script>alert(1)</script>", run_algorithm='"><img src="http://x"'))
    html = as_html(read(ended(step)))
    assert set(re.findall(r"<(\w+)", html)) == {
        "div",
        "p",
        "b",
        "br",
        "img",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert html.count("<img") == 1
    assert set(re.findall(r"[\w:]*://[^ \"]*", svg(html))) == {"http://www.w3.org/2000/svg"}


def test_a_frame_survives_in_the_report_of_a_batch(tmp_path: Path) -> None:
    html = as_html(read(ended(search())))
    output = {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}
    cell = {"cell_type": "code", "metadata": {"tags": ["report"]}, "source": "results.watch(run)", "outputs": [output]}
    (tmp_path / "03.ipynb").write_text(json.dumps({"cells": [cell]}))
    page = write_report(Record(tmp_path, "finished", stages=[Stage("03", "finished", notebook="03.ipynb")])).read_text()
    assert svg(page) == svg(html)
    assert "best AUC_weighted 0.9512 (child 1, LightGBM)" in page
    assert "<td" in page


def test_what_has_ended_is_not_asked_again() -> None:
    step = Step(Child(0, 0.9), Child(1, status="Running"))
    reader = Reader(PipelineRun(step))
    for _ in range(3):
        reader.read()
    assert [child.asked for child in step.children] == [1, 3]
    step.children[1].status = step.status = "Canceled"
    reader.read()
    reader.read()
    assert [child.asked for child in step.children] == [1, 4]


def test_trouble_is_shown_beside_what_was_known_and_goes_away() -> None:
    trouble = OSError("database is locked\nand more")
    reader = Reader(PipelineRun(search(), "Running", trouble, "Running"), at(34))
    known = reader.read()
    state = reader.read()
    assert verdict(state) == verdict(known)
    assert "pipeline: The run could not be read: database is locked; trying again." in as_text(state)
    assert as_text(reader.read()) == as_text(known)


def test_a_run_that_cannot_be_read_for_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "REFRESH", 0)
    with pytest.raises(ExperimentExecutionException, match=f"After {ATTEMPTS} attempts: .*: gone; gave up"):
        results.watch(PipelineRun(Step(), RuntimeError("gone")))
    assert capsys.readouterr().out.startswith("Reading the run\nPipelineRun pipeline: ")


def test_there_is_a_pause_after_every_frame_but_the_last() -> None:
    done: list[str] = []
    reader = Reader(PipelineRun(search(), "NotStarted", "Running", "Finished"))
    state = live.follow(reader.read, lambda state: done.append(state.status), lambda: done.append("pause"))
    assert done == ["NotStarted", "pause", "Running", "pause", "Finished"]
    assert state is reader.state
    assert live.REFRESH >= 1


def test_ctrl_c_says_that_the_run_goes_on_and_how_to_end_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NBHELPERS_CANCEL_ON_INTERRUPT", raising=False)
    monkeypatch.setattr(live, "REFRESH", 0)
    run = PipelineRun(search(), "Running", KeyboardInterrupt())
    with pytest.raises(ExperimentExecutionException, match=r"the run itself goes on(.|\n)*run\.cancel\(\)"):
        results.watch(run)
    assert not run.cancelled
    printed = capsys.readouterr().out
    assert printed.startswith("Running for ")
    assert "Watching was interrupted; the run goes on, and run.cancel() ends it." in printed


def test_ctrl_c_cancels_the_run_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBHELPERS_CANCEL_ON_INTERRUPT", "1")
    run = PipelineRun(search(), KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        results.watch(run)
    assert run.cancelled


def test_a_log_gets_the_last_state_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(live, "REFRESH", 0)
    run = ended(Step(Child(0, 0.9)), "Canceled")
    run.answers = ["Running", "Running", "Canceled"]
    assert results.watch(run) == "Canceled"
    assert capsys.readouterr() == (as_text(read(run)) + "\n", "")


def test_a_terminal_gets_a_progress_bar_and_then_the_last_state() -> None:
    program = (
        "from tests.results.test_live import *\n"
        "live.REFRESH = 0\n"
        "run = ended(Step(Child(0, 0.9), planned=4))\n"
        "run.answers = ['Running', 'Finished']\n"
        "results.watch(run)"
    )
    ours, terminal = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    subprocess.run([sys.executable, "-c", program], stdout=terminal, cwd=ROOT, env=environment, check=True)
    os.close(terminal)
    printed = os.read(ours, 65536).decode()
    os.close(ours)
    bar, verdicts = (
        re.search("━━━━━", printed),
        list(re.finditer("Finished after 1:01:02 · 1 child run · best", printed)),
    )
    assert bar
    assert "Running for 1:01:02 · 1 of 4 child runs" in printed
    assert bar.start() < verdicts[-1].start()
    assert printed.endswith("Child run 0: MaxAbsScaler, LightGBM, 0.9000, Completed, 2.4 s\r\n")


def test_a_view_that_is_left_alone_ends_quietly_with_the_kernel(tmp_path: Path) -> None:
    quiet = ["--log-level=CRITICAL"]  # else a kernel warns of plain TCP
    with (tmp_path / "log").open("w+") as log:
        manager, client = start_new_kernel(cwd=str(ROOT), stdout=log, stderr=log, extra_arguments=quiet)
        try:
            shown: list[str] = []
            reply = client.execute_interactive(
                "from tests.results.test_live import *; live.show(PipelineRun(search()))",
                timeout=60,
                output_hook=lambda message: shown.append(message["msg_type"]),
            )
            assert reply["content"]["status"] == "ok"
            assert "display_data" in shown
            while client.get_iopub_msg(timeout=60)["msg_type"] != "update_display_data":
                pass  # the thread is at work
            process = manager.provisioner.process
            manager.shutdown_wait_time = 60  # seconds until it is ended by force, which a busy machine may take
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
        assert process.returncode == 0
        log.seek(0)
        assert log.read() == ""


@pytest.mark.parametrize(("seconds", "pause"), [(0.01, 1), (2, 8), (60, 15)])
def test_a_service_that_answers_slowly_is_asked_less_often(seconds, pause):
    assert live._pause(SimpleNamespace(seconds=seconds)) == pause
