from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nbhelpers.batch import Record, run_batch

FIXTURES = Path(__file__).parents[1] / "notebooks_fixtures"


@pytest.fixture(scope="session")
def chain() -> Path:
    """Three notebooks that hand values on; the second names a kernel that does not exist."""
    return FIXTURES / "chain"


@pytest.fixture(scope="session")
def trouble() -> Path:
    """Three notebooks; the second does what its parameter `how` says."""
    return FIXTURES / "trouble"


@pytest.fixture(scope="session")
def finished(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A finished run of the whole chain; its folder is only to be read."""
    output = tmp_path_factory.mktemp("batches") / "with {braces} and spaces"
    return run_batch({"rows": "4", "title": "<3>"}, output, notebooks=chain, progress=lambda _record, _stage: None)


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook whose cells tagged `parameters` have the given sources; its last cell has the code."""

    def write(*sources: str, code: str = "") -> Path:
        cells = [
            {"cell_type": "code", "metadata": {"tags": tags}, "source": source, "outputs": [], "execution_count": None}
            for tags, source in [*((["parameters"], source) for source in sources), ([], code)]
        ]
        path = tmp_path / "01_some.ipynb"
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
        return path

    return write
