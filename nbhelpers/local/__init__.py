"""The embedded workspace: the SDK names of Azure ML, implemented on one local folder."""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Where each public name is; modules are imported when a name is first asked for.
_SOURCES = {
    "AmlCompute": "nbhelpers.local.compute",
    "AuthenticationException": "nbhelpers.errors",
    "AutoMLConfig": "nbhelpers.local.config",
    "AutoMLRun": "nbhelpers.local.step_runs",
    "AutoMLStep": "nbhelpers.local.steps",
    "ComputeTarget": "nbhelpers.local.compute",
    "ComputeTargetException": "nbhelpers.errors",
    "DataType": "nbhelpers.local.dataset",
    "Dataset": "nbhelpers.local.dataset",
    "DatasetConsumptionConfig": "nbhelpers.local.parameters",
    "Datastore": "nbhelpers.local.workspace",
    "Experiment": "nbhelpers.local.experiment",
    "FeaturizationConfig": "nbhelpers.local.featurization",
    "InteractiveLoginAuthentication": "nbhelpers.local.authentication",
    "Model": "nbhelpers.local.registry",
    "Pipeline": "nbhelpers.local.pipeline",
    "PipelineData": "nbhelpers.local.steps",
    "PipelineParameter": "nbhelpers.local.parameters",
    "PipelineRun": "nbhelpers.local.runs",
    "PublishedPipeline": "nbhelpers.local.published",
    "Run": "nbhelpers.local.runs",
    "RunDetails": "nbhelpers.local.widgets",
    "StepRun": "nbhelpers.local.step_runs",
    "TabularDataset": "nbhelpers.local.dataset",
    "TrainingOutput": "nbhelpers.local.steps",
    "Webservice": "nbhelpers.local.webservices",
    "Workspace": "nbhelpers.local.workspace",
}

__all__ = sorted(_SOURCES)


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SOURCES[name]), name)


def __dir__() -> list[str]:
    return __all__
