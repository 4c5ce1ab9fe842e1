from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbhelpers.errors import ConfigException, DataError
from nbhelpers.local import AutoMLConfig, AutoMLStep, ComputeTarget, Experiment, Pipeline

from .conftest import bank_like


def config(target: ComputeTarget, **changes: Any) -> AutoMLConfig:
    arguments = {"task": "classification", "compute_target": target, "label_column_name": "y", "iterations": 4}
    if "training_data" not in changes:
        changes["training_data"] = bank_like(60)
    return AutoMLConfig(**(arguments | changes))


@pytest.mark.usefixtures("target")
def test_all_problems_are_listed_in_one_error() -> None:
    with pytest.raises(ConfigException) as caught:
        config(
            None,  # type: ignore[arg-type]
            label_column_name="yy",
            experiment_timeout_minute=16,
            iterations="many",
            primary_metric="AUC_weightd",
            label_colum_name="y",
        )
    text = caught.value.problem
    assert text.count("\n- ") == 6
    assert "compute_target=None is not a compute target" in text
    assert "label_column_name='yy' is not a column of the training data. Did you mean 'y'?" in text
    assert "'experiment_timeout_minute'. Did you mean 'experiment_timeout_minutes'?" in text
    assert "iterations='many'" in text
    assert "Did you mean 'AUC_weighted'?" in text
    assert "'label_colum_name'. Did you mean 'label_column_name'?" in text


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"compute_target": "local"}, "compute_target='local' is not a compute target"),
        ({"training_data": None}, "NoneType is not a data set"),
        ({"training_data": [1, 2]}, "list is not a data set"),
        ({"training_data": "missing.csv"}, "missing.csv"),
        ({"label_column_name": None}, "label_column_name=None is not a column"),
        ({"training_data": bank_like(60).assign(y="no")}, "the single value no, so there is nothing to tell apart"),
        ({"training_data": bank_like(60).assign(y=None)}, "The label 'y' is missing in every row"),
        ({"training_data": bank_like(60).assign(y=range(60))}, "has 60 different values in 60 rows"),
        ({"task": "regression"}, "'yes' is not a number|'no' is not a number"),
        ({"training_data": bank_like(60)[["y"]]}, "no column besides the label"),
        ({"task": "forecasting"}, "task='forecasting' is not one of 'classification', 'regression'"),
        ({"validation_data": [1, 2]}, "validation_data: list is not a data set"),
        ({"validation_data": bank_like(30)[["age", "y"]]}, "it lacks 'job', 'duration'"),
        ({"validation_data": bank_like(30).assign(more=1)}, "it also has 'more'"),
        ({"validation_data": bank_like(30).assign(y="maybe")}, "validation_data: The label 'y' is 'maybe' in 30"),
        ({"validation_data": bank_like(30).assign(y=None)}, "'y' is missing in every row of validation_data"),
        ({"validation_data": bank_like(30), "validation_size": 0.2}, "validation_data and validation_size conflict"),
        ({"weight_column_name": "agee"}, "weight_column_name names 'agee', which is not .* Did you mean 'age'"),
        ({"weight_column_name": "y"}, "weight_column_name names 'y', which is the label"),
        ({"cv_split_column_names": ["age", "jobs"]}, "cv_split_column_names names 'jobs'.* Did you mean 'job'"),
        ({"cv_split_column_names": ["age", "job", "duration"]}, "no column besides the label 'y' and what cv_split"),
        ({"positive_label": "yess"}, "positive_label='yess' is no label of the data"),
    ],
)
def test_what_cannot_work_is_refused(target: ComputeTarget, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigException, match=problem):
        config(**({"target": target} | {"target" if k == "compute_target" else k: v for k, v in changes.items()}))


def test_a_data_frame_and_a_path_are_accepted_as_the_same_data(target: ComputeTarget, tmp_path: Path) -> None:
    frame = bank_like(60)
    frame.to_csv(tmp_path / "bank.csv", index=False)
    frame.to_parquet(tmp_path / "bank.parquet", index=False)
    for data in (frame, tmp_path / "bank.csv", str(tmp_path / "bank.parquet")):
        made = config(target, training_data=data)
        assert made.training_data.to_pandas_dataframe().shape == (60, 4)


def test_validation_data_is_stored_beside_the_training_data(target: ComputeTarget, tmp_path: Path) -> None:
    bank_like(30, seed=2).to_csv(tmp_path / "valid.csv", index=False)
    assert config(target).definition()["validation"] is None
    definition = config(target, validation_data=tmp_path / "valid.csv").definition()
    stored = definition["validation"]
    assert (definition["data_rows"], stored["data_rows"], stored["dataset"]) == (60, 30, None)
    for digest in (definition["data_digest"], stored["data_digest"]):
        assert (target.workspace.store.data_folder / f"{digest}.parquet").is_file()


def test_the_folder_of_scripts_is_not_created(target: ComputeTarget, tmp_path: Path) -> None:
    config(target, path=tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_settings_reach_the_engine(target: ComputeTarget) -> None:
    made = config(target, experiment_timeout_hours=np.float32(0.5), seed=np.int64(3), featurization="AUTO")
    assert (made.settings.experiment_timeout_minutes, made.settings.seed) == (30, 3)
    assert (made.settings.featurization, made.settings.iterations) == ("auto", 4)
    assert json.loads(made.definition()["properties"]["AMLSettingsJsonString"])["seed"] == 3


def test_data_that_is_gone_is_refused_on_submit(target: ComputeTarget) -> None:
    made = config(target)
    made.training_data.materialize().unlink()
    with pytest.raises(DataError, match="no longer in the data folder"):
        Pipeline(target.workspace, AutoMLStep("automl_module", made)).submit("one")
    assert list(Experiment(target.workspace, "one").get_runs()) == []


def test_data_of_another_workspace_folder_is_taken_along(
    target: ComputeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "other"))
    definition = config(target).definition()
    assert (target.workspace.store.data_folder / f"{definition['data_digest']}.parquet").is_file()
