"""Taking over the results of an earlier run of the same step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nbhelpers import automl, metrics
from nbhelpers.local.models import model_file, package_versions
from nbhelpers.local.store import Store, runs

#: Settings that change how fast a search is, not what it finds.
SPEED = ("max_concurrent_iterations", "max_cores_per_iteration")


def fingerprint_parts(step: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each thing that decides the result of an AutoML step.

    Parameters
    ----------
    step : mapping
        The step's definition.

    Returns
    -------
    dict
        Digest by ``settings``, ``data``, ``label``, ``version`` (of the step), ``engine`` (its sources) and
        ``packages`` (versions of those that matter to a model).
    """
    engine = Path(str(automl.__file__)).parent
    sources = [*sorted(engine.rglob("*.py")), Path(str(metrics.__file__))]
    parts = {
        "settings": {name: value for name, value in step["settings"].items() if name not in SPEED},
        "data": step["data_digest"],
        "label": step["label_column_name"],
        "version": step["version"],
        "engine": [(source.name, source.read_text(encoding="utf-8")) for source in sources],
        "packages": package_versions(),
    }
    return {name: _digest(part) for name, part in parts.items()}


def find_reusable(
    store: Store, step: Mapping[str, Any], parts: Mapping[str, str], regenerate_outputs: bool
) -> tuple[sa.RowMapping | None, str]:
    """The newest finished run of a step with the same fingerprint, and why it is or is not reused.

    Returns
    -------
    row : RowMapping or None
    why : str
    """
    if not step["allow_reuse"]:
        return None, "new run: allow_reuse is False"
    if regenerate_outputs:
        return None, "new run: regenerate_outputs is True"
    finished = sa.select(runs).where(runs.c.kind == "step", runs.c.status == "Finished")
    # Runs that were reused themselves carry no fingerprint.
    candidates = [
        row
        for row in store.all(finished.order_by(runs.c.created.desc()))
        if row["definition"].get("fingerprint") and model_file(store, row["id"]).is_file()
    ]
    for row in candidates:
        if row["definition"]["fingerprint"] == parts:
            return row, f"reused: {', '.join(parts)} are those of run {row['id']}"
    if not candidates:
        return None, "new run: no earlier run has finished"
    newest = candidates[0]
    changed = [name for name, digest in parts.items() if newest["definition"]["fingerprint"].get(name) != digest]
    return None, f"new run: {', '.join(changed)} changed since run {newest['id']}"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
