"""What the SDK's names do, on both backends: the local one, and the real SDK under the emulator.

The second is another call of pytest, as the emulator has to run before the SDK is imported::

    .venv-azure/bin/nbhelpers emulate -- .venv-azure/bin/pytest tests/contract --backend azure
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from nbhelpers import connect, serving
from nbhelpers.emulator.names import SUBSCRIPTION

from ..local.conftest import bank_like
from ..service.servers import in_thread
from .runs import Seen, outputs, pipeline_of

BACKENDS = {"local": "nbhelpers.errors", "azure": "azureml.exceptions"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=list(BACKENDS), default="local", help="of the contract suite")


@pytest.fixture(scope="package")
def backend(request: pytest.FixtureRequest) -> str:
    # Where pytest was not given this folder by name, it does not know the option.
    return str(request.config.getoption("backend", "local"))


@pytest.fixture(scope="package")
def ml(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBHELPERS_HOME", str(tmp_path_factory.mktemp("home")))
        yield connect(backend)


@pytest.fixture(scope="package")
def errors(backend: str) -> ModuleType:
    """The module that has the backend's exceptions, under the same names."""
    return import_module(BACKENDS[backend])


@pytest.fixture(scope="package")
def ws(ml: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The workspace; the current folder is then one for the files that the SDK leaves."""
    workspace = ml.Workspace.from_config()
    if workspace.subscription_id not in (SUBSCRIPTION, "local"):
        pytest.exit("This is a workspace of Azure, where runs cost money: run the suite under `nbhelpers emulate`.")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("contract"))
        yield workspace


@pytest.fixture(scope="package")
def table() -> pd.DataFrame:
    return bank_like(300)


@pytest.fixture(scope="package")
def url(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a folder of files: bank.csv has the table, narrow.csv two of its columns.

    valid.csv has other rows, and marked.csv the table with two columns that split it and one of weights.
    """
    folder = tmp_path_factory.mktemp("files")
    bank_like(80, seed=2).to_csv(folder / "valid.csv", index=False)
    rows = np.arange(len(table))
    marked = table.assign(first=(rows % 3 != 0).astype(int), second=(rows % 3 != 1).astype(int), counts=1 + rows % 2)
    marked.to_csv(folder / "marked.csv", index=False)
    table.to_csv(folder / "bank.csv", index=False)
    table[["age", "y"]].to_csv(folder / "narrow.csv", index=False)
    with file_server(folder) as address:
        yield address


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """The address of a web server of the files in a folder."""
    app = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    with in_thread(uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))) as address:
        yield address


@pytest.fixture(scope="package")
def target(ml: Any, ws: Any) -> Any:
    return ml.ComputeTarget.create(
        ws, "contract", ml.AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=2)
    )


@pytest.fixture(scope="package")
def dataset(ml: Any, ws: Any, url: str) -> Any:
    return ml.Dataset.Tabular.from_delimited_files(f"{url}/bank.csv").register(ws, "bank")


@pytest.fixture(scope="package")
def seen(ml: Any, ws: Any, target: Any, dataset: Any) -> Seen:
    """A finished run, and what the calls that led to it printed."""
    experiment = ml.Experiment(ws, "contract")
    pipeline = pipeline_of(ml, target, training_data=dataset, outputs=outputs(ml, ws))
    with redirect_stdout(io.StringIO()) as submitted:
        run = experiment.submit(pipeline, tags={"made": "by a test"})
    with redirect_stdout(io.StringIO()) as waited:
        status = run.wait_for_completion()
    return Seen(experiment, run, status, submitted.getvalue(), waited.getvalue())


@pytest.fixture(scope="package")
def published(seen: Seen) -> Any:
    return seen.run.publish_pipeline("bank", "of the tests", "1.0")


@pytest.fixture(scope="package")
def header(ml: Any) -> dict[str, str]:
    return dict(ml.InteractiveLoginAuthentication().get_authentication_header())


@pytest.fixture(scope="package")
def service(ws: Any) -> Iterator[None]:
    """What answers at the endpoints: a service of the workspace, or Azure's."""
    with serving(ws):
        yield
