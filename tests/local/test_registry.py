from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nbhelpers.errors import ConflictError, ModelError, NotFoundError, UserErrorException
from nbhelpers.local import AutoMLRun, Model, Run, Webservice, Workspace
from nbhelpers.local.models import model_file

from .conftest import bank_like
from .deployed import register_model


@pytest.fixture
def step(seed_run: SimpleNamespace, home: Path) -> AutoMLRun:
    """The step run of the seed's cells, in a copy of its workspace that a test may change."""
    shutil.copytree(seed_run.ws.store.home, home)
    run = Run.get(Workspace.from_config(), seed_run.step.id)
    assert isinstance(run, AutoMLRun)
    return run


def test_the_best_model_of_a_run_is_registered_in_versions(step: AutoMLRun) -> None:
    workspace = step.experiment.workspace
    first = step.register_model("bank", description="of the tests", tags={"stage": "try"})
    second = step.register_model(model_name="bank")
    assert (first.name, first.version, first.id, first.run_id) == ("bank", 1, "bank:1", step.id)
    assert (first.description, first.tags) == ("of the tests", {"stage": "try"})
    assert (second.id, second.description, second.tags) == ("bank:2", None, {})
    assert timedelta(0) <= datetime.now(UTC) - first.created_time < timedelta(minutes=5)
    assert first.digest == step.properties["model_digest"]
    rows = bank_like().drop(columns="y")
    assert np.array_equal(first.load().predict_proba(rows), step.get_output()[1].predict_proba(rows))
    assert "name=bank, id=bank:1, version=1" in repr(first)
    assert [model.id for model in Model.list(workspace)] == ["bank:2", "bank:1"]


def test_a_run_whose_model_is_gone_registers_none(step: AutoMLRun) -> None:
    model_file(step.experiment.workspace.store, step.id).unlink()
    with pytest.raises(ModelError, match="keeps no model"):
        step.register_model("bank")
    assert Model.list(step.experiment.workspace) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"model_name": "a/b"}, "'a/b' cannot be the name of a model"),
        ({"model_name": ""}, "'' cannot be the name"),
        ({"model_name": 5}, "5 cannot be the name"),
        ({"model_name": "x" * 256}, "cannot be the name"),
        ({"model_name": "bank", "tags": {"a": 1}}, "tags="),
        ({"model_name": "bank", "description": 5}, "description=5 is not a text"),
    ],
)
def test_what_cannot_be_registered_is_refused(step: AutoMLRun, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserErrorException, match=problem):
        step.register_model(**arguments)
    assert Model.list(step.experiment.workspace) == []


def test_a_model_is_found_by_name_version_and_id(workspace: Workspace) -> None:
    for _ in range(2):
        register_model(workspace, bank_like(), "y", "bank", iterations=1)
    register_model(workspace, bank_like(), "y", "other", iterations=1)
    assert Model(workspace, "bank").version == 2
    assert Model(workspace, "bank", version=1).id == "bank:1"
    assert Model(workspace, id="bank:1").version == 1
    assert [model.id for model in Model.list(workspace)] == ["other:1", "bank:2", "bank:1"]
    assert [model.id for model in Model.list(workspace, "bank")] == ["bank:2", "bank:1"]
    with pytest.raises(NotFoundError, match=r"name banks not found.*\n.*Use 'bank'"):
        Model(workspace, "banks")
    with pytest.raises(NotFoundError, match="bank has no version 3; its latest is 2"):
        Model(workspace, "bank", version=3)
    with pytest.raises(NotFoundError, match="no version 3"):
        Model(workspace, id="bank:3")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"name": 5},
        {"id": "bank"},
        {"id": "bank:x"},
        {"id": "bank:" + "9" * 5000},
        {"name": "\ud800"},
        {"name": "bank", "id": "bank:1"},
        {"name": "b", "version": "1"},
    ],
)
def test_arguments_that_name_no_model_are_refused(workspace: Workspace, arguments: dict[str, Any]) -> None:
    with pytest.raises(UserErrorException, match=r"names no model|id of a model|given with|whole number|not a text"):
        Model(workspace, **arguments)


def test_a_model_is_deleted_unless_a_service_answers_with_it(workspace: Workspace) -> None:
    model = register_model(workspace, bank_like(), "y", iterations=1)
    service = Model.deploy(workspace, "bank", [model])
    with pytest.raises(ConflictError, match="bank:1 is deployed as bank"):
        model.delete()
    service.delete()
    model.delete()
    assert Model.list(workspace) == Webservice.list(workspace) == []
    assert model_file(workspace.store, model.run_id).is_file()
