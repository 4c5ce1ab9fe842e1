from __future__ import annotations

import json

import numpy as np
import pytest

from nbhelpers.automl import check_settings
from nbhelpers.automl.featurization_config import imputer_asked, normal_form, problem_of, purpose_asked
from nbhelpers.errors import ConfigException


def test_what_asks_for_nothing_is_auto():
    for value in ("AUTO", {}, {"column_purposes": {}}, {"_drop_columns": None, "_dataset_language": None}):
        assert normal_form(value) == "auto"
        assert check_settings("classification", {"featurization": value}).featurization == "auto"


def test_settings_hold_it_as_json_in_one_form():
    sent = {
        "_column_purposes": {"a": "Text"},
        "_transformer_params": {"Imputer": [(("b",), {"strategy": "constant", "fill_value": np.int64(3)})]},
        "_blocked_transformers": None,
    }
    held = check_settings("regression", {"featurization": sent}).to_dict()["featurization"]
    assert held == {
        "column_purposes": {"a": "Text"},
        "transformer_params": {"Imputer": [[["b"], {"strategy": "constant", "fill_value": 3}]]},
    }
    assert json.loads(json.dumps(held)) == normal_form(held) == held


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"column_purposes": {"a": "numeric"}}, "'a' is given the unknown purpose 'numeric'"),
        ({"column_purposes": ["a"]}, "must be a dict"),
        ({"drop_columns": "a"}, "must be a list of columns"),
        ({"blocked_transformers": ["Tfidf"]}, "no transformer 'Tfidf'. Did you mean 'TfIdf'?"),
        ({"blocked_transformers": "TfIdf"}, "must be a list of names"),
        ({"dataset_language": "English"}, "ISO 639-3"),
        ({"prediction_transform_type": "Integer"}, "not rounded"),
        ({"column_purpose": {"a": "Text"}}, "Did you mean 'column_purposes'?"),
        ({"transformer_params": {"Imputr": []}}, "Did you mean 'Imputer'?"),
        ({"transformer_params": {"TfIdf": [[[], {}]]}}, "Parameters of TfIdf work on Azure ML only"),
        ({"transformer_params": {"HashOneHotEncoder": [[[], {}]]}}, "categories are not hashed"),
        ({"transformer_params": ["Imputer"]}, "must be a dict"),
        ({"transformer_params": {"Imputer": [["a", {"strategy": "mean"}]]}}, "must be a list of columns and a dict"),
        ({"transformer_params": {"Imputer": [[["a"], {"strategy": "mode"}]]}}, "'mode' is unknown"),
        ({"transformer_params": {"Imputer": [[["a"], {"strategy": "ffill"}]]}}, "forecasting"),
        ({"transformer_params": {"Imputer": [[["a"], {"strategy": "constant"}]]}}, "needs a fill_value"),
        (
            {"transformer_params": {"Imputer": [[["a"], {"strategy": "constant", "fill_value": float("nan")}]]}},
            "needs a fill_value",
        ),
        ({"transformer_params": {"Imputer": [[["a"], {"strategy": "mean", "copy": 1}]]}}, "no parameter 'copy'"),
        ({"drop_columns": ["a"], "column_purposes": {"a": "Text"}}, "given a purpose or an Imputer: a"),
        (
            {"drop_columns": ["a"], "transformer_params": {"Imputer": [[["a"], {"strategy": "mean"}]]}},
            "given a purpose or an Imputer: a",
        ),
    ],
)
def test_what_is_wrong_is_said(config, words):
    assert words in str(problem_of(config))
    with pytest.raises(ConfigException, match=r"featurization=.*[^.]\.\n"):
        check_settings("classification", {"featurization": config})


def test_all_problems_are_said_at_once():
    problem = str(problem_of({"column_purposes": {"a": "x", "b": "y"}, "dataset_language": 3}))
    assert all(part in problem for part in ("'x'", "'y'", "dataset_language=3"))


@pytest.mark.parametrize("value", [None, "on", 3, ["auto"]])
def test_other_values_are_refused(value):
    assert "must be 'auto', 'off' or a FeaturizationConfig" in str(problem_of(value))


@pytest.mark.parametrize(
    "config",
    [
        "off",
        {"blocked_transformers": ["LabelEncoder", "WordEmbedding"]},
        {"drop_columns": ["a"], "column_purposes": {"b": "Hashes"}, "dataset_language": "deu"},
        {"transformer_params": {"Imputer": [[[], {"strategy": "median"}]]}},
    ],
)
def test_right_ones_pass(config):
    assert problem_of(config) is None
    assert check_settings("classification", {"featurization": config}).featurization == config


def test_columns_may_be_named_by_what_is_no_text():
    config = normal_form(
        {
            "column_purposes": {1: "Text"},
            "drop_columns": [2],
            "transformer_params": {"Imputer": [([3], {"strategy": "mean"})]},
        }
    )
    assert (purpose_asked(config, "1"), purpose_asked(config, "2"), purpose_asked(config, "3")) == (
        "Text",
        "Ignore",
        None,
    )
    assert imputer_asked(config, "3") == ({"strategy": "mean"}, True)
