"""The store of the embedded workspace: one folder with a SQLite file and the files it names.

=================== ==============================================================
``workspace.db``     the tables below
``data/``            registered and derived tables, ``<sha256>.parquet``
``runs/<run id>/``   a run's log, outputs and the files of its children
=================== ==============================================================
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nbhelpers.errors import StoreError

#: Number of the schema below. A store of schema 2, which lacks some tables, gets them; others are refused.
SCHEMA = 3

#: The form of the ids of data sets and published pipelines.
ID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: Seconds for which a process waits for another one that writes.
_BUSY = 30

metadata = sa.MetaData()

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
)

compute_targets = sa.Table(
    "compute_targets",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("vm_size", sa.String, nullable=False),
    sa.Column("min_nodes", sa.Integer, nullable=False),
    sa.Column("max_nodes", sa.Integer, nullable=False),
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("description", sa.String),
    sa.Column("tags", sa.JSON, nullable=False),
    # What the data set is: where it came from, the digest of the stored table, the lazy steps on it.
    sa.Column("definition", sa.JSON, nullable=False),
    sa.UniqueConstraint("name", "version"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("parent_id", sa.String, sa.ForeignKey("runs.id"), index=True),
    sa.Column("experiment", sa.String, sa.ForeignKey("experiments.name"), nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),  # pipeline | step | child
    sa.Column("name", sa.String, nullable=False),
    sa.Column("number", sa.Integer),  # the iteration of a child run
    sa.Column("status", sa.String, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("started", sa.String),
    sa.Column("ended", sa.String),
    sa.Column("pid", sa.Integer),
    sa.Column("heartbeat", sa.Float),  # seconds since the epoch
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("error", sa.JSON),
    sa.Column("fingerprint", sa.String, index=True),  # of a step, unless it reuses another
    sa.Column("definition", sa.JSON, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
)

# A queue of tickets: the first `max_nodes` of a compute target are its slots in use, see slots.py.
slots = sa.Table(
    "slots",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("compute_target", sa.String, nullable=False),
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id"), nullable=False),
    sqlite_autoincrement=True,
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("created", sa.String, nullable=False),
)

published_pipelines = sa.Table(
    "published_pipelines",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("description", sa.String),
    sa.Column("version", sa.String),
    sa.Column("status", sa.String, nullable=False),  # Active | Disabled
    sa.Column("created", sa.String, nullable=False),
    sa.Column("continue_on_step_failure", sa.Boolean, nullable=False),
    sa.Column("definition", sa.JSON, nullable=False),  # as that of a pipeline run
    sa.Column("run_id", sa.String),  # the run that was published, which may be gone
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),  # SHA-256 of the secret, which is kept nowhere
    sa.Column("name", sa.String, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("expires", sa.String, nullable=False),
)

registered_models = sa.Table(
    "registered_models",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id"), nullable=False),  # of the step
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("description", sa.String),
    sa.Column("tags", sa.JSON, nullable=False),
)

webservices = sa.Table(
    "webservices",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("model_name", sa.String, nullable=False),
    sa.Column("model_version", sa.Integer, nullable=False),
    sa.Column("created", sa.String, nullable=False),
    sa.Column("description", sa.String),
    sa.Column("example", sa.JSON, nullable=False),  # one row
    sa.Column("schema", sa.JSON, nullable=False),  # the columns with their types
    sa.ForeignKeyConstraint(["model_name", "model_version"], ["registered_models.name", "registered_models.version"]),
)

workspace_settings = sa.Table(
    "workspace_settings",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)


def now() -> str:
    """The time as the store keeps it: ISO 8601, UTC, in microseconds."""
    return datetime.now(UTC).isoformat()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees either nothing or the whole content; its folder is made if need be.

    Raises
    ------
    StoreError
        It cannot be written, for example because the disk is full.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave the name without the content
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> StoreError:
    """The error that says that a file of the workspace cannot be written."""
    return StoreError(
        f"The file {path} cannot be written: {error.strerror}.",
        "Make room on the disk (`nbhelpers clean` shows what can go), and see that the folder may be written. A run "
        "that stopped goes on with `nbhelpers continue`, without repeating its finished child runs.",
    )


def home_folder() -> Path:
    """The workspace folder: ``NBHELPERS_HOME``, or ``.nbhelpers`` in the project (else in the current folder).

    Raises
    ------
    StoreError
        ``NBHELPERS_HOME`` cannot be the path of a folder.
    """
    if home := os.environ.get("NBHELPERS_HOME"):
        try:
            path = Path(home).expanduser().absolute()
            path.stat()
        except FileNotFoundError as error:
            if error.filename is not None:  # else it is the current folder that was removed
                return path
            problem = "the current folder was removed"
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~user of nobody; ValueError: a NUL
            problem = getattr(error, "strerror", None) or str(error).rstrip(".")
        else:
            return path
        shown = home if len(home) < 200 else f"{home[:200]}…"
        raise StoreError(f"NBHELPERS_HOME={shown!r} cannot be used: {problem}.", "Set it to the path of a folder.")
    project = Path(__file__).parents[2]
    return (project if (project / "pyproject.toml").is_file() else Path.cwd()) / ".nbhelpers"


class Store:
    """An open workspace folder; get one with `open_store`.

    Attributes
    ----------
    home : Path
        The folder.
    """

    def __init__(self, home: Path, engine: sa.Engine) -> None:
        self.home = home
        self._engine = engine

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that holds the write lock from its first statement on."""
        with self._guard(), self._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for reading, which never waits for a writer."""
        with self._guard(), self._engine.connect() as connection:
            yield connection

    def one(self, statement: sa.Select[Any]) -> sa.RowMapping | None:
        """The first row of a query, or None."""
        with self.reading() as connection:
            return connection.execute(statement).mappings().first()

    def all(self, statement: sa.Select[Any]) -> list[sa.RowMapping]:
        """All rows of a query."""
        with self.reading() as connection:
            return list(connection.execute(statement).mappings())

    @property
    def data_folder(self) -> Path:
        """Where tables are kept."""
        return self.home / "data"

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run (not created here)."""
        return self.home / "runs" / run_id

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError):  # a mistake of the statement, not of the file
            raise
        except sa.exc.DatabaseError as error:
            raise StoreError(
                f"The workspace store {self.home / 'workspace.db'} could not be used: {error.orig}.",
                "Check that the disk is not full and that the folder may be written; with 'locked', end the program "
                "that holds it and repeat; with 'malformed' or 'not a database', move the folder away.",
            ) from error


def open_store(home: Path | None = None) -> Store:
    """Open the workspace folder, creating it on first use (by several processes at once, too).

    Parameters
    ----------
    home : Path, optional
        The folder; by default `home_folder()`.

    Raises
    ------
    StoreError
        The folder cannot be used, or holds a store of another schema.
    """
    home = home or home_folder()
    if not (home / "workspace.db").is_file():
        _open.cache_clear()  # the folder was removed while this process had it open
    return _open(home, os.getpid())


@cache
def _open(home: Path, _pid: int) -> Store:  # one engine for each process: connections do not survive a fork
    database = home / "workspace.db"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("data", "runs"):
            (home / folder).mkdir(exist_ok=True)
        if not database.exists():
            database.touch(mode=0o600)  # SQLite gives its other files the same mode
    except OSError as error:
        raise StoreError(
            f"The workspace folder {home} cannot be created: {error.strerror}.",
            "Set NBHELPERS_HOME to a folder that you may write to.",
        ) from error
    # Autocommit: neither the driver nor SQLAlchemy opens a transaction by itself; `Store.writing` does.
    url = sa.URL.create("sqlite", database=str(database))  # a path in a text may hold ? or %
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"timeout": _BUSY})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        for seconds_left in range(_BUSY, -1, -1):
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError:  # unlike others, this statement does not wait for the lock by itself
                if not seconds_left:
                    raise
                time.sleep(1)

    store = Store(home, engine)
    with store.writing() as connection:
        found: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if found in (0, 2):
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA}")
            database.chmod(0o600)
    if found not in (0, 2, SCHEMA):
        raise StoreError(
            f"The workspace in {home} has schema {found}; this version of nbhelpers reads schema {SCHEMA}.",
            "Move the folder away, remove it with `nbhelpers clean --all --yes`, or set NBHELPERS_HOME to another one."
            if found < SCHEMA
            else "Update nbhelpers, or set NBHELPERS_HOME to another folder.",
        )
    return store
