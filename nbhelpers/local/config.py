"""AutoMLConfig: what a search is asked for, checked when it is written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers import automl
from nbhelpers.errors import ConfigException, UserErrorException
from nbhelpers.local.compute import ComputeTarget
from nbhelpers.local.data_checks import data_problems
from nbhelpers.local.featurization import FeaturizationConfig
from nbhelpers.local.files import open_parquet
from nbhelpers.local.parameters import DatasetConsumptionConfig, PipelineParameter
from nbhelpers.local.sources import copy_atomically, is_parquet

if TYPE_CHECKING:
    import pandas as pd

    from nbhelpers.local.store import Store
    from nbhelpers.local.tabular import TabularDataset

#: The arguments for data, which a pipeline parameter may stand for as for a setting.
DATA, VALIDATION = "training_data", "validation_data"
TABLES = (DATA, VALIDATION)
OWN = ("path", "debug_log", "compute_target", *TABLES, "label_column_name")


class AutoMLConfig:
    """Data, target column and settings of an AutoML search.

    Everything is checked here, and one error lists all that is wrong (the SDK finds most of it only when the pipeline
    is built or runs, and ignores a misspelt name).

    Parameters
    ----------
    task : {"classification", "regression"}
    path : str or Path, optional
        The SDK's folder of scripts: not created, not copied and not part of what decides on reuse.
    compute_target : ComputeTarget
    training_data : TabularDataset, DatasetConsumptionConfig, DataFrame, str or Path
        A data set; here also a data frame, or the path of a CSV or Parquet file. A DatasetConsumptionConfig of a
        PipelineParameter makes it one that may be changed when the pipeline is submitted.
    validation_data : as training_data, optional
        Rows to judge models by, with the same columns; otherwise they are judged by rows of the training data.
    label_column_name : str
        The column to predict.
    debug_log : str, optional
        Accepted and not used: each run keeps its log.
    **settings
        The fields of `nbhelpers.automl.Settings` under the SDK's names, such as ``primary_metric``. Each may be a
        PipelineParameter, too.

    Raises
    ------
    ConfigException
        A setting is unknown or has a wrong value, or the data has no such label.

    Attributes
    ----------
    parameters : dict
        By name of a PipelineParameter: the ``setting`` that it stands for, its ``type`` and its ``default``.
    """

    def __init__(
        self,
        task: str,
        path: str | Path | None = None,
        *,
        compute_target: ComputeTarget | None = None,
        training_data: TabularDataset | DatasetConsumptionConfig | pd.DataFrame | str | Path | None = None,
        validation_data: TabularDataset | DatasetConsumptionConfig | pd.DataFrame | str | Path | None = None,
        label_column_name: str | None = None,
        debug_log: str = "automl.log",
        **settings: Any,
    ) -> None:
        self.path = path
        self.debug_log = debug_log
        problems: list[str] = []
        tables = {DATA: training_data, VALIDATION: validation_data}
        tables, settings, self.parameters = _defaults(tables, settings, problems)
        for name in list(settings):
            # A misspelt name of an argument above; misspelt settings are found by the engine.
            if near := get_close_matches(name, OWN, n=1, cutoff=0.8):
                del settings[name]
                problems.append(f"There is no setting {name!r}. Did you mean {near[0]!r}?")
        if not isinstance(compute_target, ComputeTarget):
            problems.append(
                f"compute_target={compute_target!r} is not a compute target: pass ComputeTarget(workspace, name)."
            )
        found: dict[str, TabularDataset] = {}
        for name, data in tables.items():
            try:
                if name == DATA or data is not None:
                    found[name] = _tabular(data)
            except UserErrorException as error:
                problems.append(f"{name}: {error.problem} {error.remedy}")
        if DATA in found:
            problems += data_problems(found[DATA], found.get(VALIDATION), label_column_name, task, settings)
        try:
            self.settings = automl.check_settings(task, settings, validation_data=validation_data is not None)
        except ConfigException as error:
            problems += lines_of(error)
        if problems or compute_target is None or label_column_name is None:
            raise ConfigException(
                "\n".join(["The AutoMLConfig cannot be used:", *(f"- {problem}" for problem in problems)]),
                "correct or remove what is named above",
            )
        self.task = task
        self.compute_target = compute_target
        self.training_data = found[DATA]
        self.validation_data = found.get(VALIDATION)
        self.label_column_name = label_column_name

    def definition(self) -> dict[str, Any]:
        """What a worker needs to run the search, as JSON."""
        store = self.compute_target.workspace.store
        return {
            **of_settings(self.settings, self.label_column_name),
            **of_data(self.training_data, store),
            "validation": of_data(self.validation_data, store) if self.validation_data is not None else None,
            "label_column_name": self.label_column_name,
            "compute_target": self.compute_target.name,
            "max_nodes": self.compute_target.max_nodes,
        }

    def __repr__(self) -> str:
        return f"AutoMLConfig(task={self.task!r}, label_column_name={self.label_column_name!r})"


def _defaults(
    tables: Mapping[str, Any], settings: Mapping[str, Any], problems: list[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    """Tables and settings with the defaults of pipeline parameters in their places, and those parameters."""
    parameters: dict[str, dict[str, Any]] = {}

    def default_of(setting: str, value: Any) -> Any:
        if not isinstance(value, PipelineParameter):
            return _plain(value)
        default = _plain(value.default_value)
        if value.name in parameters:
            problems.append(
                f"The pipeline parameter {value.name!r} stands for {parameters[value.name]['setting']} and {setting}: "
                "give each a parameter of its own."
            )
        kind = "dataset" if setting in TABLES else type(default).__name__
        parameters[value.name] = {"setting": setting, "type": kind, "default": default}
        return default

    given = {
        name: default_of(name, data.dataset) if isinstance(data, DatasetConsumptionConfig) else data
        for name, data in tables.items()
    }
    return given, {name: default_of(name, value) for name, value in settings.items()}, parameters


def _plain(value: Any) -> Any:
    """What can be stored as JSON for what cannot: a NumPy scalar, a FeaturizationConfig."""
    if isinstance(value, FeaturizationConfig):
        return value.to_settings()
    return value.item() if isinstance(value, np.generic) else value


def of_settings(checked: automl.Settings, label: str) -> dict[str, Any]:
    """The part of a step's definition that follows from its settings."""
    settings = checked.to_dict()
    folds = settings["n_cross_validations"]
    return {
        "settings": settings,
        "properties": {
            "task": checked.task,
            "primary_metric": settings["primary_metric"],
            "num_iterations": str(settings["iterations"]),
            "num_cross_validation": "auto" if folds is None else str(folds),
            "seed": str(settings["seed"]),
            "label_column_name": label,
            "AMLSettingsJsonString": json.dumps(settings),
        },
    }


def of_data(data: TabularDataset, store: Store) -> dict[str, Any]:
    """The part of a step's definition that follows from its data, which is in the workspace folder afterwards."""
    stored = data.materialize()
    table = store.data_folder / stored.name
    if not table.is_file():  # the data was read into another workspace folder
        copy_atomically(stored, table)
    table.touch()  # `nbhelpers clean` leaves a recent table alone until the run refers to it
    return {
        "dataset": f"{data.name}:{data.version}" if data.name else None,
        "data_digest": data.digest,
        "data_rows": open_parquet(table).metadata.num_rows,
    }


def table_of(step: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What `of_data` says of one of a step's `TABLES`; empty if it has none."""
    return step if name == DATA else step.get("validation") or {}


def name_of(step: Mapping[str, Any], name: str) -> str:
    """What stands for one of a step's tables where a text is needed: the name of its data set, or its digest."""
    table = table_of(step, name)
    return str(table["dataset"] or table["data_digest"])


def _tabular(data: Any) -> TabularDataset:
    """A table as a data set."""
    import pandas as pd

    from nbhelpers.local.dataset import Dataset, TabularDataset

    if isinstance(data, TabularDataset):
        return data
    if isinstance(data, pd.DataFrame):
        return Dataset.Tabular.from_pandas_dataframe(data)
    if isinstance(data, str | Path):
        if is_parquet(data):
            return Dataset.Tabular.from_parquet_files(data)
        return Dataset.Tabular.from_delimited_files(data)
    raise UserErrorException(
        f"{type(data).__name__} is not a data set.",
        "Pass a TabularDataset, a DatasetConsumptionConfig, a data frame or the path of a file.",
    )


def lines_of(error: ConfigException) -> list[str]:
    """The problems that an error lists."""
    lines = error.problem.splitlines()
    return [line.removeprefix("- ") for line in lines if line.startswith("- ")] or [error.problem]
