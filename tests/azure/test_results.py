"""The functions of `results` take the SDK's runs, and show what they show of a local run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ..local.conftest import bank_like
from .conftest import OPENING, Run

CODE = """
from nbhelpers import results
prepared = nbhelpers.prepare_data(ml, ws, "bank.csv", label="y")
experiment = ml.Experiment(ws, "results")
target = ml.ComputeTarget.create(ws, "nodes", ml.AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=2))
config = ml.AutoMLConfig(
    task="classification", compute_target=target, training_data=prepared.train, label_column_name="y",
    experiment_timeout_minutes=15, iterations=4, n_cross_validations=3, primary_metric="AUC_weighted", path="project",
)
pipeline = ml.Pipeline(ws, [ml.AutoMLStep("automl_module", config)])
submitted = experiment.submit(pipeline, tags={"dataset": "bank:1", "test_dataset": "bank-test:1"})
status = results.watch(submitted)
run = results.find_run(ml, ml.Experiment(ws, "results"))
step = results.automl_step(run)
best, model = results.best_model(run)
report = results.test_report(run, nbhelpers.find_test_dataset(ml, experiment, run))
card = results.model_card(run, report)
published = run.publish_pipeline("bank", "of a test", "1")
timed = ["fit_seconds", "predict_seconds"]
shown = [results.slices(run), results.thresholds(run), results.importance(run), results.plot_correlation(run)]
print(json.dumps({
    "status": status,
    "same run": run.id == submitted.id,
    "class": type(step).__name__,
    "board": results.leaderboard(run).drop(columns=timed).to_json(),
    "ensemble": results.ensemble(run).to_json(),
    "selection": results.selection(run).to_json(),
    "by algorithm": results.best_by_algorithm(run).drop(columns="seconds").to_json(),
    "curves": results.plot_curves(run).alt,
    "shown": len(shown),
    "guardrails": results.guardrails(run).to_json(),
    "metrics": results.metrics_table(run).to_json(),
    "verdict": results.verdict(run),
    "best": [best.properties["iteration"], type(model).__name__],
    "predictions": results.predict(run, prepared.test).to_json(),
    "test": {name: round(value, 12) for name, value in report.metrics.items()},  # sums differ in the last digit
    "checks": report.checks().to_json(),
    "settings": "| iterations | 4 |" in card,
    "published": results.find_published(ml, ws).id == published.id,
}))
"""


def test_a_run_on_azure_is_shown_like_a_local_one(program: Run, tmp_path: Path) -> None:
    bank_like(250).to_csv(tmp_path / "bank.csv", index=False)
    azure = program(CODE)
    local = subprocess.run(
        [sys.executable, "-c", OPENING.replace('"azure"', '"local"') + CODE],
        cwd=tmp_path,
        env={"NBHELPERS_HOME": str(tmp_path / "home"), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert azure == json.loads(local.stdout.splitlines()[-1])
