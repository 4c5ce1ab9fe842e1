"""A module imports only from floors below its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nbhelpers"
#: From the ground up. Modules of one floor do not know each other.
BUILDING = [
    {"errors"},
    {"metrics"},
    {"automl", "batch", "bundled", "results"},
    {"azure", "local"},
    {"backend", "service"},
    {"emulator", "preparation"},
    {""},  # nbhelpers itself, the façade
    {"cli"},
    {"__main__"},
]
FLOORS = {name: number for number, names in enumerate(BUILDING) for name in names}


def unit(path: Path) -> str:
    """The module or package below nbhelpers that a file belongs to; empty for the façade."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> set[str]:
    """The units of nbhelpers that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nbhelpers":
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.split(".")[0] == "nbhelpers"]
        else:
            continue
        for module in modules:
            name = module.split(".")[1] if "." in module else ""
            found.add(name if name in FLOORS else "")
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_from_lower_floors(path: Path) -> None:
    own = unit(path)
    wrong = {name for name in imports(path) - {own} if FLOORS[name] >= FLOORS[own]}
    assert not wrong, f"{own or 'nbhelpers'} (floor {FLOORS[own]}) imports {wrong}"


def test_every_module_has_a_floor() -> None:
    assert {unit(path) for path in MODULES} <= FLOORS.keys()
