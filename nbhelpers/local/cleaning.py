"""What a workspace folder holds, and its removal: what is old, what nothing refers to, or all of it."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Collection
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, Timeout

from nbhelpers.batch.clean import bytes_in
from nbhelpers.errors import StoreError
from nbhelpers.local.processes import RUNNING, settle_all
from nbhelpers.local.store import (
    Store,
    datasets,
    models,
    published_pipelines,
    registered_models,
    runs,
    slots,
    webservices,
)
from nbhelpers.local.tokens import remove_expired

#: What a workspace folder consists of. Anything else that lies there is not ours to remove.
PARTS = {
    "data": ["data"],
    "runs": ["runs"],
    "store": ["workspace.db", "workspace.db-wal", "workspace.db-shm"],
    "service": ["service.json", "service.lock", "service.users.lock", "service.log"],
    "emulator": ["emulator"],
}
#: Locks that are held while a workspace is used: by what, and how to end that.
LOCKS = {
    "service.lock": ("its service is running", "End `nbhelpers serve`, or the program that uses `nbhelpers.serving`."),
    "emulator/lock": ("an emulator is running", "End `nbhelpers emulate`."),
}
ALIVE = 120  # seconds since the last heartbeat within which a run counts as running
#: Seconds for which a file stays although no row names it: its process may be about to write the row.
GRACE = 60 * 60

_TABLE = re.compile(r"[0-9a-f]{64}\.parquet")
_RUN_FOLDER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(_\d+)?")


@dataclass(frozen=True)
class OldRun:
    """A pipeline run that can be removed, with its step and children.

    Attributes
    ----------
    id, experiment, status : str
    ended : datetime
    folders : list of Path
        What it and its parts have written.
    size : int
        Bytes in them.
    """

    id: str
    experiment: str
    status: str
    ended: datetime
    folders: list[Path]
    size: int


@dataclass(frozen=True)
class Plan:
    """What would be removed.

    Attributes
    ----------
    before : str
        The time before which runs must have ended.
    runs : list of OldRun
        Oldest first.
    leftovers : dict
        Bytes by path: tables that nothing refers to once those runs are gone, and folders of runs that are not in the
        store.
    kept : dict
        Why a run stays, by its id: it has not ended, or is old but needed, or its model is registered.
    """

    before: str
    runs: list[OldRun]
    leftovers: dict[Path, int]
    kept: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes that would become free."""
        return sum(run.size for run in self.runs) + sum(self.leftovers.values())


def find_workspace(home: Path) -> dict[str, int] | None:
    """Bytes in a workspace folder, by `PARTS`; None if there is none.

    Raises
    ------
    StoreError
        The folder is not a workspace.
    """
    if not home.is_dir() or not any(home.iterdir()):
        return None
    if not (home / "workspace.db").is_file():
        raise StoreError(
            f"{home} holds no workspace.db, so it is not a workspace folder; nothing in it will be removed.",
            "Set NBHELPERS_HOME to the folder of the workspace, or unset it.",
        )
    return {part: sum(bytes_in(home / name) for name in names) for part, names in PARTS.items()}


def count(store: Store) -> dict[str, int]:
    """Number of things in a workspace, by what they are called."""
    names = [row["name"] for row in store.all(sa.select(datasets.c.name))]
    kinds = [row["kind"] for row in store.all(sa.select(runs.c.kind))]
    return {
        "data sets": len(set(names)),
        "versions": len(names),
        "tables": sum(1 for path in store.data_folder.iterdir() if _TABLE.fullmatch(path.name)),
        "runs": kinds.count("pipeline"),
        "child runs": kinds.count("child"),
        "models": len(store.all(sa.select(models.c.digest))),
        "published pipelines": len(store.all(sa.select(published_pipelines.c.id))),
        "registered models": len(store.all(sa.select(registered_models.c.name))),
        "web services": len(store.all(sa.select(webservices.c.name))),
    }


def plan_removal(store: Store, days: float) -> Plan:
    """Find what is old. Nothing is removed, but runs whose worker is gone are ended.

    Parameters
    ----------
    store : Store
    days : float
        Runs are old that ended at least so many days ago.
    """
    settle_all(store)
    before = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    with store.reading() as connection:
        old, kept = _old_runs(connection, before)
        parts = _parts(connection, [row["id"] for row in old])
        found = []
        for row in old:
            folders = [path for part in parts[row["id"]] if (path := store.run_folder(part)).is_dir()]
            size = sum(map(bytes_in, folders))
            ended = datetime.fromisoformat(row["ended"])
            found.append(OldRun(row["id"], row["experiment"], row["status"], ended, folders, size))
        gone = {part for ids in parts.values() for part in ids}
        leftovers = {path: bytes_in(path) for path in [*_tables(connection, store, gone), *_folders(connection, store)]}
    return Plan(before, found, leftovers, kept)


def remove(store: Store, plan: Plan) -> None:
    """Remove what is in a plan, except what has been reused or referred to since.

    Rows go first and at once, then files: whenever this is interrupted, the next plan finds what is left. Tokens that
    have expired go, too.
    """
    with store.writing() as connection:
        still = {row["id"] for row in _old_runs(connection, plan.before)[0]}
        old = [run for run in plan.runs if run.id in still]
        _delete_rows(connection, [run.id for run in old])
        remove_expired(connection)
    for folder in (folder for run in old for folder in run.folders):
        with suppress(FileNotFoundError):  # another clean-up was faster
            shutil.rmtree(folder)
    with store.writing() as connection:  # nobody can refer to a table while it is removed
        for path in plan.leftovers.keys() & set(_tables(connection, store)):
            path.unlink(missing_ok=True)
        folders = plan.leftovers.keys() & set(_folders(connection, store))
    for folder in folders:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def shrink(store: Store) -> bool:
    """Give the space of removed rows back to the disk, if no other process is writing; whether it was done."""
    with closing(sqlite3.connect(store.home / "workspace.db", timeout=0)) as connection:
        try:
            connection.execute("VACUUM")
            busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:  # locked, or no room for the copy that VACUUM makes
            return False
    return not busy


def check_idle(home: Path) -> None:
    """Refuse a workspace in which a run is alive, or that is being served or emulated. It may be of any schema.

    Raises
    ------
    StoreError
        A run is alive, a process of `LOCKS` is running, or the store cannot be read.
    """
    for name, (user, remedy) in LOCKS.items():
        try:
            if (lock := home / name).exists():
                FileLock(lock, timeout=0).acquire().lock.release()
        except Timeout:
            raise StoreError(f"The workspace {home} is in use: {user}.", remedy) from None
    try:
        with closing(sqlite3.connect(f"{(home / 'workspace.db').as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT id FROM runs WHERE heartbeat > ? AND ended IS NULL AND parent_id IS NULL"
            running = [row[0] for row in connection.execute(query, [time.time() - ALIVE])]
    except sqlite3.Error as error:
        raise StoreError(
            f"{home / 'workspace.db'} cannot be read: {error}.", "Look into it, and remove it by hand."
        ) from error
    if running:
        raise StoreError(
            f"The workspace {home} is in use: {', '.join(running)} is running.",
            f"Wait for its end, or cancel it: nbhelpers cancel {running[0]}",
        )


def remove_workspace(home: Path) -> None:
    """Remove a workspace; files in its folder that are none of its parts stay, and the folder with them."""
    for path in (home / name for names in PARTS.values() for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(home.iterdir()):
        home.rmdir()


def _old_runs(connection: sa.Connection, before: str) -> tuple[list[sa.RowMapping], dict[str, str]]:
    """The rows of pipeline runs that may be removed, oldest first, and why others that one would expect may not."""
    continues = runs.c.properties["nbhelpers.continues"].as_string().label("continues")
    columns = (runs.c.id, runs.c.experiment, runs.c.status, runs.c.ended, continues)
    pipelines = sa.select(*columns).where(runs.c.kind == "pipeline").order_by(runs.c.created.desc())
    original = runs.c.properties["azureml.reusedpipeline"].as_string()
    reusers = sa.select(runs.c.parent_id, original).where(original.is_not(None))
    reused: dict[str, str] = dict(connection.execute(reusers).all())
    old: list[sa.RowMapping] = []
    kept: dict[str, str] = {}
    needed = _registered(connection)
    for row in connection.execute(pipelines).mappings():  # newest first: each run before those that it needs
        run_id, status = row["id"], row["status"]
        if status in RUNNING:
            kept[run_id] = f"it is {status}"
        elif row["ended"] <= before and run_id in needed:
            kept[run_id] = needed[run_id]
        elif row["ended"] <= before:
            old.insert(0, row)
            continue
        if run_id in reused:
            needed[reused[run_id]] = f"run {run_id} reuses it"
        if row["continues"] and status != "Finished":  # a finished run holds all children itself
            needed[row["continues"]] = f"run {run_id}, which is {status}, continues it"
    return old, kept


def _registered(connection: sa.Connection) -> dict[str, str]:
    """Why runs stay whose models are registered, by the ids of the pipeline runs."""
    model = registered_models.c
    columns = (runs.c.parent_id, model.name, model.version, webservices.c.name.label("service"))
    joined = registered_models.join(runs, runs.c.id == model.run_id).outerjoin(
        webservices,
        sa.and_(webservices.c.model_name == model.name, webservices.c.model_version == model.version),
    )
    reasons = {}
    # The services last: of several reasons the one counts that has to be removed first.
    for row in connection.execute(sa.select(*columns).select_from(joined).order_by("service")).mappings():
        served = f", and the web service {row['service']} answers with it" if row["service"] else ""
        reasons[row["parent_id"]] = f"its model is registered as {row['name']}:{row['version']}{served}"
    return reasons


def _parts(connection: sa.Connection, run_ids: Collection[str]) -> dict[str, list[str]]:
    """The ids of pipeline runs, each with those of its step and children."""
    parts = {run_id: [run_id] for run_id in run_ids}
    owner = {run_id: run_id for run_id in run_ids}
    for kind in ("step", "child"):
        rows = connection.execute(sa.select(runs.c.id, runs.c.parent_id).where(runs.c.kind == kind)).mappings()
        for row in rows:
            if row["parent_id"] in owner:
                owner[row["id"]] = owner[row["parent_id"]]
                parts[owner[row["id"]]].append(row["id"])
    return parts


def _delete_rows(connection: sa.Connection, run_ids: list[str]) -> None:
    if not run_ids:
        return
    run: sa.BindParameter[str] = sa.bindparam("run")
    step = sa.select(runs.c.id).where(runs.c.parent_id == run)
    children = sa.select(runs.c.id).where(runs.c.parent_id.in_(step))
    for rows in (
        models.delete().where(models.c.run_id.in_(step) | models.c.run_id.in_(children)),
        slots.delete().where(slots.c.run_id == run),
        runs.delete().where(runs.c.parent_id.in_(step)),
        runs.delete().where(runs.c.parent_id == run),
        runs.delete().where(runs.c.id == run),
    ):
        connection.execute(rows, [{"run": run_id} for run_id in run_ids])


def _tables(connection: sa.Connection, store: Store, gone: Collection[str] = ()) -> list[Path]:
    """The stored tables that nothing refers to, once some runs are gone."""
    needed = {*connection.execute(sa.select(datasets.c.definition["table"].as_string())).scalars()}
    for path in (("data_digest",), ("validation", "data_digest")):  # of a step's definition
        published = published_pipelines.c.definition[("steps", 0, *path)].as_string()
        needed |= {*connection.execute(sa.select(published)).scalars()}
        data = sa.select(runs.c.id, runs.c.definition[path].as_string()).where(runs.c.kind == "step")
        needed |= {digest for run_id, digest in connection.execute(data) if run_id not in gone}
    tables = (path for path in store.data_folder.iterdir() if _TABLE.fullmatch(path.name))
    return [path for path in tables if path.stem not in needed and _is_settled(path)]


def _folders(connection: sa.Connection, store: Store) -> list[Path]:
    """The folders of runs that are not in the store."""
    known: set[str] = set(connection.execute(sa.select(runs.c.id)).scalars())
    folders = (path for path in (store.home / "runs").iterdir() if _RUN_FOLDER.fullmatch(path.name))
    return [path for path in folders if path.name not in known and not path.is_symlink() and _is_settled(path)]


def _is_settled(path: Path) -> bool:
    with suppress(FileNotFoundError):  # another clean-up was faster
        return time.time() - path.stat().st_mtime > GRACE
    return False
