from __future__ import annotations

import subprocess
import sys

import pytest

import nbhelpers

HEAVY = {"pandas", "sklearn", "lightgbm", "papermill", "duckdb", "matplotlib", "sqlalchemy", "azureml", "nbformat"}


def test_facade_has_at_most_30_names_and_each_loads() -> None:
    assert len(nbhelpers.__all__) <= 30
    assert all(getattr(nbhelpers, name) is not None for name in nbhelpers.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="conect"):
        _ = nbhelpers.conect


@pytest.mark.parametrize("statement", ["import nbhelpers", "import nbhelpers; nbhelpers.connect('local')"])
def test_import_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
