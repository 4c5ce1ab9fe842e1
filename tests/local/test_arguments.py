"""Arguments of a wrong type are refused by every public name, with a message and never with another library's error."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nbhelpers.errors import NbhelpersError
from nbhelpers.local import (
    AutoMLStep,
    ComputeTarget,
    DatasetConsumptionConfig,
    DataType,
    Experiment,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PipelineRun,
    PublishedPipeline,
    Run,
    Workspace,
    models,
)

MISTAKES = {
    "workspace of an experiment": lambda _: Experiment(None, "e"),
    "workspace of a target": lambda _: ComputeTarget("local", "automl-compute"),
    "workspace of a new target": lambda _: ComputeTarget.create(None, "cpu", None),
    "workspace of a pipeline": lambda s: Pipeline(None, [s.automl_step]),
    "workspace of a run": lambda s: Run.get("local", s.step.id),
    "workspace of a model": lambda _: models.load(io.BytesIO(b"x"), "local"),
    "name of a target": lambda s: ComputeTarget(s.ws, ["automl-compute"]),
    "path of a configuration": lambda _: Workspace.from_config(5),
    "nodes to wait for": lambda s: s.compute_target.wait_for_completion(min_node_count="1"),
    "minutes to wait": lambda s: s.compute_target.wait_for_completion(timeout_in_minutes="10"),
    "tags of an experiment": lambda s: s.experiment.set_tags({"rows": 5}),
    "tags of a run": lambda s: s.pipeline_run.set_tags("label=y"),
    "tags on submit": lambda s: s.experiment.submit(s.pipeline, tags=5),
    "half a surrogate pair in a tag": lambda s: s.pipeline_run.set_tags({"label": "\ud800"}),
    "tags of a data set": lambda s: s.dataset.add_tags(None),
    "parameters on submit": lambda s: s.pipeline.submit("e", pipeline_parameters=5),
    "regenerate on submit": lambda s: s.pipeline.submit("e", regenerate_outputs="no"),
    "experiment of a run": lambda s: PipelineRun(None, s.pipeline_run.id),
    "id of a run": lambda s: PipelineRun(s.experiment, [s.pipeline_run.id]),
    "name of a step as a path": lambda s: AutoMLStep("../../x", s.automl_config),
    "one output, no list": lambda s: AutoMLStep("a", s.automl_config, outputs=s.metrics_data),
    "reuse": lambda s: AutoMLStep("a", s.automl_config, allow_reuse="no"),
    "version of a step": lambda s: AutoMLStep("a", s.automl_config, version=5),
    "description of a pipeline": lambda s: Pipeline(s.ws, [s.automl_step], description=5),
    "name of a pipeline output": lambda _: PipelineData("a", pipeline_output_name=["a"]),
    "name of a pipeline parameter": lambda _: PipelineParameter(5, 1),
    "name of an input": lambda s: DatasetConsumptionConfig(5, s.dataset),
    "data set of an input": lambda _: DatasetConsumptionConfig("training", "bank"),
    "name of a published pipeline": lambda s: s.pipeline_run.publish_pipeline(name=5),
    "id of a published pipeline": lambda s: PublishedPipeline.get(s.ws, ["x"]),
    "workspace of published pipelines": lambda _: PublishedPipeline.list("local"),
    "flag of published pipelines": lambda s: PublishedPipeline.list(s.ws, active_only="no"),
    "pipeline output": lambda s: s.pipeline_run.get_pipeline_output(["metrics_output"]),
    "step output": lambda s: s.step.get_output_data(["metrics_data"]),
    "time limit as text": lambda s: s.pipeline_run.wait_for_completion(timeout_seconds="60"),
    "time limit that is no number": lambda s: s.pipeline_run.wait_for_completion(timeout_seconds=float("nan")),
    "folder of a download": lambda s: s.metrics_output.download(None),
    "file of a download": lambda s: next(s.step.get_children()).download_file("predictions.npy", 5),
    "model as a number": lambda _: models.load(5),
    "model as text": lambda _: models.load(io.StringIO("x")),
    "columns to keep": lambda s: s.dataset.keep_columns(5),
    "formats of a date": lambda _: DataType.to_datetime(5),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_type_is_refused_and_starts_nothing(seed: SimpleNamespace, mistake: Any) -> None:
    before = len(Experiment(seed.ws, "e").get_runs())
    with pytest.raises(NbhelpersError) as caught:
        mistake(seed)
    assert caught.value.problem
    assert caught.value.remedy
    assert len(Experiment(seed.ws, "e").get_runs()) == before


def test_numbers_of_numpy_count_as_numbers(seed: SimpleNamespace) -> None:
    assert seed.dataset.take(np.int64(3)).row_count == 3
    first, _ = seed.dataset.random_split(np.float64(0.5), seed=np.int64(1))
    assert first.register(seed.ws, "half").digest == seed.dataset.random_split(0.5, seed=1)[0].digest
