"""The notebooks 00 to 07 with the real SDK under the emulator: the same results as on the local backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nbhelpers.bundled import bundled_data

pytest.importorskip("azureml.core", reason="needs the azure environment: make install-azure")

#: The emulator puts its config.json here, where the notebooks find it.
ROOT = Path(__file__).parents[2]
STAGES = ["00_workspace", "01_compute", "02_data", "03_train", "04_examine", "05_test", "06_publish", "07_consume"]
#: Writes down what the best model of the chain's run says of the rows of a file, and the metrics of its folds.
PREDICT = """
import json
import sys
import pandas as pd
import nbhelpers
from nbhelpers import results
backend, experiment_name, rows, predictions, metrics = sys.argv[1:]
ml = nbhelpers.connect(backend)
run = results.find_run(ml, ml.Experiment(ml.Workspace.from_config(), experiment_name))
results.predict(run, pd.read_csv(rows)).to_csv(predictions, index=False)
found = results.automl_step(run).get_best_child().get_metrics()
with open(metrics, "w") as file:
    json.dump({name: value for name, value in found.items() if isinstance(value, float)}, file)
"""


def run_chain(backend: str, folder: Path) -> tuple[Mapping[str, Any], pd.DataFrame, dict[str, float]]:
    """The outputs of the stages, the predictions of the best model, and its metrics."""
    prefix = [sys.executable, "-m", "nbhelpers", "emulate", "--"] if backend == "azure" else []
    environment = {**os.environ, "NBHELPERS_HOME": str(folder / f"{backend}-home")}
    values = {
        "backend": backend,
        "data": folder / "train.csv",
        "test_data": folder / "test.csv",
        "iterations": 5,
        "n_cross_validations": 3,
    }
    parameters = [text for name, value in values.items() for text in ("-p", name, str(value))]
    output, predictions, metrics = (folder / f"{backend}{ending}" for ending in ("", ".csv", ".json"))
    for current, command in (
        (ROOT, [sys.executable, "-m", "nbhelpers", "run", *parameters, "--output", str(output)]),
        (folder, [sys.executable, "-c", PREDICT, backend, "automl-bank", "test.csv", str(predictions), str(metrics)]),
    ):
        done = subprocess.run(
            [*prefix, *command], cwd=current, env=environment, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((output / "run.json").read_text())
    assert record["status"] == "finished"
    assert [stage["name"] for stage in record["stages"]] == STAGES
    outputs = {stage["name"]: stage["outputs"] for stage in record["stages"]}
    return outputs, pd.read_csv(predictions), json.loads(metrics.read_text())


def test_both_backends_find_the_same_model(tmp_path: Path) -> None:
    twin = bundled_data("bank-marketing-twin")
    pd.read_parquet(twin.train)[:600].to_csv(tmp_path / "train.csv", index=False)
    pd.read_parquet(twin.test)[:200].to_csv(tmp_path / "test.csv", index=False)
    local, local_predictions, local_metrics = run_chain("local", tmp_path)
    azure, azure_predictions, azure_metrics = run_chain("azure", tmp_path)
    assert best_of(azure) == best_of(local)
    assert len(local_metrics) > 20
    assert azure_metrics == pytest.approx(local_metrics, rel=0, abs=1e-9)
    assert azure["05_test"]["metrics"] == local["05_test"]["metrics"]
    pd.testing.assert_frame_equal(azure_predictions, local_predictions, rtol=0, atol=1e-9)
    for outputs in (azure, local):
        assert outputs["07_consume"]["rest_status"] == "Finished"


def best_of(outputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """What 03_train says of the best child, without the id of the run."""
    found = outputs["03_train"]
    number = found["best_child"].rpartition("_")[2]
    return number, found["best_algorithm"], round(found["best_score"], 9), found["iterations"]
