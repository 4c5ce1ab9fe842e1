"""The real notebooks, run as a batch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

from nbhelpers import connect
from nbhelpers.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS

STAGES = ["00_workspace", "01_compute", "02_data", "03_train", "04_examine", "05_test", "06_publish", "07_consume"]


def start(home: Path, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nbhelpers", "run", *arguments],
        env={**os.environ, "NBHELPERS_HOME": str(home)},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def nbhelpers_run(home: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    process = start(home, *arguments, cwd=cwd)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def read(output: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    record = json.loads((output / "run.json").read_text())
    return record, {stage["name"]: stage["outputs"] for stage in record["stages"]}


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


def test_default_chain_runs_on_the_bundled_data_and_leaves_a_report(tmp_path: Path) -> None:
    done = nbhelpers_run(tmp_path / "home", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    record, outputs = read(tmp_path / "out")
    assert record["status"] == "finished"
    assert [(stage["name"], stage["status"]) for stage in record["stages"]] == [(name, "finished") for name in STAGES]
    assert outputs["03_train"].keys() >= {"run_id", "iterations", "best_child", "best_score", "ended_by"}
    assert outputs["03_train"]["ended_by"] == "iterations"  # no limit of time bound, so the result is the machine's own
    assert outputs["03_train"]["best_score"] == pytest.approx(0.951, abs=0.01)
    metrics = outputs["05_test"]["metrics"]
    assert set(metrics) == set(CLASSIFICATION_METRICS)
    assert metrics["AUC_weighted"] == pytest.approx(0.951, abs=0.01)
    assert metrics["accuracy"] == pytest.approx(0.92, abs=0.02)
    assert outputs["07_consume"]["rest_status"] == "Finished"
    assert outputs["07_consume"]["rest_reuse"].endswith(f"are those of run {outputs['03_train']['run_id']}")
    left = [path for path in Path("/proc").glob("[0-9]*/environ") if str(tmp_path).encode() in read_bytes(path)]
    assert left == []  # neither the service nor a kernel
    assert (tmp_path / "out" / "index.html").stat().st_size > 10_000
    assert f"Best model: {outputs['04_examine']['best_algorithm']}" in done.stdout
    assert "AUC_weighted" in done.stdout
    assert "index.html" in done.stdout


def test_chain_on_the_original_survey_reaches_lightgbm_on_held_out_rows(tmp_path: Path) -> None:
    path = os.environ.get("BANK_MARKETING_CSV")
    if not path:
        pytest.skip("BANK_MARKETING_CSV does not name the file of the original survey")
    done = nbhelpers_run(tmp_path / "home", "-p", "data", path, "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    _, outputs = read(tmp_path / "out")
    assert outputs["02_data"]["dataset_name"] == "bankmarketing_train:1"
    assert outputs["05_test"]["test_rows"] == 6590
    # LightGBM with default settings has 0.9494 on these rows: benchmarks/README.md
    assert outputs["05_test"]["metrics"]["AUC_weighted"] >= 0.951


def test_chain_takes_a_users_files_relative_to_the_current_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=400), "colour": rng.choice(["red", "blue", "green"], 400)})
    frame["sold"] = np.where(frame["size"] + (frame["colour"] == "red") + rng.normal(size=400) > 0.5, "oui", "non")
    frame[:300].to_csv(tmp_path / "prix été.csv", sep=";", decimal=",", index=False)
    frame[300:].to_parquet(tmp_path / "test.parquet")
    done = nbhelpers_run(
        tmp_path / "home",
        *("-p", "data", "prix été.csv", "-p", "test_data", "test.parquet", "-p", "label", "sold"),
        *("-p", "iterations", "4", "--output", "out"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    _, outputs = read(tmp_path / "out")
    assert outputs["05_test"]["test_rows"] == 100
    assert outputs["05_test"]["metrics"]["AUC_weighted"] > 0.6
    assert outputs["03_train"]["iterations"] == 4


def test_chain_runs_regression_by_itself(tmp_path: Path) -> None:
    load_diabetes(as_frame=True).frame.to_csv(tmp_path / "diabetes.csv", index=False)
    done = nbhelpers_run(
        tmp_path / "home",
        *("-p", "data", str(tmp_path / "diabetes.csv"), "-p", "label", "target", "-p", "iterations", "4"),
        *("--output", str(tmp_path / "out")),
    )
    assert done.returncode == 0, done.stderr
    _, outputs = read(tmp_path / "out")
    assert outputs["02_data"]["task"] == "regression"
    assert set(outputs["05_test"]["metrics"]) == set(REGRESSION_METRICS)
    assert outputs["05_test"]["metrics"]["r2_score"] > 0.25


def test_ctrl_c_cancels_the_run_and_the_batch_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_diabetes(as_frame=True).frame.to_csv(tmp_path / "diabetes.csv", index=False)
    values = ("-p", "data", str(tmp_path / "diabetes.csv"), "-p", "label", "target", "-p", "iterations", "1000")
    process = start(tmp_path / "home", *values, "--output", str(tmp_path / "out"))
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))
    ml = connect("local")

    def training_runs() -> list[Any]:
        return list(ml.Experiment(ml.Workspace.from_config(), "automl-bank").get_runs())

    deadline = time.monotonic() + 120
    while not (training_runs() and list(next(training_runs()[0].get_steps()).get_children())):  # so 03 is waiting
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in stderr
    record, _ = read(tmp_path / "out")
    assert record["status"] == "cancelled"
    statuses = {stage["name"]: stage["status"] for stage in record["stages"]}
    assert (statuses["02_data"], statuses["03_train"], statuses["04_examine"]) == ("finished", "cancelled", "waiting")
    assert [run.wait_for_completion(False, raise_on_error=False) for run in training_runs()] == ["Canceled"]

    done = nbhelpers_run(tmp_path / "home", "--resume", str(tmp_path / "out"), "-p", "iterations", "3")
    assert done.returncode == 0, done.stderr
    record, outputs = read(tmp_path / "out")
    assert record["status"] == "finished"
    assert outputs["03_train"]["iterations"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "data", "nowhere.csv"], ["nowhere.csv", "does not exist"]),
        (["-p", "label", "yy"], ["'yy'", "'y'", "02_data"]),
        (["-p", "experiment_name", "no name"], ["no name", "00_workspace"]),
        (["-p", "iterations", "many"], ["many", "iterations", "int"]),
        (["-p", "iteration", "5"], ["'iteration'", "'iterations'"]),
        (["-p", "primary_metric", "AUC", "-p", "iterations", "3"], ["'AUC'", "AUC_weighted"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0] == "-p" else "",
)
def test_mistake_is_answered_with_value_reason_and_remedy(
    tmp_path: Path, arguments: list[str], said: list[str]
) -> None:
    done = nbhelpers_run(tmp_path / "home", *arguments, "--output", str(tmp_path / "out"))
    assert done.returncode in (1, 2)
    assert all(part in done.stderr for part in said), done.stderr
