from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import (
    AmlCompute,
    AutoMLConfig,
    AutoMLRun,
    AutoMLStep,
    ComputeTarget,
    Pipeline,
    Workspace,
    models,
)
from nbhelpers.local.outputs import PortDataReference
from nbhelpers.metrics import CLASSIFICATION_METRICS, REGRESSION_METRICS

from .kills import killed_at_each_line


def columns_of(output: PortDataReference, folder: Path) -> dict[str, dict[str, list[object]]]:
    """The metrics output of a run, read as the seed reads it."""
    output.download(folder, show_progress=False)
    with (folder / output._path_on_datastore).open() as file:
        table: dict[str, dict[str, list[object]]] = json.loads(file.read())
    return table


#: Read by every new Python process when it stands on PYTHONPATH as sitecustomize.py.
NO_FORESTS = """
from sklearn.ensemble import RandomForestRegressor

def fit(*_arguments, **_settings):
    raise MemoryError("no room left")

RandomForestRegressor.fit = fit
"""


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AutoMLRun]:
    """A regression with negative targets, of whose candidates the forests fail for lack of memory."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=150), "b": rng.normal(size=150)})
    frame["y"] = frame["a"] * 3 + rng.normal(size=150)
    folder = tmp_path_factory.mktemp("regression")
    (folder / "sitecustomize.py").write_text(NO_FORESTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBHELPERS_HOME", str(folder / "home"))
        patch.setenv("PYTHONPATH", str(folder))
        workspace = Workspace.from_config()
        target = ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))
        arguments = {"training_data": frame, "label_column_name": "y", "iterations": 6, "n_cross_validations": 2}
        models = ["ElasticNet", "DecisionTree", "RandomForest"]
        config = AutoMLConfig("regression", compute_target=target, allowed_models=models, **arguments)
        step = AutoMLStep("automl_module", config)
        run = Pipeline(workspace, step).submit("regression")
        run.wait_for_completion(show_output=False)
        yield next(run.get_steps())


def test_the_metrics_of_a_classification_have_the_seeds_form(seed: SimpleNamespace, tmp_path: Path) -> None:
    columns = columns_of(seed.metrics_output, tmp_path)
    assert list(columns) == [f"{seed.step.id}_{k}" for k in range(4)]
    for column in columns.values():
        assert set(column) == {*CLASSIFICATION_METRICS, "confusion_matrix", "accuracy_table"}
        assert all(isinstance(value, float) for name in CLASSIFICATION_METRICS for value in column[name])
        assert all(isinstance(column[name][0], str) for name in ("confusion_matrix", "accuracy_table"))
        assert {len(cell) for cell in column.values()} == {1}


def test_the_metrics_of_a_regression_leave_out_a_failed_child(regression: AutoMLRun, tmp_path: Path) -> None:
    children = list(regression.get_children())
    failed = {child.id for child in children if child.properties["run_algorithm"] == "RandomForest"}
    assert {child.id for child in children if child.get_status() == "Failed"} == failed
    columns = columns_of(regression.get_default_metrics_output(), tmp_path)
    assert list(columns) == [child.id for child in children if child.get_status() == "Completed"]
    for column in columns.values():
        assert set(column) == {*REGRESSION_METRICS, "residuals", "predicted_true"}
        assert {len(cell) for cell in column.values()} == {1}
        assert np.isnan(column["root_mean_squared_log_error"])  # as targets are negative
    table = pd.DataFrame(columns)
    assert table.shape == (14, 6 - len(failed))
    best = regression.get_metrics()
    assert best["r2_score"] == table.loc["r2_score", regression.get_best_child().id][0] > 0.5
    assert failed
    assert all(child.get_metrics() == {} for child in children if child.id in failed)


def test_the_model_of_a_regression_is_downloaded_and_loaded(regression: AutoMLRun, tmp_path: Path) -> None:
    output = regression.get_default_model_output()
    assert output.download(tmp_path, show_progress=False) == 1
    model = models.load(tmp_path / output.path_on_datastore, regression.experiment.workspace)
    assert np.isfinite(model.predict(pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 1.0]}))).all()


@pytest.mark.parametrize("folder", [".", "new/folder", "{tmp}/absolute", "~/download", "it's {{a}} 100% ü #?"])
def test_a_folder_may_be_given_in_any_form(
    seed: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    folder = folder.format(tmp=tmp_path)
    assert seed.metrics_output.download(folder) == 1
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file == tmp_path / Path(folder).expanduser() / "azureml" / seed.step.id / "metrics_data"
    assert file.read_text() == seed.metrics_text


@pytest.mark.parametrize("overwrite", [None, False, True])
def test_a_file_that_is_there_is_kept_unless_overwrite_is_true(
    seed: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], overwrite: bool | None
) -> None:
    file = tmp_path / seed.metrics_output.path_on_datastore
    assert seed.metrics_output.download(tmp_path, overwrite=overwrite) == 1
    file.write_text("mine")
    capsys.readouterr()
    assert seed.metrics_output.download(tmp_path, overwrite=overwrite) == (1 if overwrite else 0)
    assert file.read_text() == (seed.metrics_text if overwrite else "mine")
    path = seed.metrics_output.path_on_datastore
    assert capsys.readouterr().out == (
        f"Downloading {path}\nDownloaded {path}, 1 files out of an estimated total of 1\n"
        if overwrite
        else f"Path already exists. Skipping download for {file}\n"
    )


@pytest.mark.parametrize("overwrite", [None, True])
def test_no_progress_prints_nothing(
    seed: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], overwrite: bool | None
) -> None:
    for _ in range(2):
        seed.metrics_output.download(tmp_path, overwrite=overwrite, show_progress=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [{"overwrite": "no"}, {"show_progress": 1}])
def test_flags_that_are_none_are_refused(seed: SimpleNamespace, tmp_path: Path, arguments: dict[str, object]) -> None:
    with pytest.raises(UserErrorException, match="is neither True nor False"):
        seed.metrics_output.download(tmp_path, **arguments)


@pytest.mark.parametrize("overwrite", [None, True])
def test_a_folder_in_the_place_of_the_file_is_refused(
    seed: SimpleNamespace, tmp_path: Path, overwrite: bool | None
) -> None:
    (tmp_path / seed.metrics_output.path_on_datastore / "kept").mkdir(parents=True)
    with pytest.raises(UserErrorException, match=r"cannot be written to .*metrics_data: Is a directory"):
        seed.metrics_output.download(tmp_path, overwrite)
    assert [path.name for path in (tmp_path / "azureml" / seed.step.id).iterdir()] == ["metrics_data"]


def test_a_file_in_the_place_of_a_folder_is_refused(seed: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "azureml").write_text("mine")
    with pytest.raises(UserErrorException, match=r"cannot be written to .*: Not a directory\.\n.*you may write to"):
        seed.metrics_output.download(tmp_path)
    with pytest.raises(UserErrorException, match="embedded null"):
        seed.metrics_output.download("a\0b")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write to every folder")
def test_a_read_only_folder_is_refused(seed: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UserErrorException, match=r"cannot be written to .*: Permission denied"):
        seed.metrics_output.download(tmp_path / "closed")


def test_a_disk_without_room_leaves_the_file_as_it_was(seed: SimpleNamespace, tmp_path: Path) -> None:
    output = seed.best_model_output
    file = tmp_path / output.path_on_datastore
    output.download(tmp_path)
    file.write_text("mine")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))  # bytes of a file
    try:
        with pytest.raises(UserErrorException, match=r"cannot be written to .*: File too large"):
            output.download(tmp_path, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert [(path, path.read_text()) for path in file.parent.iterdir()] == [(file, "mine")]


def test_a_download_that_is_killed_leaves_no_half_file(seed: SimpleNamespace, tmp_path: Path) -> None:
    output = seed.best_model_output
    whole = models.model_file(seed.ws.store, seed.step.id).read_bytes()
    found = []
    for number in killed_at_each_line(lambda number: output.download(tmp_path / str(number), show_progress=False)):
        file = tmp_path / str(number) / output.path_on_datastore
        assert not file.exists() or file.read_bytes() == whole
        found.append(file.exists())
    assert list(dict.fromkeys(found)) == [False, True]
