from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import (
    AutoMLConfig,
    AutoMLStep,
    Experiment,
    Pipeline,
    PipelineData,
    TrainingOutput,
)

ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.mark.parametrize("name", ["a-b", "a b", "", "ä", None])
def test_a_wrong_name_of_pipeline_data_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a PipelineData"):
        PipelineData(name)


@pytest.mark.parametrize(
    "arguments", [{"type": "Log"}, {"type": "Metrics", "iteration": 0}, {"type": "Model", "metric": "accuracy"}]
)
def test_a_wrong_training_output_is_a_value_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="TrainingOutput"):
        TrainingOutput(**arguments)


def test_the_type_of_a_training_output_is_taken_in_any_case() -> None:
    assert TrainingOutput(type="model").type == "Model"


def test_a_step_needs_a_config_and_outputs_that_say_what_they_hold(seed: SimpleNamespace) -> None:
    with pytest.raises(UserErrorException, match="automl_config of step 'a' is of type dict"):
        AutoMLStep("a", {})  # type: ignore[arg-type]
    with pytest.raises(UserErrorException, match="does not say what it holds"):
        AutoMLStep("a", seed.automl_config, outputs=[PipelineData("metrics")])
    with pytest.raises(UserErrorException, match="has inputs, which a local AutoMLStep has no use for"):
        AutoMLStep("a", seed.automl_config, inputs=[seed.dataset])


def test_a_pipeline_has_exactly_one_automl_step(seed: SimpleNamespace) -> None:
    step = seed.automl_step
    assert Pipeline(seed.ws, steps=[[[step]]]).steps == [step]
    assert Pipeline(seed.ws, step).steps == [step]
    with pytest.raises(UserErrorException, match="has 2 steps; a local pipeline has exactly one AutoMLStep"):
        Pipeline(seed.ws, steps=[step, [step]])
    with pytest.raises(UserErrorException, match="has 0 steps"):
        Pipeline(seed.ws, steps=[])
    with pytest.raises(UserErrorException, match="is of type AutoMLConfig"):
        Pipeline(seed.ws, steps=[seed.automl_config])


def test_output_names_are_unique_in_a_pipeline(seed: SimpleNamespace) -> None:
    def outputs(*pairs: tuple[str, str]) -> list[PipelineData]:
        model = TrainingOutput("Model")
        return [PipelineData(name, pipeline_output_name=output, training_output=model) for name, output in pairs]

    for pairs, key in (((("a", "x"), ("b", "x")), "pipeline_output_name 'x'"), ((("a", "x"), ("a", "y")), "name 'a'")):
        step = AutoMLStep("a", seed.automl_config, outputs=outputs(*pairs))
        with pytest.raises(UserErrorException, match=f"Several outputs have the {key}"):
            Pipeline(seed.ws, steps=[step])


def test_submitting_prints_the_sdks_lines(seed: SimpleNamespace) -> None:
    created, reuse, submitted, end = seed.printed["submit"].split("\n")
    assert re.fullmatch(
        rf"Created step automl_module \[[0-9a-f]{{8}}\]\[{ID}\], \(This step will run and generate new outputs\)",
        created,
    )
    assert reuse == "Reuse of step automl_module: new run: no earlier run has finished"
    assert submitted == f"Submitted PipelineRun {seed.pipeline_run.id}"
    assert end == ""


def test_an_unchanged_step_is_reused_at_once(seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    run = seed.pipeline.submit("reuse", tags={"a": "b"})
    assert "(This step is eligible to reuse a previous run's output)" in capsys.readouterr().out
    assert (run.get_status(), run.tags) == ("Finished", {"a": "b"})
    (step,) = run.get_steps()
    assert step.get_status() == "Finished"
    assert step.properties["azureml.reusedrunid"] == seed.step.id
    assert step.properties["azureml.reusedpipeline"] == seed.pipeline_run.id
    assert step.properties["classes"] == '["no", "yes"]'
    assert [child.id for child in step.get_children()] == [child.id for child in seed.step.get_children()]
    output = run.get_pipeline_output("metrics_output")
    assert output._path_on_datastore == f"azureml/{seed.step.id}/metrics_data"
    assert [name for name, _ in step.get_output()[1].steps] == [name for name, _ in seed.best_model.steps]
    assert run.wait_for_completion(show_output=False) == "Finished"


def test_a_reused_run_is_not_itself_reused(seed: SimpleNamespace) -> None:
    runs = [seed.pipeline.submit("reuse-twice") for _ in range(2)]
    assert {next(run.get_steps()).properties["azureml.reusedrunid"] for run in runs} == {seed.step.id}


@pytest.mark.parametrize(
    ("changes", "reused"),
    [
        ({"max_concurrent_iterations": 2}, True),
        ({"debug_log": "other.log"}, True),
        ({"seed": 1}, False),
        ({"iterations": 3}, False),
        ({"label_column_name": "job"}, False),
    ],
)
def test_reuse_asks_for_what_decides_the_result(seed: SimpleNamespace, changes: dict[str, Any], reused: bool) -> None:
    arguments = {
        "task": "classification",
        "compute_target": seed.compute_target,
        "training_data": seed.dataset,
        "label_column_name": "y",
    }
    config = AutoMLConfig(**(arguments | seed.automl_settings | changes))
    assert is_reused(seed, Pipeline(seed.ws, AutoMLStep("automl_module", config))) is reused


def test_other_data_is_not_reused_and_the_same_content_under_another_name_is(seed: SimpleNamespace) -> None:
    same = seed.dataset.to_pandas_dataframe()
    for data, reused in ((same, True), (same.iloc[1:], False)):
        config = AutoMLConfig(
            "classification",
            compute_target=seed.compute_target,
            training_data=data,
            label_column_name="y",
            **seed.automl_settings,
        )
        assert is_reused(seed, Pipeline(seed.ws, AutoMLStep("automl_module", config))) is reused


def test_reuse_can_be_switched_off_and_says_so(seed: SimpleNamespace) -> None:
    step = AutoMLStep("automl_module", seed.automl_config, allow_reuse=False)
    assert not is_reused(seed, Pipeline(seed.ws, step), "allow_reuse is False")
    assert not is_reused(seed, seed.pipeline, "regenerate_outputs is True", regenerate_outputs=True)
    step = AutoMLStep("automl_module", seed.automl_config, version="2")
    assert not is_reused(seed, Pipeline(seed.ws, step), "step version None to 2")


def is_reused(seed: SimpleNamespace, pipeline: Pipeline, why: str = "", **options: Any) -> bool:
    """Whether a submitted pipeline reuses a run; one that does not is cancelled."""
    run = Experiment(seed.ws, "reuse-or-not").submit(pipeline, **options)
    run.cancel()
    run.wait_for_completion(show_output=False, raise_on_error=False)  # else a later test would wait for it
    properties = next(run.get_steps()).properties
    assert why in properties["nbhelpers.reuse"]
    return "azureml.reusedrunid" in properties
