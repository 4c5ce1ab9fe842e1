"""From notebook parameters to a training and a test set, on any backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from unicodedata import combining, normalize
from urllib.parse import urlsplit

from nbhelpers.automl import (
    Settings,
    check_rows,
    check_settings,
    has_label,
    infer_task,
    read_label,
    stratified_split,
)
from nbhelpers.azure.uploading import upload
from nbhelpers.backend import Backend, connect
from nbhelpers.bundled import BUNDLED, bundled_data
from nbhelpers.errors import DataError, UserErrorException, nearest
from nbhelpers.local.column_types import is_number
from nbhelpers.local.sources import display_name, is_parquet, is_url, local_file
from nbhelpers.metrics import PRIMARY_METRICS
from nbhelpers.results.frames import as_frame
from nbhelpers.results.models import read_truth

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PreparedData:
    """A registered training and test set.

    Attributes
    ----------
    train, test : TabularDataset
        The backend's registered data sets. The training set has tags: label, task, test_dataset, and
        synthetic where that is known of it.
    label : str
        The column to predict.
    task : {"classification", "regression"}
    """

    train: Any
    test: Any
    label: str
    task: str


def prepare_data(
    ml: Backend,
    workspace: Any,
    data: str,
    test_data: str = "",
    *,
    label: str,
    task: str = "auto",
    test_size: float = 0.2,
    dataset_name: str = "",
    seed: int = 0,
) -> PreparedData:
    """Open the data that the parameters name, split off a test set where none is given, and register both.

    Nothing is registered before all of it has been checked.

    Parameters
    ----------
    ml : Backend
        From `connect`.
    workspace : Workspace
        Where data sets are looked up and registered.
    data : str
        A bundled data set, a data set registered in the workspace, or the path or URL of a CSV or Parquet file. On
        Azure, files of this machine and bundled data are read here, and uploaded to the default datastore.
    test_data : str, default ""
        Likewise, rows to test on. Empty: the bundled test set, or `test_size` of the rows of `data`, drawn at random
        with `seed`, for classification with the same share of each class.
    label : str
        The column to predict.
    task : {"auto", "classification", "regression"}
        Auto: regression if the label is a number with many values.
    test_size : float, default 0.2
        Share of the rows to test on, above 0 and below 1.
    dataset_name : str, default ""
        Name of the training set; the test set's has ``-test`` appended. Empty: derived from `data`.
    seed : int, default 0

    Raises
    ------
    DataError
        The data or its label cannot be used.
    UserErrorException
        A parameter cannot be used.
    """
    _check_task(task)
    _check_test_size(test_size)
    name = dataset_name or _dataset_name(data)
    if name in BUNDLED and data != name:
        raise UserErrorException(
            f"{_shown(data)!r} cannot be registered as {name!r}: that is the name of bundled, synthetic data.",
            "set dataset_name to a name of its own",
        )
    train = _open(ml, workspace, data)
    frame = as_frame(train)
    _require_columns(frame, [label], "label column", data)
    task = infer_task(frame[label]) if task == "auto" else task
    read_label(frame[label][has_label(frame[label])], task)  # refused before the split, whose errors know less
    check_rows(frame.drop(columns=label), frame)
    if data in BUNDLED:
        description, synthetic = bundled_data(data).description, bundled_data(data).synthetic
    else:
        description, synthetic = f"From {_shown(data)}", "synthetic" in (getattr(train, "tags", None) or {})
    test: Any
    if test_data or data in BUNDLED:
        test = _open(ml, workspace, test_data) if test_data else _open_file(ml, str(bundled_data(data).test))
        test_frame = as_frame(test)
        _require_columns(test_frame, list(frame.columns), "column", test_data)
    else:
        frame, test_frame = stratified_split(frame, label, test_size, seed, task)
        train, test = frame, test_frame
        # A registered data set keeps its name; the part of it that trains is another one.
        name = f"{name}-train" if name == data else name
    _check_test(frame, test_frame, label, task)
    test = _register(ml, workspace, test, f"{name}-test", description, {"label": label, "task": task})
    tags = {"label": label, "task": task, "test_dataset": f"{test.name}:{test.version}"}
    if synthetic:
        tags["synthetic"] = "yes"
    return PreparedData(_register(ml, workspace, train, name, description, tags), test, label, task)


def check_values(values: Mapping[str, Any], workspace: Any = None) -> None:
    """Check parameters of the notebooks before one of them runs, by the rules that they apply on the local backend.

    What depends on the data, such as the label, is left to the notebooks.

    Parameters
    ----------
    values : mapping of str to object
        Parameters of any of the notebooks, with values of their types.
    workspace : Workspace, optional
        Where data sets are looked up; None where there is none yet.

    Raises
    ------
    DataError
        The data does not exist, or is no file that can be read.
    ConfigException
        Settings of the training cannot be used.
    UserErrorException
        `task` or `test_size` cannot be used.
    """
    task = values.get("task", "auto")
    _check_task(task)
    if "test_size" in values:
        _check_test_size(values["test_size"])
    if "data" in values:
        _check_source(values["data"], workspace)
    if test_data := values.get("test_data"):
        _check_source(test_data, workspace)
    if task == "auto":  # by the metric, as the label is not known yet
        near = nearest(values.get("primary_metric", ""), sum(PRIMARY_METRICS.values(), ()))
        task = next((task for task, metrics in PRIMARY_METRICS.items() if near in metrics), "classification")
    # Where a notebook takes "auto", it leaves the setting out.
    names = Settings.__annotations__.keys() - {"task"}
    check_settings(task, {name: value for name, value in values.items() if name in names and value != "auto"})


def find_dataset(ml: Backend, experiment: Any, dataset_name: str = "latest") -> Any:
    """Get a registered data set.

    Parameters
    ----------
    ml : Backend
    experiment : Experiment
    dataset_name : str, default "latest"
        ``NAME`` or ``NAME:VERSION``; latest: the one that 02_data.ipynb registered last for this experiment.

    Raises
    ------
    UserErrorException
        There is no such data set.
    """
    name, _, version = dataset_name.partition(":")
    if dataset_name == "latest":
        tags = experiment.tags or {}
        if "dataset" not in tags:
            raise UserErrorException(
                f"No data is registered for the experiment {experiment.name!r} yet.",
                "run 02_data.ipynb first, with the same experiment_name",
            )
        name, _, version = tags["dataset"].partition(":")
    if version and not version.isdigit():
        raise UserErrorException(
            f"{version!r} in {dataset_name!r} is not the number of a version.", f"write {name}, or {name}:1"
        )
    return ml.Dataset.get_by_name(experiment.workspace, name, version=int(version) if version else "latest")


def find_test_dataset(ml: Backend, experiment: Any, run: Any) -> Any:
    """Get the test set that belongs to the training set of a run.

    Parameters
    ----------
    ml : Backend
    experiment : Experiment
    run : PipelineRun
        Has the tag ``test_dataset``, which 03_train.ipynb gives its runs.

    Raises
    ------
    UserErrorException
        The run has no such tag, or there is no such data set.
    """
    if "test_dataset" not in run.tags:
        raise UserErrorException(
            f"Run {run.id} has no tag 'test_dataset', so its test set is not known.",
            "name one that has the columns of its training data: run.set_tags({'test_dataset': 'NAME:VERSION'})",
        )
    return find_dataset(ml, experiment, run.tags["test_dataset"])


def _check_task(task: str) -> None:
    if task not in ("auto", "classification", "regression"):
        raise UserErrorException(
            f"The task {task!r} is unknown.", "set task to 'auto', 'classification' or 'regression'"
        )


def _check_test_size(test_size: float) -> None:
    if not 0 < test_size < 1:
        raise UserErrorException(
            f"test_size={test_size!r} is not a share between 0 and 1.", "choose a share such as 0.2"
        )


def _check_source(data: str, workspace: Any) -> None:
    """Look whether there is data of this name or path; a URL is not asked yet."""
    if not (data in BUNDLED or is_url(data) or (workspace is not None and data in workspace.datasets)):
        local_file(data, Path())


def _open(ml: Backend, workspace: Any, data: str) -> Any:
    if data in BUNDLED:
        return _open_file(ml, str(bundled_data(data).train))
    if data in workspace.datasets:
        return workspace.datasets[data]
    return _open_file(ml, data)


def _open_file(ml: Backend, path: str) -> Any:
    """A data set; on Azure, whose SDK refuses files of this machine, these as a data frame, which is uploaded later."""
    if ml.name == "azure" and not is_url(path):
        return _open_file(connect("local"), path).to_pandas_dataframe()
    if is_parquet(path):
        return ml.Dataset.Tabular.from_parquet_files(path)
    return ml.Dataset.Tabular.from_delimited_files(path)


def _require_columns(frame: Any, wanted: list[str], what: str, data: str) -> None:
    for column in wanted:
        if column not in frame.columns:
            near = nearest(column, frame.columns)
            shown = ", ".join(map(str, frame.columns[:30])) + (", …" if len(frame.columns) > 30 else "")
            if what == "column":
                remedy = "give test_data with all columns of data, the label too"
            elif any(is_number(str(name)) for name in frame.columns):
                remedy = "write the names of the columns into the first line: it holds numbers"
            elif near:
                remedy = f"name {near!r} instead, or correct the data"
            else:
                remedy = "name another column, or correct the data"
            raise DataError(
                f"The {what} {column!r} is not in {_shown(data)}, which has: {shown}.",
                remedy,
            )


def _check_test(train: pd.DataFrame, test: pd.DataFrame, label: str, task: str) -> None:
    """Refuse now what would end the test after the training."""
    _, classes, _ = read_label(train[label][has_label(train[label])], task)
    truth = test[label][has_label(test[label])]
    if truth.empty:
        raise DataError(f"No row of the test set has a label in column {label!r}.", "give rows whose label is known")
    try:
        read_truth(truth, None if classes is None else classes.tolist())
        check_rows(train.drop(columns=label), test)
    except DataError as error:
        raise DataError(f"The test set cannot be used. {error.problem}", error.remedy) from None


def _register(ml: Backend, workspace: Any, table: Any, name: str, description: str, tags: dict[str, str]) -> Any:
    if ml.name == "azure" and not hasattr(table, "register"):
        return upload(workspace, table, name, description, tags)
    if ml.name == "azure" and table.name == name:  # it is registered: the SDK makes no second version of the same
        return table.add_tags(tags)
    if hasattr(table, "register"):
        return table.register(workspace, name, description=description, tags=tags, create_new_version=True)
    target = (workspace.get_default_datastore(), f"nbhelpers/{name}")
    return ml.Dataset.Tabular.register_pandas_dataframe(table, target, name, description=description, tags=tags)


def _shown(data: str) -> str:
    """The data's name without the folders of this machine, or the secrets of a URL."""
    return display_name(data) if "://" in data else PurePosixPath(data.replace("\\", "/")).name


def _dataset_name(data: str) -> str:
    if data in BUNDLED:
        return data
    stem = PurePosixPath(urlsplit(data).path.replace("\\", "/")).name.split(".")[0]
    stem = "".join(letter for letter in normalize("NFKD", stem) if not combining(letter))  # ä becomes a
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "data"
