"""Taking over the results of an earlier run of the same step, whole or in part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nbhelpers import automl, metrics
from nbhelpers.local.children import LOST, finished_children
from nbhelpers.local.config import DATA, TABLES, VALIDATION, table_of
from nbhelpers.local.models import model_file, package_versions
from nbhelpers.local.processes import CANCELED, RUNNING, settle
from nbhelpers.local.store import Store, now, runs

#: Settings that change how fast a search is, not what it finds.
SPEED = ("max_concurrent_iterations", "max_cores_per_iteration")
_CHILD = runs.alias("child")
#: A child of the run was lost with its process, so that another try may find more.
_HAS_LOST = (
    sa.select(_CHILD.c.id).where(_CHILD.c.parent_id == runs.c.id, _CHILD.c.error["code"].as_string() == LOST).exists()
)
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
    running : RowMapping or None
        The step run that is at work on the same; what it leaves is taken over when it has ended.
    """

    why: str
    original: sa.RowMapping | None = None
    interrupted: sa.RowMapping | None = None
    running: sa.RowMapping | None = None


def fingerprint_parts(step: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides the result of an AutoML step.

    Parameters
    ----------
    step : mapping
        The step's definition.

    Returns
    -------
    dict
        ``settings``, ``data`` (digest of the content), ``validation`` (that of the validation data, or None),
        ``label``, ``version`` (of the step), ``engine`` (digest of its sources) and ``packages`` (versions of those
        that matter to a model, or to the search for it).
    """
    folders = [Path(str(package.__file__)).parent for package in (automl, metrics)]
    sources = [source for folder in folders for source in sorted(folder.rglob("*.py"))]
    engine = hashlib.sha256(b"".join(source.name.encode() + source.read_bytes() for source in sources))
    return {
        "settings": {name: _canonical(name, value) for name, value in step["settings"].items() if name not in SPEED},
        "data": step["data_digest"],
        "validation": table_of(step, VALIDATION).get("data_digest"),
        "label": step["label_column_name"],
        "version": step["version"],
        "engine": engine.hexdigest(),
        "packages": package_versions() | {"optuna": metadata.version("optuna")},
    }


def _canonical(name: str, value: Any) -> Any:
    """A setting in the one form of all that mean the same: models in any order, 15 and 15.0."""
    if name in ("allowed_models", "blocked_models") and value is not None:
        return sorted(set(value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fingerprint(parts: Mapping[str, Any]) -> str:
    """One digest of the parts: steps with the same one have the same result."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def find_reusable(
    store: Store,
    step: Mapping[str, Any],
    parts: Mapping[str, Any],
    regenerate_outputs: bool = False,
    before: str | None = None,
) -> Reuse:
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
    before : str, optional
        Only runs that were created earlier than this; by default all.
    """
    if not step["allow_reuse"]:
        return Reuse("new run: allow_reuse is False")
    if regenerate_outputs:
        return Reuse("new run: regenerate_outputs is True")
    same = sa.select(runs).where(runs.c.fingerprint == fingerprint(parts), runs.c.created < (before or now()))
    same = same.order_by(runs.c.created.desc())
    for row in store.all(same.where(runs.c.status.in_(RUNNING))):
        settle(store, row["parent_id"])
    for row in store.all(same.where(runs.c.status == "Finished", ~_HAS_LOST)):
        if model_file(store, row["id"]).is_file():
            rows = " and ".join(f"{table['data_rows']:,}" for name in TABLES if (table := table_of(step, name)))
            what = f"settings, the data ({rows} rows), label, engine and package versions"
            return Reuse(f"reused: {what} are those of run {row['parent_id']}", original=row)
    if running := store.all(same.where(runs.c.status.in_(RUNNING))):
        first = running[-1]  # the later ones wait for it themselves
        return Reuse(f"waits for run {first['parent_id']}, which is at work on the same", running=first)
    for row in store.all(same.where(runs.c.status.in_(("Failed", "Canceled")) | _HAS_LOST)):
        finished = finished_children(store, row["id"]).values()
        if any(child.status == "Completed" for child in finished):
            return continued(row, finished)
    return Reuse(_why_new(store, step, parts))


def continued(row: sa.RowMapping, finished: Iterable[automl.Child]) -> Reuse:
    """What a run takes over that goes on where another one stopped: its step's row, and its finished children."""
    kept = sum(not child.lost for child in finished)
    how = "was cancelled" if row["error"] == CANCELED else "failed"
    if row["status"] == "Finished":
        how = "lost processes of child runs"
    return Reuse(
        f"continued: run {row['parent_id']} {how}, and its {kept} finished child runs are kept", interrupted=row
    )


def reused_values(original: sa.RowMapping, properties: Mapping[str, str]) -> dict[str, Any]:
    """Columns of the row of a step run that takes over the outputs of another.

    Parameters
    ----------
    original : RowMapping
        The row of the other one.
    properties : mapping
        The properties so far.
    """
    links = {
        "azureml.reusedrunid": original["id"],
        "azureml.reusednodeid": original["properties"]["azureml.nodeid"],
        "azureml.reusedpipeline": original["parent_id"],
    }
    return {
        "fingerprint": None,  # what is reused is the original, never its copy
        "properties": original["properties"] | properties | links,
        "tags": original["tags"],
    }


def find_later(store: Store, row: sa.RowMapping) -> sa.RowMapping | None:
    """The step run, submitted later than another one, that is at work on the same or has finished it."""
    same = runs.c.fingerprint == row["fingerprint"], runs.c.created > row["created"]
    for later in store.all(sa.select(runs).where(*same, runs.c.status.in_(RUNNING))):
        settle(store, later["parent_id"])
    wanted = sa.select(runs).where(*same, runs.c.status.in_((*RUNNING, "Finished")))
    return store.one(wanted.order_by(runs.c.created.desc()))


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
    for part, name, words in (("data", DATA, "data"), ("validation", VALIDATION, "validation data")):
        if before.get(part) != parts[part]:
            found.append(f"{words} ({_difference(table_of(old, name), table_of(new, name))})")
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
    changed = {row["parent_id"]: changes(row["definition"], step, parts) for row in latest}
    same_rows = {row["parent_id"]: row["definition"]["data_rows"] == step["data_rows"] for row in latest}
    nearest = min(changed, key=lambda run_id: (len(changed[run_id]), not same_rows[run_id]))
    if not changed[nearest]:
        return f"new run: the outputs of run {nearest} are gone"
    return f"new run: changed since run {nearest}: {', '.join(changed[nearest])}"


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two tables, either of which may be missing."""
    rows, rows_now = (f"{table['data_rows']:,}" if table else "none" for table in (old, new))
    return f"{rows} to {rows_now} rows" if rows != rows_now else f"other content, {rows} rows"


def _differences(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = [*old, *(name for name in new if name not in old)]
    return [f"{kind}{name} {old.get(name)!s} to {new.get(name)!s}" for name in names if old.get(name) != new.get(name)]
