"""The models of child runs: a run stores that of the best one, any other is fitted when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbhelpers.errors import ModelError
from nbhelpers.local.children import finished_children
from nbhelpers.local.models import model_file, save_model
from nbhelpers.local.reuse import fingerprint_parts
from nbhelpers.local.store import Store
from nbhelpers.local.tables import checked_settings, read_tables


def child_model_file(store: Store, step: Mapping[str, Any], child_id: str) -> Path:
    """The file with the model of a completed child run that is not the best one, made in this process if need be.

    Parameters
    ----------
    store : Store
    step : mapping
        The row of the step run that the child belongs to.
    child_id : str

    Raises
    ------
    ModelError
        It cannot be fitted: its files are gone, or the engine or packages are others than those that trained it.
    DataError
        The training data is gone.
    """
    file = model_file(store, child_id)
    if not file.is_file():
        save_model(store, child_id, _fit(store, step, child_id))
    return file


def _fit(store: Store, step: Mapping[str, Any], child_id: str) -> Any:
    from nbhelpers.automl.refitting import fit_child

    definition = step["definition"]
    trained, here = definition["fingerprint_parts"], fingerprint_parts(definition)
    again = "run the pipeline again with regenerate_outputs=True"
    if (trained["engine"], trained["packages"]) != (here["engine"], here["packages"]):
        raise ModelError(
            f"Child run {child_id} was trained by another version of the engine or its packages, so that its model "
            "cannot be fitted here.",
            f"use the best model of its run, or {again}",
        )
    children = finished_children(store, step["id"])
    child = children.get(child_id)
    of = {other.iteration: other for other in children.values()}
    if child is None or not of.keys() >= child.weights.keys():
        raise ModelError(f"The files of child run {child_id}, or of its members, are gone.", again)
    members = [of[iteration] for iteration in sorted(child.weights)]
    training, validation = read_tables(store, definition)
    return fit_child(*training, checked_settings(definition), child, members, validation=validation)
