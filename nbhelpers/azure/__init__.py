"""The real SDK v1: each name is the SDK's own class, imported when it is first asked for.

=============== =====================================================================
``signing_in``  in a batch, where nobody can answer, an error takes the prompt's place
``remedies``    what to do about an error of the SDK, shown below it
``uploading``   a data frame becomes a data set in the default datastore
``costs``       what a submit may cost, in one line
=============== =====================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nbhelpers.errors import BackendError

#: Where the SDK keeps each name.
SOURCES = {
    "AmlCompute": "azureml.core.compute",
    "AuthenticationException": "azureml.exceptions",
    "AutoMLConfig": "azureml.train.automl",
    "AutoMLRun": "azureml.train.automl.run",
    "AutoMLStep": "azureml.pipeline.steps",
    "ComputeTarget": "azureml.core.compute",
    "ComputeTargetException": "azureml.core.compute_target",
    "DataType": "azureml.data.dataset_factory",
    "Dataset": "azureml.core",
    "DatasetConsumptionConfig": "azureml.data.dataset_consumption_config",
    "Datastore": "azureml.core",
    "Experiment": "azureml.core",
    "FeaturizationConfig": "azureml.automl.core.featurization",
    "InteractiveLoginAuthentication": "azureml.core.authentication",
    "Model": "azureml.core",
    "Pipeline": "azureml.pipeline.core",
    "PipelineData": "azureml.pipeline.core",
    "PipelineParameter": "azureml.pipeline.core",
    "PipelineRun": "azureml.pipeline.core",
    "PublishedPipeline": "azureml.pipeline.core",
    "Run": "azureml.core",
    "RunDetails": "azureml.widgets",
    "StepRun": "azureml.pipeline.core",
    "TabularDataset": "azureml.data",
    "TrainingOutput": "azureml.pipeline.core",
    "Webservice": "azureml.core",
    "Workspace": "azureml.core",
}

__all__ = sorted(SOURCES)


def __getattr__(name: str) -> Any:
    if name not in SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nbhelpers.azure import remedies, signing_in

    try:
        signing_in.refuse_prompts()
        remedies.show_remedies()
        if name == "RunDetails":
            _mend_widgets()
        return getattr(import_module(SOURCES[name]), name)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"The azure backend needs the package that holds {error.name!r}, which is not installed here "
            "(the SDK takes about 1 GB, so the base environment goes without it).",
            "make an environment with the SDK: make install-azure",
        ) from error


def __dir__() -> list[str]:
    return __all__


def _mend_widgets() -> None:
    """Give IPython 9 a name that it has dropped, and that azureml.widgets imports."""
    import IPython.core.display
    import IPython.display

    vars(IPython.core.display).setdefault("display", IPython.display.display)
