from __future__ import annotations

import json

import pytest

import nbhelpers
from nbhelpers.errors import ConfigException
from nbhelpers.local import AutoMLConfig, ComputeTarget, FeaturizationConfig

from .conftest import bank_like


def test_it_is_among_the_names_of_a_backend() -> None:
    assert nbhelpers.connect("local").FeaturizationConfig is FeaturizationConfig
    assert "FeaturizationConfig" in dir(nbhelpers.connect("azure"))


def test_methods_and_arguments_ask_for_the_same() -> None:
    config = FeaturizationConfig()
    config.add_column_purpose("age", "Numeric")
    config.add_column_purpose("job", "Text")
    config.remove_column_purpose("job")
    config.remove_column_purpose("unknown")
    config.add_drop_columns("day")
    config.add_drop_columns(["month"])
    config.add_blocked_transformers("TfIdf")
    config.add_blocked_transformers(["LabelEncoder"])
    config.add_transformer_params("Imputer", ["age"], {"strategy": "mean"})
    config.add_transformer_params("Imputer", [], {"strategy": "most_frequent"})
    config.add_transformer_params("Imputer", ["age"], {"strategy": "median"})  # instead of the first
    config.dataset_language = "deu"
    same = FeaturizationConfig(
        blocked_transformers=["TfIdf", "LabelEncoder"],
        column_purposes={"age": "Numeric"},
        transformer_params={"Imputer": [([], {"strategy": "most_frequent"}), (["age"], {"strategy": "median"})]},
        drop_columns=["day", "month"],
        dataset_language="deu",
    )
    assert config.to_settings() == same.to_settings()
    assert repr(config) == repr(same)
    assert json.loads(json.dumps(config.to_settings())) == config.to_settings()


def test_attributes_can_be_read_and_set() -> None:
    config = FeaturizationConfig()
    assert config.column_purposes is config.drop_columns is config.blocked_transformers is None
    assert config.transformer_params is config.dataset_language is None
    config.column_purposes, config.drop_columns, config.blocked_transformers = {"a": "Text"}, ["b"], ["TfIdf"]
    config.transformer_params = {"Imputer": [(["c"], {"strategy": "mean"})]}
    assert (config.column_purposes, config.drop_columns, config.blocked_transformers) == (
        {"a": "Text"},
        ["b"],
        ["TfIdf"],
    )
    assert config.transformer_params == {"Imputer": [(["c"], {"strategy": "mean"})]}


def test_parameters_of_a_transformer_can_be_looked_up_and_removed() -> None:
    config = FeaturizationConfig()
    config.remove_transformer_params("Imputer")
    config.add_transformer_params("Imputer", ["a", "b"], {"strategy": "mean"})
    config.add_transformer_params("Imputer", ["c"], {"strategy": "median"})
    assert config.get_transformer_params("Imputer", ["a", "b"]) == {"strategy": "mean"}
    assert config.get_transformer_params("Imputer", ["a"]) == config.get_transformer_params("TfIdf", []) == {}
    config.remove_transformer_params("Imputer", ["c"])
    assert config.transformer_params == {"Imputer": [(["a", "b"], {"strategy": "mean"})]}
    config.remove_transformer_params("Imputer")
    assert config.to_settings() == "auto"


def test_what_is_wrong_is_refused_when_it_is_given_and_changes_nothing() -> None:
    config = FeaturizationConfig(drop_columns=["day"])
    before = repr(config)
    for change, words in (
        (lambda: config.add_column_purpose("age", "Number"), "unknown purpose 'Number'"),
        (lambda: config.add_column_purpose("day", "DateTime"), "drop_columns and given a purpose"),
        (lambda: config.add_blocked_transformers("Tfidf"), "Did you mean 'TfIdf'"),
        (lambda: config.add_transformer_params("Imputer", ["age"], {"strategy": "mode"}), "'mode' is unknown"),
        (lambda: config.add_transformer_params("TfIdf", ["age"], {}), "work on Azure ML only"),
    ):
        with pytest.raises(ConfigException, match=words):
            change()
        assert repr(config) == before
    with pytest.raises(ConfigException, match="not rounded"):
        FeaturizationConfig(prediction_transform_type="Integer")  # type: ignore[arg-type]


def test_an_automl_config_takes_it_into_its_settings(target: ComputeTarget) -> None:
    for featurization, settings in (
        (FeaturizationConfig(), "auto"),
        (FeaturizationConfig(drop_columns=["age"]), {"drop_columns": ["age"]}),
    ):
        config = AutoMLConfig(
            "classification",
            compute_target=target,
            training_data=bank_like(60),
            label_column_name="y",
            featurization=featurization,
        )
        assert config.settings.featurization == settings
        assert json.loads(json.dumps(config.definition()["settings"]))["featurization"] == settings
