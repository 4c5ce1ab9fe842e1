"""Workspaces, experiments and compute targets."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any

import pytest

#: What the SDK prints when the nodes are there.
READY = [
    "Succeeded",
    "AmlCompute wait for completion finished",
    "",
    "Minimum number of nodes requested have been provisioned",
]


def test_a_workspace_has_names_to_print(ws: Any) -> None:
    for name in (ws.name, ws.resource_group, ws.location, ws.subscription_id):
        assert isinstance(name, str)
        assert name
    assert ws.get_details()["name"] == ws.name


def test_an_experiment_is_made_by_its_name(ml: Any, ws: Any) -> None:
    experiment = ml.Experiment(ws, "made-by-name")
    assert (experiment.name, experiment.workspace.name) == ("made-by-name", ws.name)
    assert ws.experiments["made-by-name"].name == "made-by-name"
    assert list(experiment.get_runs()) == []


def test_the_tags_of_an_experiment_are_kept(ml: Any, ws: Any) -> None:
    ml.Experiment(ws, "tagged").set_tags({"a": "1"})
    ml.Experiment(ws, "tagged").set_tags({"b": "2"})
    assert ml.Experiment(ws, "tagged").tags == {"a": "1", "b": "2"}


@pytest.mark.parametrize("name", ["", "two words", "a/b"])
def test_a_wrong_name_of_an_experiment_is_refused(ml: Any, ws: Any, errors: ModuleType, name: str) -> None:
    with pytest.raises(errors.UserErrorException):
        ml.Experiment(ws, name)


def test_an_experiment_that_is_missing_is_a_key_error(ws: Any) -> None:
    assert "missing" not in ws.experiments
    with pytest.raises(KeyError):
        ws.experiments["missing"]


def test_a_compute_target_that_is_missing_is_named(ml: Any, ws: Any) -> None:
    with pytest.raises(
        ml.ComputeTargetException, match="ComputeTargetNotFound: Compute Target with name missing not found"
    ):
        ml.ComputeTarget(workspace=ws, name="missing")


def test_a_compute_target_is_created_and_found(ml: Any, ws: Any) -> None:
    configuration = ml.AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=3)
    with redirect_stdout(io.StringIO()) as output:
        made = ml.ComputeTarget.create(ws, "created", configuration)
        made.wait_for_completion(show_output=True, min_node_count=0, timeout_in_minutes=10)
    assert 'SucceededProvisioning operation finished, operation "Succeeded"' in output.getvalue().splitlines()
    assert output.getvalue().splitlines()[-4:] == READY

    with redirect_stdout(io.StringIO()) as output:
        found = ml.ComputeTarget(workspace=ws, name="created")
        found.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=10)
    assert output.getvalue().splitlines() == READY
    assert (found.name, found.type, found.provisioning_state) == ("created", "AmlCompute", "Succeeded")
    assert found.get_status().allocation_state == "Steady"
    assert "created" in ws.compute_targets
    assert "created" in [target.name for target in ml.ComputeTarget.list(ws)]


def test_a_target_without_its_number_of_nodes_is_refused(ml: Any) -> None:
    with pytest.raises(ml.ComputeTargetException):
        ml.AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2")


def test_a_deleted_target_is_gone(ml: Any, ws: Any) -> None:
    target = ml.ComputeTarget.create(
        ws, "deleted", ml.AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=1)
    )
    target.wait_for_completion()
    target.delete()
    with pytest.raises(ml.ComputeTargetException):
        ml.ComputeTarget(ws, "deleted")
