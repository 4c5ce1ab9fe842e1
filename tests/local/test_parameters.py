from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nbhelpers.errors import ConfigException, UserErrorException
from nbhelpers.local import (
    AutoMLConfig,
    AutoMLStep,
    ComputeTarget,
    Dataset,
    DatasetConsumptionConfig,
    Pipeline,
    PipelineParameter,
    TabularDataset,
    Workspace,
)
from nbhelpers.local.assignments import resolve
from nbhelpers.local.reuse import fingerprint, fingerprint_parts

from .conftest import bank_like


@pytest.fixture
def bank(workspace: Workspace) -> TabularDataset:
    return Dataset.Tabular.from_pandas_dataframe(bank_like(60)).register(workspace, "bank")


def definition_of(target: ComputeTarget, data: object, **settings: Any) -> dict[str, Any]:
    """What a run of a pipeline keeps, as it is read again from the store."""
    config = AutoMLConfig(
        "classification",
        compute_target=target,
        training_data=data,  # type: ignore[arg-type] - some tests are about wrong ones
        label_column_name="y",
        **settings,
    )
    definition = Pipeline(target.workspace, AutoMLStep("automl", config)).definition()
    loaded: dict[str, Any] = json.loads(json.dumps(definition))
    return loaded


def digest(definition: Mapping[str, Any]) -> str:
    return fingerprint(fingerprint_parts(definition["steps"][0]))


@pytest.mark.parametrize("default", [3, 0.5, True, "auto"])
def test_a_parameter_has_a_simple_default_or_a_data_set(bank: TabularDataset, default: int | float | str) -> None:
    assert PipelineParameter("rate", default).default_value == default
    assert PipelineParameter("data", bank).default_value is bank
    with pytest.raises(ValueError, match="is of type list"):
        PipelineParameter("rate", [1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'' cannot be the name"):
        PipelineParameter("", 1)


class TestDatasetConsumptionConfig:
    def test_it_holds_a_data_set_a_parameter_or_the_name_of_one(self, bank: TabularDataset) -> None:
        workspace = bank._registration.workspace  # type: ignore[union-attr]
        bank_2 = Dataset.Tabular.from_pandas_dataframe(bank_like(70)).register(
            workspace, "bank", create_new_version=True
        )
        parameter = PipelineParameter("data", bank)
        assert DatasetConsumptionConfig("training", bank).dataset is bank
        assert DatasetConsumptionConfig("training", parameter, mode="Direct").dataset is parameter
        for given, version in (((workspace, "bank"), bank_2.version), ((workspace, "bank", 1), 1)):
            found = DatasetConsumptionConfig("training", given).dataset
            assert isinstance(found, TabularDataset)
            assert found.version == version

    @pytest.mark.parametrize("name", ["", "1a", "a-b", "ä", None])
    def test_its_name_is_that_of_a_variable(self, bank: TabularDataset, name: str) -> None:
        with pytest.raises(UserErrorException, match="cannot be the name of an input"):
            DatasetConsumptionConfig(name, bank)

    def test_what_is_no_data_set_is_refused(self, bank: TabularDataset) -> None:
        with pytest.raises(UserErrorException, match="The input 'a' is a int, not a data set"):
            DatasetConsumptionConfig("a", PipelineParameter("data", 3))
        with pytest.raises(UserErrorException, match=r"mode='mount'.*a table is not mounted"):
            DatasetConsumptionConfig("a", bank, mode="mount")
        with pytest.raises(UserErrorException, match="path_on_compute='/data'"):
            DatasetConsumptionConfig("a", bank, path_on_compute="/data")
        for parts in ((), ("bank",), ("workspace", "bank", 1, "more")):
            with pytest.raises(UserErrorException, match=f"'a' has {len(parts)} parts"):
                DatasetConsumptionConfig("a", parts)
        with pytest.raises(UserErrorException, match="is not a local workspace"):
            DatasetConsumptionConfig("a", ("workspace", "bank"))


class TestInAConfig:
    def test_the_defaults_are_the_values_and_change_no_fingerprint(
        self, target: ComputeTarget, bank: TabularDataset
    ) -> None:
        plain = definition_of(target, bank, iterations=4, enable_early_stopping=False)
        named = definition_of(
            target,
            DatasetConsumptionConfig("training", PipelineParameter("data", bank)),
            iterations=PipelineParameter("rounds", 4),
            enable_early_stopping=PipelineParameter("stop", default_value=False),
        )
        assert set(plain) == {"description", "continue_on_step_failure", "steps"}
        assert named.pop("parameters") == {
            "data": {"setting": "training_data", "type": "dataset", "default": "bank:1"},
            "rounds": {"setting": "iterations", "type": "int", "default": 4},
            "stop": {"setting": "enable_early_stopping", "type": "bool", "default": False},
        }
        assert named == plain
        assert definition_of(target, DatasetConsumptionConfig("training", bank), iterations=4) == definition_of(
            target, bank, iterations=4
        )

    def test_a_default_is_checked_like_any_value(self, target: ComputeTarget, bank: TabularDataset) -> None:
        with pytest.raises(ConfigException, match="- iterations=0 must be a whole number from 1 to 1,000"):
            definition_of(target, bank, iterations=PipelineParameter("rounds", 0))
        with pytest.raises(ConfigException, match=r"There is no setting 'iteration'. Did you mean 'iterations'"):
            definition_of(target, bank, iteration=PipelineParameter("rounds", 4))
        with pytest.raises(ConfigException, match=r"training_data: PipelineParameter is not a data set.*Consumption"):
            definition_of(target, PipelineParameter("data", bank))

    def test_a_parameter_stands_for_one_thing(self, target: ComputeTarget, bank: TabularDataset) -> None:
        number = PipelineParameter("number", 5)
        with pytest.raises(ConfigException, match="'number' stands for iterations and ensemble_iterations"):
            definition_of(target, bank, iterations=number, ensemble_iterations=number)

    def test_a_number_of_numpy_is_a_number(self, target: ComputeTarget, bank: TabularDataset) -> None:
        minutes = PipelineParameter("minutes", np.float64(3.5))
        found = definition_of(target, bank, experiment_timeout_minutes=minutes)["parameters"]
        assert found["minutes"] == {"setting": "experiment_timeout_minutes", "type": "float", "default": 3.5}


@pytest.fixture
def definition(target: ComputeTarget, bank: TabularDataset) -> dict[str, Any]:
    return definition_of(
        target,
        DatasetConsumptionConfig("training", PipelineParameter("data", bank)),
        iterations=PipelineParameter("rounds", 4),
        experiment_timeout_minutes=PipelineParameter("minutes", 10.0),
        enable_early_stopping=PipelineParameter("stop", default_value=True),
        primary_metric=PipelineParameter("metric", "AUC_weighted"),
    )


class TestResolve:
    @pytest.mark.parametrize(
        ("assigned", "setting", "value"),
        [
            ({"rounds": 6}, "iterations", 6),
            ({"rounds": "6"}, "iterations", 6),
            ({"minutes": 7}, "experiment_timeout_minutes", 7.0),
            ({"minutes": "0.5"}, "experiment_timeout_minutes", 0.5),
            ({"minutes": "1e1"}, "experiment_timeout_minutes", 10.0),
            ({"stop": False}, "enable_early_stopping", False),
            ({"stop": "False"}, "enable_early_stopping", False),
            ({"stop": "true"}, "enable_early_stopping", True),
            ({"metric": "accuracy"}, "primary_metric", "accuracy"),
        ],
    )
    def test_a_value_is_that_of_the_setting_also_as_text(
        self, workspace: Workspace, definition: dict[str, Any], assigned: dict[str, Any], setting: str, value: object
    ) -> None:
        before = json.dumps(definition)
        resolved = resolve(workspace, definition, assigned)
        (step,) = resolved["steps"]
        assert step["settings"][setting] == value
        assert type(step["settings"][setting]) is type(value)
        assert json.loads(step["properties"]["AMLSettingsJsonString"]) == step["settings"]
        assert resolved["parameters"][next(iter(assigned))]["default"] == value
        assert json.dumps(definition) == before

    def test_nothing_assigned_or_the_defaults_change_nothing(
        self, workspace: Workspace, definition: dict[str, Any]
    ) -> None:
        for assigned in (None, {}, {"rounds": "4", "stop": "true", "minutes": "10"}):
            assert resolve(workspace, definition, assigned) == definition

    def test_it_is_what_a_pipeline_made_with_these_values_would_be(
        self, target: ComputeTarget, bank: TabularDataset, definition: dict[str, Any]
    ) -> None:
        same = {"experiment_timeout_minutes": 10.0, "primary_metric": "AUC_weighted"}
        made = definition_of(target, bank.take(50), iterations=6, **same)
        resolved = resolve(target.workspace, definition, {"rounds": 6, "data": bank.take(50)})
        assert resolved["steps"] == made["steps"]
        assert digest(resolved) == digest(made) != digest(definition)
        assert resolved["parameters"]["data"]["default"] == bank.take(50).digest

    def test_hours_replace_the_minutes_made_of_them(self, target: ComputeTarget, bank: TabularDataset) -> None:
        definition = definition_of(target, bank, experiment_timeout_hours=PipelineParameter("hours", 1.0))
        assert definition["steps"][0]["settings"]["experiment_timeout_minutes"] == 60
        resolved = resolve(target.workspace, definition, {"hours": 2})
        assert resolved["steps"][0]["settings"]["experiment_timeout_minutes"] == 120

    def test_a_data_set_is_named_as_in_requests(
        self, workspace: Workspace, bank: TabularDataset, definition: dict[str, Any]
    ) -> None:
        newer = Dataset.Tabular.from_pandas_dataframe(bank_like(70)).register(
            workspace, "bank", create_new_version=True
        )
        for reference, shown, rows in (
            ({"SavedDataSetReference": {"Id": newer.id}}, "bank:2", 70),
            ({"DataSetReference": {"Id": newer.id}}, "bank:2", 70),
            ({"DataSetReference": {"Id": newer.id, "Version": "1"}}, "bank:1", 60),
            ({"DataSetReference": {"Name": "bank"}}, "bank:2", 70),
            ({"DataSetReference": {"Name": "bank", "Version": 1}}, "bank:1", 60),
            (bank, "bank:1", 60),
        ):
            resolved = resolve(workspace, definition, {"data": reference})
            (step,) = resolved["steps"]
            assert (step["dataset"], step["data_rows"]) == (shown, rows)
            assert resolved["parameters"]["data"]["default"] == shown

    @pytest.mark.parametrize(
        ("assigned", "problem"),
        [
            ({"round": 5}, "There is no parameter 'round'. Did you mean 'rounds'?"),
            ({"zzz": 5}, "There is no parameter 'zzz'. There are: data, rounds, minutes, stop, metric."),
            ({"\ud800": 5}, r"There is no parameter '\ud800'"),
            ({"rounds": 0}, "rounds: iterations=0 must be a whole number from 1 to 1,000."),
            ({"rounds": "five"}, "rounds: 'five' is not a whole number. Give one such as 4."),
            ({"rounds": 5.0}, "rounds: 5.0 is not a whole number"),
            ({"rounds": True}, "rounds: True is not a whole number"),
            ({"rounds": "1_0"}, "rounds: '1_0' is not a whole number"),
            ({"rounds": " 5"}, "rounds: ' 5' is not a whole number"),
            ({"rounds": "٣"}, "rounds: '٣' is not a whole number"),
            ({"rounds": "9" * 5000}, "is not a whole number"),
            ({"rounds": 10**5000}, "rounds: a number of that size is not a whole number"),
            ({"rounds": None}, "rounds: None is not a whole number"),
            ({"minutes": "nan"}, "minutes: 'nan' is not a number"),
            ({"minutes": float("inf")}, "minutes: inf is not a number"),
            ({"minutes": 10**400}, "minutes: a number of that size is not a number"),
            ({"minutes": -1}, "minutes: experiment_timeout_minutes=-1.0 must be a number above 0"),
            ({"stop": 1}, "stop: 1 is not true or false"),
            ({"stop": "yes"}, "stop: 'yes' is not true or false"),
            ({"metric": 5}, "metric: 5 is not a text"),
            ({"metric": "AUC"}, "metric: primary_metric='AUC' is not one of"),
            ({"data": "bank:1"}, "data: 'bank:1' is not a data set. Give a TabularDataset, {"),
            ({"data": {"DataSetReference": {}}}, "data: DataSetReference has neither an Id nor a Name"),
            ({"data": {"DataSetReference": {"Name": "bnk"}}}, "No data set 'bnk' is registered in the workspace"),
            ({"data": {"DataSetReference": {"Name": "bank", "Version": 9}}}, "has no version 9; it has: 1"),
            ({"data": {"DataSetReference": {"Name": ["bank"]}}}, "of another type"),
            ({"data": {"DataSetReference": {"Name": "../bank"}}}, "cannot be the name of a data set"),
            ({"data": {"SavedDataSetReference": {"Id": "../../etc"}}}, "'../../etc' is not the id of a data set"),
            ({"data": {"SavedDataSetReference": {"Id": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}}}, "is registered"),
            ({"data": {"A": {}, "B": {}}}, "is not a data set"),
        ],
    )
    def test_what_cannot_be_used_is_named_with_the_reason(
        self, workspace: Workspace, definition: dict[str, Any], assigned: dict[str, Any], problem: str
    ) -> None:
        with pytest.raises(UserErrorException) as caught:
            resolve(workspace, definition, assigned)
        assert problem in caught.value.problem

    def test_data_without_the_label_is_refused(
        self, workspace: Workspace, bank: TabularDataset, definition: dict[str, Any]
    ) -> None:
        with pytest.raises(UserErrorException, match="data: label_column_name='y' is not a column of the training"):
            resolve(workspace, definition, {"data": bank.drop_columns("y")})

    def test_validation_data_and_columns_are_checked_with_all_that_is_assigned(
        self, target: ComputeTarget, bank: TabularDataset
    ) -> None:
        workspace = target.workspace
        wide = Dataset.Tabular.from_pandas_dataframe(bank_like(70).assign(weight=2)).register(workspace, "wide")
        other = Dataset.Tabular.from_pandas_dataframe(bank_like(40).assign(weight=1)).register(workspace, "other")
        definition = definition_of(
            target,
            DatasetConsumptionConfig("training", PipelineParameter("data", bank)),
            validation_data=DatasetConsumptionConfig("valid", PipelineParameter("by", bank.take(30))),
            weight_column_name=PipelineParameter("weight", "age"),
        )
        assert definition["parameters"]["by"]["setting"] == "validation_data"
        changed = resolve(workspace, definition, {"data": wide, "by": other, "weight": "weight"})
        (step,) = changed["steps"]
        assert (step["dataset"], step["validation"]["dataset"], step["data_rows"]) == ("wide:1", "other:1", 70)
        assert changed["parameters"]["by"]["default"] == "other:1"
        with pytest.raises(UserErrorException, match=r"- by: validation_data must have the columns .* it also has"):
            resolve(workspace, definition, {"by": other})
        with pytest.raises(UserErrorException, match="- weight: weight_column_name names 'agee'"):
            resolve(workspace, definition, {"weight": "agee"})

    def test_all_that_is_wrong_is_said_at_once(self, workspace: Workspace, definition: dict[str, Any]) -> None:
        with pytest.raises(UserErrorException) as caught:
            resolve(workspace, definition, {"metric": 1, "round": 2, "rounds": 0, "data": 3})
        lines = caught.value.problem.splitlines()
        assert [line.split()[1] for line in lines[1:]] == ["There", "data:", "rounds:", "metric:"]

    def test_the_answer_to_nonsense_is_short(self, workspace: Workspace, definition: dict[str, Any]) -> None:
        nonsense = {f"{number}{'x' * 1000}": "y" * 1000 for number in range(1000)} | {"rounds": "z" * 100_000}
        with pytest.raises(UserErrorException) as caught:
            resolve(workspace, definition, nonsense)
        assert len(caught.value.problem) < 10_000

    def test_a_pipeline_without_parameters_says_so(self, target: ComputeTarget, bank: TabularDataset) -> None:
        with pytest.raises(UserErrorException, match="no parameter 'rounds': the pipeline has no parameters"):
            resolve(target.workspace, definition_of(target, bank), {"rounds": 4})


def test_a_pipeline_is_submitted_with_values_for_its_parameters(
    seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = seed.automl_settings | {"iterations": PipelineParameter("rounds", 9)}
    config = AutoMLConfig(
        "classification",
        compute_target=seed.compute_target,
        training_data=seed.dataset,
        label_column_name="y",
        **settings,
    )
    run = Pipeline(seed.ws, AutoMLStep("automl_module", config)).submit("rounds", {"rounds": 4})
    assert run.get_status() == "Finished"
    assert next(run.get_steps()).properties["azureml.reusedrunid"] == seed.step.id
    assert "reused: settings, the data (400 rows)" in capsys.readouterr().out
