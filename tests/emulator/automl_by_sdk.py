"""A program that submits an AutoMLConfig with the SDK, and writes what it reads of the run to a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from azureml.core import Dataset, Experiment, Run, Workspace
from azureml.core.compute import ComputeTarget
from azureml.train.automl import AutoMLConfig

from tests.local.conftest import bank_like


def main(file: str) -> None:
    ws, rows = Workspace.from_config(), bank_like(300)
    data = Dataset.Tabular.register_pandas_dataframe(rows, (ws.get_default_datastore(), "small"), "small")
    experiment = Experiment(ws, "bank")

    def submit(iterations: int) -> Any:
        config = AutoMLConfig(
            task="classification",
            primary_metric="AUC_weighted",
            compute_target=ComputeTarget(ws, "automl-compute"),
            training_data=data,
            label_column_name="y",
            iterations=iterations,
            n_cross_validations=3,
            max_concurrent_iterations=2,
        )
        return experiment.submit(config, tags={"colour": "red"})

    run = submit(3)
    details = run.wait_for_completion(show_output=False)
    child, model = run.get_output()
    matrix = child.get_metrics("confusion_matrix", populate=True)["confusion_matrix"]
    facts = {
        "status": details["status"],
        "type": run.type,
        "id": run.id,
        "tags": run.get_tags(),
        "child": child.id,
        "best": run.get_best_child().id,
        "predictions": sorted(set(model.predict(rows.drop(columns="y")))),
        "others": [sorted(set(run.get_output(iteration=k)[1].classes_)) for k in range(3)],
        "guardrails": [fault["type"] for fault in run.get_guardrails(to_console=False)["faults"]],
        "score": run.get_metrics("AUC_weighted")["AUC_weighted"],
        "scores": {one: metrics["AUC_weighted"] for one, metrics in run.get_metrics(recursive=True).items()},
        "children": sorted(one.id for one in run.get_children()),
        "summary": run.summary(),
        "matrix": json.loads(matrix.data)["schema_type"],
        "runs": [one.id for one in experiment.get_runs(type="automl")],
        "same": type(Run.get(ws, run.id)).__name__,
        "log": next(iter(run.get_details_with_logs()["logFiles"].values())),
    }
    other = submit(60)
    other.cancel()
    facts["cancelled"] = other.wait_for_completion(show_output=False)["status"]
    Path(file).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
