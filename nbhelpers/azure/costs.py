"""What a submit may cost."""

from __future__ import annotations

from typing import Any


def cost_line(compute_target: Any, minutes: float) -> str:
    """What a training may cost at most: the compute target, its node limit and the time-out, in one line.

    Parameters
    ----------
    compute_target : ComputeTarget
        Usually an `AmlCompute`; of others, the number and size of the nodes are not told.
    minutes : float
        After which the search ends.
    """
    scale = getattr(compute_target, "scale_settings", None)
    nodes = "its nodes"
    if scale is not None:
        most = scale.maximum_node_count
        nodes = f"up to {most} {'node' if most == 1 else 'nodes'} of {compute_target.vm_size}"
    return (
        f"This costs money: compute target {compute_target.name!r}, {nodes}, for at most {minutes:g} minutes of search."
    )
