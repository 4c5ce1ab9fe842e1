"""Taking over the results of an earlier run of the same step, whole or in part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nbhelpers import automl, metrics
from nbhelpers.local.children import finished_children
from nbhelpers.local.models import model_file, package_versions
from nbhelpers.local.processes import CANCELED, RUNNING, settle
from nbhelpers.local.store import Store, runs

#: Settings that change how fast a search is, not what it finds.
SPEED = ("max_concurrent_iterations", "max_cores_per_iteration")
#: So many of the latest runs are compared to say what has changed.
_COMPARED = 20


@dataclass(frozen=True)
class Reuse:
    """What a new run takes over, and why.

    Attributes
    ----------
    why : str
        For the reader.
    original : RowMapping or None
        The finished step run whose outputs are taken over.
    interrupted : RowMapping or None
        The step run that stopped too early, and whose finished children are taken over.
    """

    why: str
    original: sa.RowMapping | None = None
    interrupted: sa.RowMapping | None = None


def fingerprint_parts(step: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides the result of an AutoML step.

    Parameters
    ----------
    step : mapping
        The step's definition.

    Returns
    -------
    dict
        ``settings``, ``data`` (digest of the content), ``label``, ``version`` (of the step), ``engine`` (digest of its
        sources) and ``packages`` (versions of those that matter to a model).
    """
    folder = Path(str(automl.__file__)).parent
    sources = [*sorted(folder.rglob("*.py")), Path(str(metrics.__file__))]
    engine = hashlib.sha256(b"".join(source.name.encode() + source.read_bytes() for source in sources))
    return {
        "settings": {name: value for name, value in step["settings"].items() if name not in SPEED},
        "data": step["data_digest"],
        "label": step["label_column_name"],
        "version": step["version"],
        "engine": engine.hexdigest(),
        "packages": package_versions(),
    }


def fingerprint(parts: Mapping[str, Any]) -> str:
    """One digest of the parts: steps with the same one have the same result."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_reusable(store: Store, step: Mapping[str, Any], parts: Mapping[str, Any], regenerate_outputs: bool) -> Reuse:
    """Look for an earlier run of a step with the same fingerprint.

    Parameters
    ----------
    store : Store
    step : mapping
        The step's definition.
    parts : mapping
        Its `fingerprint_parts`.
    regenerate_outputs : bool
        Take over nothing.
    """
    if not step["allow_reuse"]:
        return Reuse("new run: allow_reuse is False")
    if regenerate_outputs:
        return Reuse("new run: regenerate_outputs is True")
    same = sa.select(runs).where(runs.c.fingerprint == fingerprint(parts)).order_by(runs.c.created.desc())
    for row in store.all(same.where(runs.c.status.in_(RUNNING))):
        settle(store, row["parent_id"])
    for row in store.all(same.where(runs.c.status == "Finished")):
        if model_file(store, row["id"]).is_file():
            data = f"the data ({step['data_rows']:,} rows)"
            return Reuse(
                f"reused: settings, {data}, label, engine and package versions are those of run {row['id']}", row
            )
    for row in store.all(same.where(runs.c.status.in_(("Failed", "Canceled")))):
        finished = finished_children(store, row["id"]).values()
        if any(child.status == "Completed" for child in finished):
            how = "cancelled" if row["error"] == CANCELED else "interrupted"
            return Reuse(f"continued: run {row['id']} was {how} after {len(finished)} child runs", interrupted=row)
    return Reuse(_why_new(store, step, parts))


def changes(old: Mapping[str, Any], new: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """What differs between the definitions of two step runs, as phrases.

    Parameters
    ----------
    old : mapping
        Definition of a step run, with ``fingerprint_parts``.
    new : mapping
        Definition of a step.
    parts : mapping
        The `fingerprint_parts` of `new`.
    """
    before = old["fingerprint_parts"]
    found = _differences("", before["settings"], parts["settings"])
    if before["data"] != parts["data"]:
        rows, rows_now = f"{old['data_rows']:,}", f"{new['data_rows']:,}"
        found.append(f"data ({rows} → {rows_now} rows)" if rows != rows_now else f"data (other values in {rows} rows)")
    found += _differences("", {"label": before["label"]}, {"label": parts["label"]})
    found += _differences("step ", {"version": before["version"]}, {"version": parts["version"]})
    if before["engine"] != parts["engine"]:
        found.append("sources of the engine")
    return found + _differences("package ", before["packages"], parts["packages"])


def _why_new(store: Store, step: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """Compare with the most similar of the latest runs."""
    finished = sa.select(runs).where(
        runs.c.kind == "step", runs.c.status == "Finished", runs.c.fingerprint.is_not(None)
    )
    latest = store.all(finished.order_by(runs.c.created.desc()).limit(_COMPARED))
    if not latest:
        return "new run: no earlier run has finished"
    changed = {row["id"]: changes(row["definition"], step, parts) for row in latest}
    nearest = min(changed, key=lambda run_id: len(changed[run_id]))
    if not changed[nearest]:
        return f"new run: the outputs of run {nearest} are gone"
    return f"new run: changed since run {nearest}: {', '.join(changed[nearest])}"


def _differences(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = [*old, *(name for name in new if name not in old)]
    return [f"{kind}{name} {old.get(name)!s} → {new.get(name)!s}" for name in names if old.get(name) != new.get(name)]
