"""The package versions that a model of Azure was made with, and that opening it takes."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

#: The packages that hold the classes of a model: another version may not open it, or predict other values.
PACKAGES = (
    "azureml-automl-runtime",
    "azureml-train-automl-runtime",
    "azureml-training-tabular",
    "lightgbm",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "xgboost",
)
#: Files of a child run: the versions of all packages, and an environment for conda.
VERSIONS, ENVIRONMENT = "outputs/env_dependencies.json", "outputs/conda_env_v_1_0_0.yml"


def differences(child: Any) -> list[str]:
    """Packages that the model of a child run needs in another version than is installed, as ``name==version``.

    Nothing, where the run does not tell its versions.
    """
    needed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, suppress(Exception):  # runs of long ago have no such file
        file = Path(folder) / "versions.json"
        child.download_file(VERSIONS, str(file))
        needed = json.loads(file.read_bytes())
    return [f"{name}=={needed[name]}" for name in PACKAGES if name in needed and needed[name] != _installed(name)]


def remedy(child: Any) -> str:
    """How to get an environment in which the model of a child run opens."""
    file = Path(ENVIRONMENT).name
    return (
        f"download the run's environment with Run.get(workspace, {child.id!r}).download_file({ENVIRONMENT!r}), and "
        f"make it: conda env create --name automl-model --file {file}. There, AutoMLRun.get_output() opens the model."
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
