"""Compute targets: how many nodes a run may use at once."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from nbhelpers.errors import ComputeTargetException, nearest
from nbhelpers.local.arguments import check_workspace
from nbhelpers.local.store import compute_targets, now
from nbhelpers.local.workspace import Workspace

#: The largest `max_nodes`.
MOST_NODES = 1_000


@dataclass(frozen=True)
class AmlComputeProvisioningConfiguration:
    """A checked description of a cluster; made by `AmlCompute.provisioning_configuration`."""

    vm_size: str
    vm_priority: str
    min_nodes: int
    max_nodes: int
    idle_seconds_before_scaledown: int


@dataclass(frozen=True)
class AmlComputeStatus:
    """State of a compute target, as `ComputeTarget.get_status` gives it; a local one is always ready."""

    vm_size: str
    min_nodes: int
    max_nodes: int
    current_node_count: int
    target_node_count: int
    allocation_state: str = "Steady"
    provisioning_state: str = "Succeeded"

    def serialize(self) -> dict[str, Any]:
        """The same as a dictionary."""
        return asdict(self)


class ComputeTarget:
    """A compute target of the workspace: up to `max_nodes` pieces of work at once on this machine.

    Parameters
    ----------
    workspace : Workspace
    name : str

    Raises
    ------
    ComputeTargetException
        The workspace has no target of that name.
    """

    type = "AmlCompute"
    provisioning_state = "Succeeded"

    def __new__(cls, *_args: object, **_kwargs: object) -> AmlCompute:
        """Make an AmlCompute, as the SDK does: it is the only type of target here."""
        return super().__new__(AmlCompute)

    def __init__(self, workspace: Workspace, name: str) -> None:
        check_workspace(workspace)
        row = workspace.store.one(sa.select(compute_targets).where(compute_targets.c.name == str(name)))
        if row is None:
            near = nearest(name, workspace.compute_targets)
            create = f"ComputeTarget.create(ws, {name!r}, AmlCompute.provisioning_configuration(max_nodes=4))"
            raise ComputeTargetException(
                f"ComputeTargetNotFound: Compute Target with name {name} not found in provided workspace.",
                f"use {near!r}, or {create}" if near else create,
            )
        self.workspace = workspace
        self.name: str = row["name"]
        self.vm_size: str = row["vm_size"]
        self.min_nodes: int = row["min_nodes"]
        self.max_nodes: int = row["max_nodes"]
        self._created = False

    @staticmethod
    def create(
        workspace: Workspace, name: str, provisioning_configuration: AmlComputeProvisioningConfiguration
    ) -> AmlCompute:
        """Create a compute target, or give an existing one a new size.

        Parameters
        ----------
        workspace : Workspace
        name : str
            2 to 24 letters, digits and ``-``, the first a letter.
        provisioning_configuration : AmlComputeProvisioningConfiguration
            From `AmlCompute.provisioning_configuration`.

        Raises
        ------
        ComputeTargetException
            The name or the description cannot be used.
        """
        check_workspace(workspace)
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{1,23}", name):
            raise ComputeTargetException(
                f"{name!r} cannot be the name of a compute target.",
                "use 2 to 24 letters, digits and '-', and begin with a letter",
            )
        config = provisioning_configuration
        if not isinstance(config, AmlComputeProvisioningConfiguration):
            raise ComputeTargetException(
                f"provisioning_configuration is of type {type(config).__name__}.",
                "pass what AmlCompute.provisioning_configuration(max_nodes=4) returns",
            )
        sizes = {"vm_size": config.vm_size, "min_nodes": config.min_nodes, "max_nodes": config.max_nodes}
        statement = insert(compute_targets).values(name=name, created=now(), **sizes)
        with workspace.store.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=sizes))
        target = AmlCompute(workspace, name)
        target._created = True
        return target

    @staticmethod
    def list(workspace: Workspace) -> list[ComputeTarget]:
        """All compute targets of the workspace, by name."""
        return list(workspace.compute_targets.values())

    def wait_for_completion(
        self, show_output: bool = False, min_node_count: int | None = None, timeout_in_minutes: float = 25
    ) -> None:
        """Print what the SDK prints when the nodes are there; a local target is ready at once.

        Parameters
        ----------
        show_output : bool, default False
            Print the SDK's lines.
        min_node_count : int, optional
            Nodes to wait for.
        timeout_in_minutes : float, default 25
            How long to wait at most; there is nothing to wait for here.

        Raises
        ------
        ComputeTargetException
            More nodes are asked for than the target can have, or the time is not above zero.
        """
        if min_node_count is not None and not (_whole(min_node_count, 0) and min_node_count <= self.max_nodes):
            raise ComputeTargetException(
                f"min_node_count={min_node_count!r} is no number of nodes that {self.name} can have (0 to "
                f"{self.max_nodes}).",
                f"ask for at most {self.max_nodes}, or create the target with a larger max_nodes",
            )
        if not isinstance(timeout_in_minutes, int | float) or not timeout_in_minutes > 0:
            raise ComputeTargetException(
                f"timeout_in_minutes={timeout_in_minutes!r} is not a number above zero.", "give for example 10"
            )
        if not show_output:
            return
        if self._created:
            print('InProgress.\nSucceededProvisioning operation finished, operation "Succeeded"')
        print("Succeeded\nAmlCompute wait for completion finished\n")
        print("Minimum number of nodes requested have been provisioned")

    def get_status(self) -> AmlComputeStatus:
        """State and number of nodes; on a local target all are there."""
        return AmlComputeStatus(self.vm_size, self.min_nodes, self.max_nodes, self.max_nodes, self.max_nodes)

    def delete(self) -> None:
        """Remove the target from the workspace; runs that use it go on."""
        with self.workspace.store.writing() as connection:
            connection.execute(compute_targets.delete().where(compute_targets.c.name == self.name))

    def __repr__(self) -> str:
        return (
            f"AmlCompute(workspace={self.workspace!r}, name={self.name}, type={self.type}, "
            f"provisioning_state={self.provisioning_state}, max_nodes={self.max_nodes})"
        )


class AmlCompute(ComputeTarget):
    """A cluster in Azure; here, slots for work on this machine."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: int = 1800,
    ) -> AmlComputeProvisioningConfiguration:
        """Describe a target for `ComputeTarget.create`.

        Parameters
        ----------
        vm_size : str, default ""
            Kept and shown; the machine is this one.
        vm_priority : {"dedicated", "lowpriority"}
        min_nodes : int, default 0
            Nodes that would stay allocated; kept and shown.
        max_nodes : int
            Slots for work at once, from 1 to 1,000.
        idle_seconds_before_scaledown : int, default 1800
            Checked only: nothing is scaled down here.

        Raises
        ------
        ComputeTargetException
            One or more of these cannot be used.
        """
        problems = []
        if not isinstance(vm_size, str):
            problems.append(f"vm_size={vm_size!r} is not a text such as 'STANDARD_D2_V2'")
        if str(vm_priority).lower() not in ("dedicated", "lowpriority"):
            problems.append(f"vm_priority={vm_priority!r} is neither 'dedicated' nor 'lowpriority'")
        if max_nodes is None:
            problems.append("max_nodes is missing")
        elif not (_whole(max_nodes, 1) and max_nodes <= MOST_NODES):
            problems.append(f"max_nodes={max_nodes!r} is not a whole number from 1 to {MOST_NODES:,}")
        if not _whole(min_nodes, 0):
            problems.append(f"min_nodes={min_nodes!r} is not a whole number from 0 on")
        elif isinstance(max_nodes, int) and min_nodes > max_nodes:
            problems.append(f"min_nodes={min_nodes} is more than max_nodes={max_nodes}")
        if not _whole(idle_seconds_before_scaledown, 0):
            problems.append(
                f"idle_seconds_before_scaledown={idle_seconds_before_scaledown!r} is not a whole number from 0 on"
            )
        if problems or max_nodes is None:
            raise ComputeTargetException(
                f"The compute target cannot be described so: {'; '.join(problems)}.",
                "correct these, for example AmlCompute.provisioning_configuration(max_nodes=4)",
            )
        return AmlComputeProvisioningConfiguration(
            vm_size, vm_priority, min_nodes, max_nodes, idle_seconds_before_scaledown
        )


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
