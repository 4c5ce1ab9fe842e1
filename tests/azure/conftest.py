from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbhelpers.local import Workspace

if TYPE_CHECKING:
    from nbhelpers.emulator.launch import Emulator

#: Runs a program where the SDK talks to the emulator, and gives what it has printed last, from JSON.
Run = Callable[..., Any]

OPENING = """
import json
import nbhelpers
ml = nbhelpers.connect("azure")
ws = ml.Workspace.from_config()
"""

#: Makes a small `pipeline`, whose search ends after `minutes`.
PIPELINE = """
import pandas as pd
rows = pd.DataFrame({"a": range(200), "y": ["no", "yes"] * 100})
store = ws.get_default_datastore()
data = ml.Dataset.Tabular.register_pandas_dataframe(rows, store, "rows", show_progress=False)
config = ml.AutoMLConfig(
    task="classification", compute_target=ml.ComputeTarget(ws, "automl-compute"), training_data=data,
    label_column_name="y", experiment_timeout_minutes=minutes, iterations=2, n_cross_validations=2, path="project",
)
pipeline = ml.Pipeline(ws, [ml.AutoMLStep("automl_module", config)])
"""


@pytest.fixture(scope="package")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    if importlib.util.find_spec("azureml") is None:
        pytest.skip("needs the azure environment: make install-azure")
    from nbhelpers.emulator.launch import running

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBHELPERS_HOME", str(tmp_path_factory.mktemp("home")))
        with running(Workspace.from_config()) as emulator:
            yield emulator


@pytest.fixture
def program(emulator: Emulator, tmp_path: Path) -> Iterator[Run]:
    """Gives the last printed line of a program as JSON; of one that fails, what it wrote to standard error."""
    from nbhelpers.emulator.client import config_in

    def run(code: str, fails: bool = False, **environment: str | None) -> Any:
        variables = {name: text for name, text in (emulator.environment | environment).items() if text is not None}
        done = subprocess.run(
            [sys.executable, "-c", OPENING + code],
            cwd=tmp_path,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else json.loads(done.stdout.splitlines()[-1])

    with config_in(tmp_path):
        yield run
    emulator.cloud.faults.clear()
