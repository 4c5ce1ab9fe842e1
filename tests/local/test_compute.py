from __future__ import annotations

from typing import Any

import pytest

from nbhelpers.local import AmlCompute, ComputeTarget, ComputeTargetException, Workspace

READY = (
    "Succeeded\nAmlCompute wait for completion finished\n\nMinimum number of nodes requested have been provisioned\n"
)


def test_waiting_prints_the_sdks_lines(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ComputeTargetException, match="name automl-compute not found in provided workspace"):
        ComputeTarget(workspace=workspace, name="automl-compute")
    config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
    created = ComputeTarget.create(workspace, "automl-compute", config)
    created.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=10)
    first = 'InProgress.\nSucceededProvisioning operation finished, operation "Succeeded"\n'
    assert capsys.readouterr().out == first + READY
    found = ComputeTarget(workspace=workspace, name="automl-compute")
    found.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=10)
    assert capsys.readouterr().out == READY
    found.wait_for_completion()
    assert capsys.readouterr().out == ""


def test_a_target_is_an_aml_compute_of_the_described_size(target: ComputeTarget) -> None:
    assert isinstance(target, AmlCompute)
    assert target.type == "AmlCompute"
    assert target.get_status().serialize()["current_node_count"] == 2


@pytest.mark.usefixtures("target")
def test_creating_again_changes_the_size(workspace: Workspace) -> None:
    ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=7))
    assert ComputeTarget(workspace, "cpu").max_nodes == 7
    assert [found.name for found in ComputeTarget.list(workspace)] == ["cpu"]


def test_a_deleted_target_is_gone_and_the_nearest_is_named(workspace: Workspace, target: ComputeTarget) -> None:
    with pytest.raises(ComputeTargetException, match="Use 'cpu'"):
        ComputeTarget(workspace, "cpus")
    target.delete()
    with pytest.raises(ComputeTargetException, match=r"ComputeTarget\.create"):
        ComputeTarget(workspace, "cpu")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "max_nodes is missing"),
        ({"max_nodes": 0}, "max_nodes=0 is not a whole number from 1 to 1,000"),
        ({"max_nodes": True}, "max_nodes=True"),
        ({"max_nodes": 2, "min_nodes": 3}, "min_nodes=3 is more than max_nodes=2"),
        ({"max_nodes": 2, "vm_priority": "cheap"}, "vm_priority='cheap'"),
        ({"vm_priority": "cheap", "min_nodes": -1}, "vm_priority.*max_nodes is missing.*min_nodes=-1"),
        ({"max_nodes": 2, "idle_seconds_before_scaledown": "1"}, "idle_seconds"),
    ],
)
def test_a_wrong_description_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ComputeTargetException, match=problem):
        AmlCompute.provisioning_configuration(**arguments)


@pytest.mark.parametrize("name", ["a", "1a", "a_b", "a" * 25, ""])
def test_a_wrong_name_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(ComputeTargetException, match="cannot be the name"):
        ComputeTarget.create(workspace, name, AmlCompute.provisioning_configuration(max_nodes=1))


def test_what_can_never_be_there_is_refused_at_once(workspace: Workspace, target: ComputeTarget) -> None:
    with pytest.raises(ComputeTargetException, match="min_node_count=3 is no number of nodes that cpu can have"):
        target.wait_for_completion(min_node_count=3)
    with pytest.raises(ComputeTargetException, match="Pass what AmlCompute"):
        ComputeTarget.create(workspace, "cpu2", {"max_nodes": 1})  # type: ignore[arg-type]
