"""One finished run of the seed notebook's cells, shared by the tests that only look at it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nbhelpers.local import (
    AmlCompute,
    AutoMLConfig,
    AutoMLStep,
    ComputeTarget,
    ComputeTargetException,
    Dataset,
    Experiment,
    Pipeline,
    PipelineData,
    TrainingOutput,
    Workspace,
)


def bank_like(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """A small table with numbers, texts and a label that follows from them, with noise."""
    rng = np.random.default_rng(seed)
    duration = rng.gamma(2.0, 130.0, rows).round()
    job = rng.choice(["admin.", "technician", "student"], rows)
    chance = 1 / (1 + np.exp(3.0 - duration / 120 - (job == "student")))
    label = np.where(rng.random(rows) < chance, "yes", "no")
    return pd.DataFrame({"age": rng.integers(18, 90, rows), "job": job, "duration": duration, "y": label})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace folder of the test's own."""
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def workspace(home: Path) -> Workspace:  # noqa: ARG001 - it sets the folder
    return Workspace.from_config()


@pytest.fixture
def target(workspace: Workspace) -> ComputeTarget:
    return ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))


@pytest.fixture(scope="session")
def seed_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The seed's cells up to the best model's steps; its variables, with what cells printed in `printed`."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("seed")
        patch.setenv("NBHELPERS_HOME", str(folder / "home"))
        patch.chdir(folder)
        bank_like().to_csv("bank.csv", index=False)
        yield run_seed_cells()


@pytest.fixture
def seed(seed_run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`seed_run`, with its workspace as the current one."""
    monkeypatch.setenv("NBHELPERS_HOME", str(seed_run.ws.store.home))
    return seed_run


def run_seed_cells() -> SimpleNamespace:
    printed: dict[str, str] = {}
    ws = Workspace.from_config()
    with redirect_stdout(io.StringIO()) as output:
        print(ws.name, ws.resource_group, ws.location, ws.subscription_id, sep="\n")
    printed["workspace"] = output.getvalue()

    experiment = Experiment(ws, "automl-bank")

    amlcompute_cluster_name = "automl-compute"
    with redirect_stdout(io.StringIO()) as output:
        try:
            compute_target = ComputeTarget(workspace=ws, name=amlcompute_cluster_name)
            print("Found existing cluster, use it.")
        except ComputeTargetException:
            compute_config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
            compute_target = ComputeTarget.create(ws, amlcompute_cluster_name, compute_config)
        compute_target.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=10)
    printed["compute"] = output.getvalue()

    key = "bank-marketing-dataset"
    if key in ws.datasets.keys():  # noqa: SIM118 - the seed's own words
        dataset = ws.datasets[key]
    else:
        dataset = Dataset.Tabular.from_delimited_files("bank.csv")
        dataset = dataset.register(workspace=ws, name=key, description="Bank marketing dataset")

    automl_settings = {
        "experiment_timeout_minutes": 16,
        "max_concurrent_iterations": 4,
        "primary_metric": "AUC_weighted",
        "n_cross_validations": 3,
        "iterations": 4,
    }
    automl_config = AutoMLConfig(
        compute_target=compute_target,
        task="classification",
        training_data=dataset,
        label_column_name="y",
        path="./pipeline-project",
        enable_early_stopping=True,
        featurization="auto",
        debug_log="automl_errors.log",
        **automl_settings,
    )

    ds = ws.get_default_datastore()
    metrics_data = PipelineData(
        name="metrics_data",
        datastore=ds,
        pipeline_output_name="metrics_output",
        training_output=TrainingOutput(type="Metrics"),
    )
    model_data = PipelineData(
        name="model_data",
        datastore=ds,
        pipeline_output_name="best_model_output",
        training_output=TrainingOutput(type="Model"),
    )
    automl_step = AutoMLStep(
        name="automl_module", automl_config=automl_config, outputs=[metrics_data, model_data], allow_reuse=True
    )
    pipeline = Pipeline(description="pipeline_with_automlstep", workspace=ws, steps=[automl_step])
    with redirect_stdout(io.StringIO()) as output:
        pipeline_run = experiment.submit(pipeline)
    printed["submit"] = output.getvalue()
    with redirect_stdout(io.StringIO()) as output:
        status = pipeline_run.wait_for_completion()
    printed["wait"] = output.getvalue()

    metrics_output = pipeline_run.get_pipeline_output("metrics_output")
    with redirect_stdout(io.StringIO()) as output:
        num_file_downloaded = metrics_output.download(".", show_progress=True)
    printed["metrics"] = output.getvalue()
    with open(metrics_output._path_on_datastore) as f:  # noqa: PTH123
        metrics_text = f.read()

    best_model_output = pipeline_run.get_pipeline_output("best_model_output")
    with redirect_stdout(io.StringIO()):
        best_model_output.download(".", show_progress=True)
    from nbhelpers.local import models as pickle

    with open(best_model_output._path_on_datastore, "rb") as f:  # noqa: PTH123
        best_model = pickle.load(f)  # type: ignore[arg-type]
    step = next(pipeline_run.get_steps())
    return SimpleNamespace(**locals())
