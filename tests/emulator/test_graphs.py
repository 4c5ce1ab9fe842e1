from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from nbhelpers import automl
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.graphs import Graph, definition_of, keep_graph, read_graph
from nbhelpers.emulator.searches import check_sent_settings
from nbhelpers.emulator.state import State
from nbhelpers.errors import ConfigException
from nbhelpers.local import AutoMLConfig, AutoMLStep, Pipeline, Workspace
from nbhelpers.local.reuse import fingerprint_parts

from ..local.conftest import bank_like
from ..local.faults import create_target
from .conftest import Ask
from .sent import DEFAULTS, NODE, SMALL, add_data, graph, make_module, reference


@pytest.fixture
def data(cloud: State) -> dict[str, Any]:
    create_target(cloud.workspace, 2)
    return add_data(cloud, bank_like(300))


def read(cloud: State, ask: Ask, data: dict[str, Any], **settings: Any) -> Graph:
    return read_graph(cloud, graph(make_module(ask), reference(data), **settings))


def local_step(workspace: Workspace, **settings: Any) -> dict[str, Any]:
    config = AutoMLConfig(
        "classification",
        compute_target=create_target(workspace, 2),
        training_data=bank_like(300),
        label_column_name="y",
        **settings,
    )
    (step,) = Pipeline(workspace, AutoMLStep("automl_module", config)).definition()["steps"]
    return dict(step)


def test_what_the_sdk_sends_where_nothing_was_given_means_the_engines_defaults() -> None:
    assert check_sent_settings(DEFAULTS) == automl.check_settings("classification", {})


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_the_engine_decides_on_the_ensemble_of_a_short_search(iterations: int) -> None:
    assert check_sent_settings(DEFAULTS | SMALL | {"iterations": iterations}).enable_voting_ensemble


def test_an_ensemble_that_the_user_has_switched_off_stays_off() -> None:
    sent = DEFAULTS | {"iterations": 3, "enable_ensembling": False, "ensemble_iterations": 3}
    assert not check_sent_settings(sent).enable_voting_ensemble


def test_settings_have_the_engines_names() -> None:
    sent = {"task_type": "regression", "primary_metric": "r2_score", "whitelist_models": ["LightGBM", "ElasticNet"]}
    sent |= {"blacklist_algos": ["SGD"], "experiment_timeout_minutes": 20, "featurization": "off"}
    settings = check_sent_settings(DEFAULTS | sent | {"early_stopping_n_iters": 12})
    assert (settings.task, settings.primary_metric) == ("regression", "r2_score")
    assert (settings.allowed_models, settings.blocked_models) == (("LightGBM", "ElasticNet"), ("SGD",))
    assert (settings.experiment_timeout_minutes, settings.featurization) == (20, "off")
    assert settings.early_stopping_n_iters == 12


def test_all_that_was_asked_for_and_is_lacking_is_listed() -> None:
    lacking = {"enable_onnx_compatible_models": True, "test_size": 0.1, "mem_in_mb": 1000}
    with pytest.raises(ConfigException) as caught:
        check_sent_settings(DEFAULTS | lacking | {"whitelist_models": ["Prophet"]})
    for name in (*lacking, "Prophet"):
        assert name in caught.value.problem


def test_forecasting_is_refused() -> None:
    with pytest.raises(ConfigException, match="forecasting"):
        check_sent_settings(DEFAULTS | {"task_type": "regression", "is_timeseries": True})


@pytest.mark.parametrize(
    ("local", "sent"),
    [
        ({}, {}),
        ({"iterations": 3, "n_cross_validations": 2}, SMALL),
        ({"experiment_timeout_hours": 0.25, "iterations": 8}, {"experiment_timeout_minutes": 15, "iterations": 8}),
        ({"allowed_models": ["RandomForest", "LightGBM"]}, {"whitelist_models": ["LightGBM", "RandomForest"]}),
        (
            {"weight_column_name": "age", "positive_label": "yes"},
            {"weight_column_name": "age", "positive_label": "yes"},
        ),
        ({"validation_size": 0.2, "n_cross_validations": 3}, {"validation_size": 0.2, "n_cross_validations": 3}),
    ],
)
def test_the_same_data_and_settings_have_the_fingerprint_of_a_local_run(
    cloud: State, ask: Ask, data: dict[str, Any], local: dict[str, Any], sent: dict[str, Any]
) -> None:
    if "iterations" in sent and "ensemble_iterations" not in sent:
        sent = sent | {"ensemble_iterations": sent["iterations"]}
    (step,) = definition_of(cloud, read(cloud, ask, data, **sent))["steps"]
    assert fingerprint_parts(step) == fingerprint_parts(local_step(cloud.workspace, **local))


def test_a_definition_has_what_the_graph_says(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    definition = definition_of(cloud, read(cloud, ask, data))
    (step,) = definition.pop("steps")
    assert definition == {}
    assert (step["name"], step["node_id"], step["dataset"]) == ("automl_module", NODE, "small:1")
    assert (step["compute_target"], step["max_nodes"], step["allow_reuse"]) == ("cpu", 2, True)
    assert step["outputs"] == [
        {"name": "metrics_data", "pipeline_output_name": "metrics_output", "type": "Metrics"},
        {"name": "model_data", "pipeline_output_name": "best_model_output", "type": "Model"},
    ]


def test_a_graph_may_have_validation_data(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    valid = add_data(cloud, bank_like(60, seed=2), "valid")
    sent = graph(make_module(ask), reference(data))
    sent["DatasetNodes"].append({"Id": "valid", "DataSetDefinition": reference(valid)})
    edge = sent["Edges"][-1]
    port = {"NodeId": NODE, "PortName": "validation_data"}
    sent["Edges"].append(edge | {"SourceOutputPort": {"NodeId": "valid"}, "DestinationInputPort": port})
    (step,) = definition_of(cloud, read_graph(cloud, sent))["steps"]
    assert (step["data_rows"], step["dataset"]) == (300, "small:1")
    assert (step["validation"]["data_rows"], step["validation"]["dataset"]) == (60, "valid:1")
    local = local_step(cloud.workspace, validation_data=bank_like(60, seed=2))
    assert fingerprint_parts(step) == fingerprint_parts(local)


def test_reuse_is_what_the_module_and_the_node_allow(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    sent = graph(make_module(ask, IsDeterministic=False), reference(data), regenerate=True)
    found = read_graph(cloud, sent)
    assert (found.allow_reuse, found.regenerate_outputs) == (False, True)


def test_all_that_is_wrong_with_a_search_is_listed(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    wrong = {"label_column_name": "yy", "compute_target": "gpu", "enable_onnx_compatible_models": True}
    sent = graph(make_module(ask), reference(data), **wrong)
    edge = sent["Edges"][-1]
    sent["Edges"].append(edge | {"DestinationInputPort": {"NodeId": NODE, "PortName": "test_data"}})
    with pytest.raises(ConfigException) as caught:
        definition_of(cloud, read_graph(cloud, sent))
    for part in ("test_data", "enable_onnx", "Compute Target with name gpu", "Did you mean 'y'"):
        assert part in caught.value.problem


def test_the_model_of_an_iteration_is_refused_when_the_graph_is_run(
    cloud: State, ask: Ask, data: dict[str, Any]
) -> None:
    port = {"Name": "third", "TrainingOutput": {"TrainingOutputType": "Model", "Iteration": 3}}
    module_id = make_module(ask, StructuredInterface={"Outputs": [port]})
    with pytest.raises(ConfigException, match="The output 'third' is the model of an iteration"):
        definition_of(cloud, read_graph(cloud, graph(module_id, reference(data))))


@pytest.mark.usefixtures("data")
def test_a_parameter_stands_for_the_data(cloud: State, ask: Ask) -> None:
    found = read_graph(cloud, graph(make_module(ask), {"ParameterName": "input"}))
    assert "The pipeline parameter 'input' has no data set" in _problem(cloud, found)
    other = add_data(cloud, bank_like(250), "other")
    saved = {"SavedDataSetReference": {"Id": other["latest"]["savedDatasetId"]}}
    definition = definition_of(cloud, found, {"input": saved})
    assert definition["steps"][0]["data_rows"] == 250
    assert definition["parameters"]["input"] == {"setting": "training_data", "type": "dataset", "default": "other:1"}


def _problem(cloud: State, found: Graph) -> str:
    with pytest.raises(ConfigException) as caught:
        definition_of(cloud, found)
    return caught.value.problem


def test_a_graph_of_several_steps_is_refused_by_their_names(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    sent = graph(make_module(ask), reference(data))
    sent["ModuleNodes"].append(sent["ModuleNodes"][0] | {"ModuleId": make_module(ask, name="second")})
    with pytest.raises(CloudError, match=r"2 steps \(automl_module, second\)") as caught:
        read_graph(cloud, sent)
    assert caught.value.status == 400


@pytest.mark.parametrize("changes", [{"DatasetNodes": []}, {"ModuleNodes": []}, {"Edges": []}])
def test_a_graph_without_a_step_on_data_is_refused(
    cloud: State, ask: Ask, data: dict[str, Any], changes: dict[str, Any]
) -> None:
    with pytest.raises(CloudError) as caught:
        read_graph(cloud, graph(make_module(ask), reference(data)) | changes)
    assert caught.value.status == 400


def test_a_step_without_readable_settings_is_refused(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    sent = graph(make_module(ask), reference(data))
    sent["ModuleNodes"][0]["ModuleMetadataParameters"][0]["Value"] = "{}"
    with pytest.raises(CloudError, match="AutoMLConfig"):
        read_graph(cloud, sent)


def test_a_kept_graph_names_its_data_set(cloud: State, ask: Ask, data: dict[str, Any]) -> None:
    kept = cloud.documents.get("graph", keep_graph(cloud, graph(make_module(ask), reference(data)), None))
    assert kept is not None
    (node,) = kept["graph"]["DatasetNodes"]
    assert node["DataSetDefinition"]["Value"]["DataSetReference"]["Name"] == "small"


CLIENT = """
import sys, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from azureml.core import Dataset, Experiment, Workspace
from azureml.core.compute import ComputeTarget
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import AutoMLStep
from azureml.train.automl import AutoMLConfig

workspace = Workspace.from_config()
store = workspace.get_default_datastore()
data = Dataset.Tabular.register_pandas_dataframe(pd.read_parquet(sys.argv[1]), (store, "small"), "small")
config = AutoMLConfig(
    "classification",
    compute_target=ComputeTarget(workspace, "automl-compute"),
    training_data=data,
    label_column_name="y",
    iterations=3,
    n_cross_validations=2,
    primary_metric="AUC_weighted",
    allowed_models=["RandomForest", "LightGBM"],
    experiment_timeout_hours=0.5,
)
run = Experiment(workspace, "bank").submit(Pipeline(workspace, [AutoMLStep("automl_module", config)]))
run.cancel()
print(f"RUN {run.id}")
"""


def test_the_real_sdk_leads_to_the_fingerprint_of_a_local_run(workspace: Workspace, tmp_path: Any) -> None:
    pytest.importorskip("azureml.core", reason="needs the azure environment: make install-azure")
    from nbhelpers.emulator.launch import running
    from nbhelpers.local.listing import find_run

    frame = tmp_path / "frame.parquet"
    bank_like(300).to_parquet(frame)
    with running(workspace) as emulator:
        command = [sys.executable, "-c", CLIENT, str(frame)]
        environment = emulator.environment
        done = subprocess.run(
            command, env=environment, cwd=environment["HOME"], capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    run_id = done.stdout.rpartition("RUN ")[2].strip()
    row = next(find_run(workspace, run_id)[1].get_steps())._row()
    local = local_step(
        workspace,
        iterations=3,
        n_cross_validations=2,
        primary_metric="AUC_weighted",
        allowed_models=["RandomForest", "LightGBM"],
        experiment_timeout_hours=0.5,
    )
    assert row["definition"]["fingerprint_parts"] == fingerprint_parts(local)
