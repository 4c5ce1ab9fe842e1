"""What a search works on, as the definition of a step says it: its settings, and its tables without their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbhelpers import automl
from nbhelpers.local.config import DATA, VALIDATION, table_of
from nbhelpers.local.dataset import Dataset
from nbhelpers.local.store import Store
from nbhelpers.local.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    Table = tuple[pd.DataFrame, pd.Series[Any]]


def checked_settings(step: Mapping[str, Any]) -> automl.Settings:
    """The settings of a step's definition."""
    settings = dict(step["settings"])
    has_validation = bool(table_of(step, VALIDATION))
    return automl.check_settings(settings.pop("task"), settings, validation_data=has_validation)


def read_tables(store: Store, step: Mapping[str, Any]) -> tuple[Table, Table | None]:
    """The training data of a step's definition and its validation data, each as columns and label.

    Raises
    ------
    DataError
        A table is no longer there.
    """
    training = _read(store, step, DATA)
    return training, _read(store, step, VALIDATION) if table_of(step, VALIDATION) else None


def _read(store: Store, step: Mapping[str, Any], name: str) -> Table:
    frame = Dataset.from_digest(Workspace(store), table_of(step, name)["data_digest"]).to_pandas_dataframe()
    label = frame.pop(step["label_column_name"])
    return frame, label
