from __future__ import annotations

from types import SimpleNamespace

import pytest

from nbhelpers import announce_cost, connect
from nbhelpers.azure.costs import cost_line


@pytest.mark.parametrize(("most", "nodes"), [(4, "4 nodes"), (1, "1 node")])
def test_names_target_node_limit_and_time_out(most: int, nodes: str) -> None:
    target = SimpleNamespace(
        name="cpu", vm_size="STANDARD_D2_V2", scale_settings=SimpleNamespace(maximum_node_count=most)
    )
    assert cost_line(target, 16.0) == (
        f"This costs money: compute target 'cpu', up to {nodes} of STANDARD_D2_V2, for at most 16 minutes of search."
    )


def test_a_target_of_another_kind_has_nodes_of_unknown_number() -> None:
    assert "'machine', its nodes, for at most 15.5 minutes" in cost_line(SimpleNamespace(name="machine"), 15.5)


def test_is_said_on_azure_only(capsys: pytest.CaptureFixture[str]) -> None:
    target = SimpleNamespace(name="cpu")
    announce_cost(connect("local"), target, 16)
    assert capsys.readouterr().out == ""
    announce_cost(connect("azure"), target, 16)
    assert capsys.readouterr().out.startswith("This costs money")
