from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa

from nbhelpers.errors import StoreError
from nbhelpers.local import store as store_module
from nbhelpers.local.store import experiments, now, open_store, write_atomically


def _add(home: Path, number: int, barrier: Barrier) -> None:
    barrier.wait()
    store = open_store(home)
    for k in range(10):
        with store.writing() as connection:
            connection.execute(experiments.insert().values(name=f"{number}-{k}", created=now(), tags={}))


def test_four_processes_create_and_fill_one_store(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_add, args=(tmp_path / "home", k, barrier)) for k in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert len(open_store(tmp_path / "home").all(sa.select(experiments))) == 40


@pytest.mark.parametrize(("schema", "remedy"), [(1, r"Move the folder away, .*clean --all"), (99, "Update nbhelpers")])
def test_a_store_of_another_schema_is_refused_with_the_remedy(tmp_path: Path, schema: int, remedy: str) -> None:
    with sqlite3.connect(tmp_path / "workspace.db") as connection:
        connection.execute(f"PRAGMA user_version={schema}")
    with pytest.raises(StoreError, match=rf"has schema {schema}.*\nTo mend it: {remedy}"):
        open_store(tmp_path)


def test_a_store_of_schema_2_is_kept_and_gets_the_new_tables(tmp_path: Path) -> None:
    def tables() -> set[str]:
        with closing(sqlite3.connect(tmp_path / "workspace.db")) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    store = open_store(tmp_path)
    with store.writing() as connection:
        connection.execute(experiments.insert().values(name="one", created=now(), tags={}))
        for table in ("webservices", "registered_models", "tokens", "published_pipelines", "workspace_settings"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("PRAGMA user_version=2")
    (tmp_path / "workspace.db").chmod(0o644)
    old = tables()
    store_module._open.cache_clear()
    assert [row["name"] for row in open_store(tmp_path).all(sa.select(experiments))] == ["one"]
    assert tables() - old == {"webservices", "registered_models", "tokens", "published_pipelines", "workspace_settings"}
    assert stat.S_IMODE((tmp_path / "workspace.db").stat().st_mode) == 0o600


def test_nobody_else_can_read_the_workspace(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(tmp_path / "home")
        with store.writing() as connection:
            connection.execute(experiments.insert().values(name="one", created=now(), tags={}))
            files = [path for path in (tmp_path / "home").iterdir() if path.is_file()]
            assert {path.name for path in files} == {"workspace.db", "workspace.db-wal", "workspace.db-shm"}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize("home", ["~nobody-of-that-name/x", "x" * 5000, f"{__file__}/home"])
def test_a_home_that_can_be_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("NBHELPERS_HOME", home)
    with pytest.raises(StoreError, match=r"^NBHELPERS_HOME='.* cannot be used: "):
        open_store()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "workspace.db").write_text("these are not the bytes of a database, but a text that is long enough")
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be created"):
        open_store(tmp_path / "file" / "home")


def test_a_reader_does_not_wait_for_a_writer_and_sees_only_what_is_committed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.writing() as connection:
        connection.execute(experiments.insert().values(name="one", created=now(), tags={}))
        assert store.all(sa.select(experiments)) == []
    assert [row["name"] for row in store.all(sa.select(experiments))] == ["one"]


def test_an_error_undoes_the_whole_transaction(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def fail() -> None:
        with store.writing() as connection:
            connection.execute(experiments.insert().values(name="one", created=now(), tags={}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.all(sa.select(experiments)) == []


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "file", b"old")
    write_atomically(tmp_path / "a" / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "a").iterdir()] == [("file", b"new")]


@pytest.mark.parametrize("name", ["a b", "ü", "50%", "%20", "what?mode=ro", "#1", "[x]*", "it's {x}"])
def test_the_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path / name)
    with store.writing() as connection:
        connection.execute(experiments.insert().values(name="one", created=now(), tags={}))
    assert (tmp_path / name / "workspace.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    with store.writing() as connection:
        connection.execute(experiments.insert().values(name="one", created=now(), tags={}))
    shutil.rmtree(tmp_path / "home")
    assert open_store(tmp_path / "home").all(sa.select(experiments)) == []


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    open_store(tmp_path / "home")
    database = tmp_path / "home" / "workspace.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = database.read_bytes()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "workspace.db").write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StoreError, match=r"malformed"), open_store(tmp_path / "damaged").writing() as connection:
        connection.execute(experiments.insert().values(name="one", created=now(), tags={}))
