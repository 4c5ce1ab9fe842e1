"""What the SDK sends of a pipeline of one AutoMLStep, as far as the emulator reads it."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from nbhelpers.emulator.data import _tables
from nbhelpers.emulator.names import API, SCOPE
from nbhelpers.emulator.registrations import Definition, Registration, register
from nbhelpers.emulator.state import State
from nbhelpers.local.files import store_frame

from .conftest import Ask

PIPELINES = f"{API}/pipelines/v1.0{SCOPE}"
NODE, DATA_NODE = "0a1b2c3d", "4e5f6a7b"

#: The settings of an AutoMLConfig in which nothing is given but the task, the compute target, the data and the label.
DEFAULTS: dict[str, Any] = {
    "path": None,
    "name": "placeholder",
    "compute_target": "cpu",
    "many_models": False,
    "iterations": 1000,
    "primary_metric": "accuracy",
    "task_type": "classification",
    "positive_label": None,
    "test_size": 0.0,
    "validation_size": 0.0,
    "n_cross_validations": None,
    "num_classes": None,
    "featurization": "auto",
    "is_timeseries": False,
    "max_cores_per_iteration": 1,
    "max_concurrent_iterations": 1,
    "iteration_timeout_minutes": None,
    "mem_in_mb": None,
    "experiment_timeout_minutes": 8640,
    "experiment_exit_score": None,
    "whitelist_models": None,
    "blacklist_algos": None,
    "supported_models": ["LightGBM", "SVM"],
    "exclude_nan_labels": True,
    "verbosity": 20,
    "_debug_log": "automl.log",
    "model_explainability": True,
    "enable_onnx_compatible_models": False,
    "enable_dnn": False,
    "enable_feature_sweeping": True,
    "enable_early_stopping": True,
    "early_stopping_n_iters": 10,
    "enable_ensembling": True,
    "enable_stack_ensembling": True,
    "ensemble_iterations": 15,
    "enable_tf": False,
    "enable_subsampling": None,
    "label_column_name": "y",
    "weight_column_name": None,
    "cv_split_column_names": None,
    "metric_operation": "maximize",
}
#: A search that takes seconds.
SMALL = {
    "iterations": 3,
    "n_cross_validations": 2,
    "enable_ensembling": False,
    "enable_stack_ensembling": False,
    "ensemble_iterations": None,  # as the SDK does below four iterations
}


def add_data(cloud: State, frame: pd.DataFrame, name: str = "small") -> dict[str, Any]:
    """A registered data set in the client's form, whose rows count as read: that takes the SDK."""
    text = f"---\ntype: mltable\npaths:\n  - file: https://example.com/{name}.csv\n"
    definition = Definition(dataflow=json.dumps({"blocks": [], "meta": {"RsDataflow": text}}))
    document = register(cloud, Registration(name=name, latest=definition))
    key = (document["latest"]["savedDatasetId"], ())
    _tables.setdefault(cloud, {})[key] = store_frame(frame, cloud.workspace.store)
    return document


def module(name: str = "automl_module", **changes: Any) -> dict[str, Any]:
    """What `Modules` is asked to make."""
    outputs = [
        {"Name": f"{kind.lower()}_data", "DataTypeId": "AnyFile", "TrainingOutput": {"TrainingOutputType": kind}}
        for kind in ("Metrics", "Model")
    ]
    interface = {
        "Inputs": [{"Name": "training_data", "DataTypeIdsList": ["AzureMLDataset"], "IsOptional": False}],
        "Outputs": [*outputs, {"Name": "_run_after_output", "DataTypeId": "AnyFile", "SkipProcessing": True}],
        "Parameters": [{"Name": "iterations", "IsOptional": True, "DefaultValue": "1000"}],
        "MetadataParameters": [{"Name": "AutoMLConfig", "IsOptional": True, "DefaultValue": "{}"}],
    }
    return {
        "Name": name,
        "Description": name,
        "IsDeterministic": True,
        "ModuleExecutionType": "AutoMLCloud",
        "StepType": "AutoMLStep",
        "IdentifierHash": f"hash of {name}",
        "StructuredInterface": interface,
    } | changes


def graph(module_id: str, data: dict[str, Any], regenerate: bool = False, **settings: Any) -> dict[str, Any]:
    """A graph of one AutoMLStep; `data` is the definition of its data set."""
    text = json.dumps({"run_type": "automl", "aml_settings_json_string": json.dumps(DEFAULTS | settings)})
    ends = [("metrics_data", "metrics_output"), ("model_data", "best_model_output")]
    edges: list[dict[str, Any]] = [
        {
            "SourceOutputPort": {"NodeId": NODE, "PortName": port},
            "DestinationInputPort": {"GraphPortName": name},
        }
        for port, name in ends
    ]
    edges.append(
        {
            "SourceOutputPort": {"NodeId": DATA_NODE, "PortName": "data"},
            "DestinationInputPort": {"NodeId": NODE, "PortName": "training_data"},
        }
    )
    node = {
        "Id": NODE,
        "ModuleId": module_id,
        "ModuleParameters": [],
        "ModuleMetadataParameters": [{"ValueType": "0", "Name": "AutoMLConfig", "Value": text}],
        "RegenerateOutput": regenerate,
    }
    return {
        "ModuleNodes": [node],
        "DatasetNodes": [{"Id": DATA_NODE, "DataSetDefinition": {"DataTypeShortName": "AzureMLDataset"} | data}],
        "Edges": edges,
    }


def reference(document: dict[str, Any]) -> dict[str, Any]:
    """The definition of a registered data set in a graph."""
    return {
        "Value": {
            "DataSetReference": {"Id": document["datasetId"], "Version": document["latest"]["versionId"]},
        }
    }


def make_module(ask: Ask, **changes: Any) -> str:
    """Make a module, and give its id."""
    return str(ask("POST", f"{PIPELINES}/Modules", json=module(**changes)).json()["Id"])


def create(ask: Ask, sent: dict[str, Any], experiment: str = "bank", **body: Any) -> dict[str, Any]:
    """Create a run that is not submitted yet."""
    info = {"Description": "of the tests", "RunSource": "SDK", "RunType": "SDK"} | body.pop("CreationInfo", {})
    answer = ask(
        "POST",
        f"{PIPELINES}/PipelineRuns/Unsubmitted/CreationInfoWithGraph",
        params={"experimentName": experiment},
        json={"CreationInfo": info, "Graph": sent, "GraphInterface": {"Parameters": []}} | body,
        headers={"Content-Type": "application/json-patch+json; charset=utf-8"},
    )
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def submit(ask: Ask, sent: dict[str, Any], **body: Any) -> str:
    """Create and submit a run, and give its id."""
    run_id = str(create(ask, sent, **body)["Id"])
    answer = ask("POST", f"{PIPELINES}/PipelineRuns/Submit/{run_id}")
    assert answer.status_code == 200, answer.text
    return run_id
