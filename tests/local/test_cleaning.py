from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
import sqlalchemy as sa

from nbhelpers.errors import StoreError
from nbhelpers.local import Dataset, Workspace, cleaning
from nbhelpers.local.cleaning import (
    GRACE,
    check_idle,
    count,
    find_workspace,
    plan_removal,
    remove,
    remove_workspace,
    shrink,
)
from nbhelpers.local.published import publish
from nbhelpers.local.store import Store, models, now, open_store, registered_models, runs, slots, webservices
from nbhelpers.local.tokens import create_token, list_tokens
from nbhelpers.service.server import only_service

from . import kills
from .conftest import bank_like
from .rows import add_run

TABLE, VALIDATION = "0123456789abcdef" * 4, "abcdef9876543210" * 4


def aged(path: Path) -> Path:
    """The same file or folder, as if nobody had written to it for longer than the grace."""
    os.utime(path, (time.time() - 2 * GRACE,) * 2)
    return path


def rows(store: Store) -> list[str]:
    return sorted(row["id"] for row in store.all(sa.select(runs.c.id)))


def folders(store: Store) -> list[str]:
    return sorted(path.name for path in (store.home / "runs").iterdir())


def is_consistent(store: Store) -> bool:
    with store.reading() as connection:
        return not connection.exec_driver_sql("PRAGMA foreign_key_check").all()


def test_a_real_run_goes_with_all_that_it_wrote_and_its_data_set_stays(seed: SimpleNamespace, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(seed.ws.store.home, home)
    store = open_store(home)
    with store.writing() as connection:  # other tests may have left runs in the shared workspace
        connection.execute(runs.update().values(status="Finished", ended=now()))
    for table in store.data_folder.iterdir():
        aged(table)
    before, held = find_workspace(home), count(store)
    assert before is not None
    assert held["models"] >= 1  # other tests may have asked for those of child runs
    plan = plan_removal(store, 0)
    assert seed.pipeline_run.id in [run.id for run in plan.runs]
    assert plan.size > 0.9 * before["runs"]
    assert (find_workspace(home), count(store)) == (before, held), "planning removed something"
    remove(store, plan)
    left = count(store)
    assert left["tables"] <= held["tables"]
    assert left | {"tables": 0} == held | {"tables": 0, "runs": 0, "child runs": 0, "models": 0}
    assert folders(store) == []
    assert is_consistent(store)
    workspace = Workspace(store)
    assert "automl-bank" in list(workspace.experiments)
    assert len(Dataset.get_by_name(workspace, "bank-marketing-dataset").to_pandas_dataframe()) == 400


def test_only_runs_that_ended_long_enough_ago_go(workspace: Workspace) -> None:
    store = workspace.store
    oldest, _ = add_run(store, days=9, children=[("Completed", "1"), ("Failed", "")])
    old, _ = add_run(store, days=6, status="Failed")
    young, step = add_run(store, days=4)
    plan = plan_removal(store, 5)
    assert [(run.id, run.status, run.size) for run in plan.runs] == [(oldest, "Finished", 4000), (old, "Failed", 2000)]
    assert (plan.size, plan.kept, plan.leftovers) == (6000, {}, {})
    remove(store, plan)
    assert rows(store) == folders(store) == sorted([young, step])


def test_a_run_that_others_need_is_kept_until_they_go_too(workspace: Workspace) -> None:
    store = workspace.store
    original, step = add_run(store, days=9)
    reuse = {"azureml.reusedrunid": step, "azureml.reusedpipeline": original}
    reuser, _ = add_run(store, days=4, facts=reuse)
    stopped, _ = add_run(store, days=8, status="Failed")
    again, _ = add_run(store, days=7, status="Canceled", properties={"nbhelpers.continues": stopped})
    third, _ = add_run(store, days=3, status="Failed", properties={"nbhelpers.continues": again})
    plan = plan_removal(store, 5)
    assert plan.runs == []
    assert plan.kept == {
        original: f"run {reuser} reuses it",
        again: f"run {third}, which is Failed, continues it",
        stopped: f"run {again}, which is Canceled, continues it",
    }
    assert {run.id for run in plan_removal(store, 2).runs} == {original, reuser, stopped, again, third}
    with store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == third).values(status="Finished"))
    assert {run.id for run in plan_removal(store, 5).runs} == {stopped, again}  # it has taken over their children


def test_a_run_at_work_is_kept_and_one_whose_worker_died_ends_now(workspace: Workspace) -> None:
    store = workspace.store
    working, _ = add_run(store, days=9, status="Running")
    dead, _ = add_run(store, days=9, status="Running", pid=2**22 + 1, heartbeat=time.time() - 5)
    plan = plan_removal(store, 5)
    assert (plan.runs, plan.kept) == ([], {working: "it is Running"})
    assert [run.id for run in plan_removal(store, 0).runs] == [dead]


def test_a_run_that_is_reused_after_the_plan_stays(workspace: Workspace) -> None:
    store = workspace.store
    original, step = add_run(store, days=9, table=TABLE)
    other, _ = add_run(store, days=9)
    table = aged_table(store, TABLE)
    plan = plan_removal(store, 5)
    assert ({run.id for run in plan.runs}, set(plan.leftovers)) == ({original, other}, {table})
    reuse = {"azureml.reusedrunid": step, "azureml.reusedpipeline": original}
    reuser, copy = add_run(store, days=0, facts=reuse)
    remove(store, plan)
    assert rows(store) == folders(store) == sorted([original, step, reuser, copy])
    assert table.exists()


def aged_table(store: Store, digest: str) -> Path:
    path = store.data_folder / f"{digest}.parquet"
    path.write_bytes(bytes(500))
    return aged(path)


def test_only_tables_go_that_nothing_refers_to_for_an_hour(workspace: Workspace) -> None:
    store = workspace.store
    dataset = Dataset.Tabular.from_pandas_dataframe(bank_like(20)).register(workspace, "bank")
    Dataset.Tabular.from_pandas_dataframe(bank_like(30)).register(workspace, "bank", create_new_version=True)
    derived = dataset.take(10).materialize()
    add_run(store, days=1, table=derived.stem)
    registered = {aged(path) for path in store.data_folder.iterdir()}
    orphan = aged_table(store, TABLE)
    of_old_run = aged_table(store, TABLE[::-1])
    add_run(store, days=9, table=TABLE[::-1])
    fresh = Dataset.Tabular.from_pandas_dataframe(bank_like(40)).materialize()
    (mine := store.data_folder / "mine.parquet").write_text("x")
    aged(mine)
    plan = plan_removal(store, 5)
    assert plan.leftovers == {orphan: 500, of_old_run: 500}
    remove(store, plan)
    assert set(store.data_folder.iterdir()) == registered | {fresh, mine}


def test_a_table_that_a_run_needs_after_the_plan_stays(workspace: Workspace) -> None:
    table = aged_table(workspace.store, TABLE)
    plan = plan_removal(workspace.store, 5)
    assert list(plan.leftovers) == [table]
    add_run(workspace.store, table=TABLE)
    remove(workspace.store, plan)
    assert table.exists()


def test_a_table_of_validation_data_stays_as_long_as_its_run(workspace: Workspace) -> None:
    store = workspace.store
    _, step_id = add_run(store, days=1, table=TABLE)
    with store.writing() as connection:
        changed = {"data_digest": TABLE, "validation": {"data_digest": VALIDATION}}
        connection.execute(runs.update().where(runs.c.id == step_id).values(definition=changed))
    table = aged_table(store, VALIDATION)
    assert table not in plan_removal(store, 5).leftovers
    assert table in plan_removal(store, 0).leftovers


def test_a_table_that_a_published_pipeline_needs_stays_when_its_run_goes(workspace: Workspace) -> None:
    store = workspace.store
    definition = {
        "description": None,
        "continue_on_step_failure": False,
        "steps": [{"name": "step", "data_digest": TABLE, "validation": {"data_digest": VALIDATION}}],
    }
    run_id, _ = add_run(store, days=9, table=TABLE, definition=definition)
    other, _ = add_run(store, days=9, table=TABLE[::-1])
    table, of_other = aged_table(store, TABLE), aged_table(store, TABLE[::-1])
    validation = aged_table(store, VALIDATION)
    publish(workspace, definition, "bank", None, None, run_id=run_id).disable()
    plan = plan_removal(store, 5)
    assert ({run.id for run in plan.runs}, set(plan.leftovers)) == ({run_id, other}, {of_other})
    remove(store, plan)
    assert (rows(store), table.exists(), of_other.exists()) == ([], True, False)
    assert validation.exists()
    assert count(store)["published pipelines"] == 1


def test_a_run_whose_model_is_registered_is_kept_with_what_it_reuses(workspace: Workspace) -> None:
    store = workspace.store
    original, original_step = add_run(store, days=9)
    reuse = {"azureml.reusedrunid": original_step, "azureml.reusedpipeline": original}
    registered, step = add_run(store, days=8, facts=reuse)
    served, served_step = add_run(store, days=8)
    other, _ = add_run(store, days=8)
    with store.writing() as connection:
        for name, run_id in (("bank", step), ("live", served_step), ("spare", served_step)):
            row = {"name": name, "version": 1, "created": now(), "run_id": run_id, "digest": TABLE, "tags": {}}
            connection.execute(registered_models.insert().values(row))
        row = {"name": "bank-service", "model_name": "live", "model_version": 1, "created": now()}
        connection.execute(webservices.insert().values(row | {"example": {}, "schema": {}}))
    plan = plan_removal(store, 5)
    assert [run.id for run in plan.runs] == [other]
    assert plan.kept == {
        registered: "its model is registered as bank:1",
        served: "its model is registered as live:1, and the web service bank-service answers with it",
        original: f"run {registered} reuses it",
    }
    remove(store, plan)
    assert is_consistent(store)
    assert (count(store)["registered models"], count(store)["web services"]) == (3, 1)


def test_expired_tokens_go_and_valid_ones_stay(workspace: Workspace) -> None:
    create_token(workspace.store, "valid", ["read"], timedelta(days=1))
    create_token(workspace.store, "expired", ["read"], timedelta(microseconds=1))
    plan = plan_removal(workspace.store, 5)
    assert {token.name for token in list_tokens(workspace.store)} == {"valid", "expired"}, "planning removed something"
    remove(workspace.store, plan)
    assert [token.name for token in list_tokens(workspace.store)] == ["valid"]


def test_folders_of_runs_without_a_row_go_after_an_hour(workspace: Workspace) -> None:
    store = workspace.store
    run_id, step_id = add_run(store, days=1)
    names = [str(uuid4()), f"{uuid4()}_3", str(uuid4()), "mine"]
    for name in names:
        (store.run_folder(name) / "outputs").mkdir(parents=True)
        aged(store.run_folder(name))
    os.utime(store.run_folder(names[2]))
    for name in (run_id, step_id):
        aged(store.run_folder(name))
    plan = plan_removal(store, 5)
    assert set(plan.leftovers) == {store.run_folder(name) for name in names[:2]}
    remove(store, plan)
    assert folders(store) == sorted([run_id, step_id, *names[2:]])


def test_a_removal_that_is_killed_anywhere_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = {}

    def prepare(number: int) -> None:
        store = open_store(tmp_path / str(number))
        add_run(store, days=9, children=[("Completed", "1")], table=TABLE)
        aged_table(store, TABLE)
        plans[number] = plan_removal(store, 5)

    def act(number: int) -> None:
        remove(open_store(tmp_path / str(number)), plans[number])

    monkeypatch.setattr(kills, "OURS", cleaning.__file__)
    states = set()
    prepare(1)
    for number in kills.killed_at_each_line(act):
        store = open_store(tmp_path / str(number))
        states.add((len(rows(store)), len(folders(store))))
        assert is_consistent(store)
        if not rows(store):
            for name in folders(store):
                aged(store.run_folder(name))
        remove(store, plan_removal(store, 5))
        assert (rows(store), folders(store), list(store.data_folder.iterdir())) == ([], [], [])
        prepare(number + 1)
    assert {known for known, _ in states} == {0, 3}, "rows went in part"
    assert (0, 3) in states, "it was never killed between rows and files"


def test_the_file_of_the_store_shrinks_unless_somebody_is_writing(workspace: Workspace) -> None:
    store = workspace.store
    for _ in range(20):
        add_run(store, days=9, properties={"padding": "x" * 50_000})
    file = store.home / "workspace.db"
    remove(store, plan_removal(store, 5))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not shrink(store)
    assert shrink(store)
    assert file.stat().st_size < 200_000


def test_slots_and_models_of_a_removed_run_go_with_it(workspace: Workspace) -> None:
    store = workspace.store
    run_id, _ = add_run(store, days=9)
    with store.writing() as connection:
        connection.execute(slots.insert().values(compute_target="cpu", run_id=run_id))
    remove(store, plan_removal(store, 5))
    assert store.all(sa.select(slots.c.id)) == store.all(sa.select(models.c.digest)) == []


class TestWholeWorkspace:
    def test_it_is_removed_but_nothing_else_beside_it(self, workspace: Workspace, home: Path) -> None:
        aged_table(workspace.store, TABLE)
        (home / "thesis.txt").write_text("x")
        sizes = find_workspace(home)
        assert sizes is not None
        assert (sizes["data"], sizes["runs"]) == (500, 0)
        assert sizes["store"] > 1000
        remove_workspace(home)
        assert [path.name for path in home.iterdir()] == ["thesis.txt"]
        (home / "thesis.txt").unlink()
        open_store(home)
        remove_workspace(home)
        assert not home.exists()

    def test_a_linked_folder_is_not_followed(self, workspace: Workspace, tmp_path: Path) -> None:
        home = workspace.store.home
        (home / "runs").rmdir()
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("x")
        (home / "runs").symlink_to(tmp_path / "precious")
        remove_workspace(home)
        assert (tmp_path / "precious" / "file").exists()

    def test_a_folder_without_a_store_is_no_workspace(self, tmp_path: Path) -> None:
        assert find_workspace(tmp_path / "nowhere") is None
        assert find_workspace(tmp_path) is None
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match=r"holds no workspace\.db"):
            find_workspace(tmp_path)

    def test_with_a_living_run_it_is_in_use(self, workspace: Workspace) -> None:
        run_id, _ = add_run(workspace.store, status="Running")
        with pytest.raises(StoreError, match=f"{run_id} is running"):
            check_idle(workspace.store.home)
        with workspace.store.writing() as connection:
            connection.execute(runs.update().values(heartbeat=time.time() - 3600))
        check_idle(workspace.store.home)

    def test_with_its_service_running_it_is_in_use(self, workspace: Workspace) -> None:
        with only_service(workspace.store), pytest.raises(StoreError, match="its service is running"):
            check_idle(workspace.store.home)
        check_idle(workspace.store.home)

    def test_one_that_cannot_be_read_is_not_called_idle(self, tmp_path: Path) -> None:
        (tmp_path / "workspace.db").write_text("these are not the bytes of a database, but a text that is long enough")
        with pytest.raises(StoreError, match="cannot be read: file is not a database"):
            check_idle(tmp_path)
