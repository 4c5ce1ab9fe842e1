"""Pipelines of the contract suite, and what it has seen of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Three child runs, the last one an ensemble. Azure takes no shorter time-out.
SETTINGS = {
    "experiment_timeout_minutes": 15,
    "iterations": 4,
    "max_concurrent_iterations": 2,
    "primary_metric": "AUC_weighted",
    "n_cross_validations": 2,
    "blocked_models": ["RandomForest"],
    "enable_stack_ensemble": False,
}


@dataclass(frozen=True)
class Seen:
    """A run and what was printed on the way to its end."""

    experiment: Any
    run: Any
    status: str
    submitted: str
    waited: str


def outputs(ml: Any, ws: Any) -> list[Any]:
    """The two outputs of an AutoML step."""
    store = ws.get_default_datastore()
    return [
        ml.PipelineData(name, store, pipeline_output_name=output, training_output=ml.TrainingOutput(type=kind))
        for name, output, kind in (
            ("metrics_data", "metrics_output", "Metrics"),
            ("model_data", "best_model_output", "Model"),
        )
    ]


def pipeline_of(
    ml: Any, target: Any, *, outputs: list[Any] | None = None, allow_reuse: bool = True, **settings: Any
) -> Any:
    """A pipeline of one AutoML step; the settings are those above, and what is given."""
    config = ml.AutoMLConfig(
        task="classification",
        compute_target=target,
        label_column_name="y",
        path="./pipeline-project",
        **(SETTINGS | settings),
    )
    step = ml.AutoMLStep("automl_module", config, outputs=outputs, allow_reuse=allow_reuse)
    return ml.Pipeline(target.workspace, [step], description="contract")
