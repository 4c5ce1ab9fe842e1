"""Deployed models of small tables, without the processes of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nbhelpers.automl import SerialPool, check_settings, search
from nbhelpers.local import Dataset, Model, Webservice, Workspace
from nbhelpers.local.models import save_model
from nbhelpers.local.registry import register
from nbhelpers.local.store import runs

from .rows import add_run

LABELS = {
    "text": ["no", "yes"],
    "truth": [False, True],
    "whole": [3, 5, 7],
    "fraction": [0.5, 1.5],
    "many": [f"class {number}" for number in range(12)],
}


def mixed(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """A column of each kind, with and without missing values, and of each kind of label one that follows from them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"amount": rng.normal(100, 30, rows), "age": rng.integers(18, 90, rows)})
    frame["share"] = np.where(rng.random(rows) < 0.2, np.nan, rng.random(rows))
    frame["visits"] = pd.array(np.where(rng.random(rows) < 0.2, None, rng.integers(0, 2**40, rows)), dtype="Int64")
    frame["job"] = rng.choice(["admin.", "técnico", "student", None], rows)
    frame["member"] = rng.random(rows) < 0.5
    frame["answered"] = rng.choice([True, False, None], rows)
    frame["since"] = pd.Timestamp("2020-01-01 07:30") + pd.to_timedelta(rng.integers(0, 900, rows), "D")
    frame["seen"] = frame["since"].where(rng.random(rows) < 0.8)
    words = ["the", "old", "blue", "ship", "sailed", "home", "again"]
    frame["note"] = [" ".join(rng.choice(words, 6)) + f" {number}" for number in range(rows)]
    frame["code"] = [f"{number:04d}" for number in rng.integers(0, 9999, rows)]
    frame["empty"] = pd.Series([None] * rows, dtype=object)
    value = frame["amount"] + 40 * frame["member"] + rng.normal(0, 5, rows)
    for name, labels in LABELS.items():
        frame[name] = np.array(labels)[pd.qcut(value, len(labels), labels=False)]
    frame["quantity"] = value
    return frame


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """A `mixed` table without its labels."""
    return frame.drop(columns=[*LABELS, "quantity"])


def register_model(workspace: Workspace, frame: pd.DataFrame, label: str, name: str = "bank", **settings: Any) -> Model:
    """Train on a table, in this process, and register the model; the label ``quantity`` makes it a regression."""
    task = "regression" if label == "quantity" else "classification"
    dataset = Dataset.Tabular.register_pandas_dataframe(
        frame, workspace.get_default_datastore(), name, show_progress=False
    )
    X = dataset.to_pandas_dataframe()
    y = X.pop(label)
    given = {"iterations": 4, "n_cross_validations": 2, "blocked_models": ["RandomForest"]} | settings
    result = search(X, y, check_settings(task, given), pool=SerialPool())
    _, step_id = add_run(workspace.store, table=dataset.digest)
    definition = {"data_digest": dataset.digest, "label_column_name": label}
    with workspace.store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == step_id).values(definition=definition))
    digest = save_model(workspace.store, step_id, result.model)
    return register(workspace, step_id, digest, name, None, None)


def deploy(workspace: Workspace, frame: pd.DataFrame, label: str, name: str = "bank", **settings: Any) -> Webservice:
    """As `register_model`, and deploy it under the same name."""
    return Model.deploy(workspace, name, [register_model(workspace, frame, label, name, **settings)])
