"""The data form of a FeaturizationConfig: its names, its checks, and what it says about each column.

It is a dict of the keys below, without those that ask for nothing, and can be stored as JSON.

===================== ==============================================================================================
key                   value
===================== ==============================================================================================
column_purposes       purpose of a column by its name, one of `PURPOSES`
drop_columns          list of columns to leave out
transformer_params    ``{"Imputer": [[columns, {"strategy": …, "fill_value": …}], …]}``; no columns stands for all
blocked_transformers  list of names out of `TRANSFORMERS`
dataset_language      ISO 639-3 code; without effect, as texts are compared by characters and words of any language
===================== ==============================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np

from nbhelpers.errors import nearest

#: Azure ML's purposes of columns; the last three leave a column out.
PURPOSES = ("Numeric", "Categorical", "CategoricalHash", "DateTime", "Text", "Hashes", "Ignore", "AllNan")

#: What an Imputer may put in the place of a missing value.
STRATEGIES = ("mean", "median", "most_frequent", "constant")

#: Azure ML's transformers, each with the purpose whose columns are left out when it is blocked. Those without one do
#: no work of their own here: categories are numbered, and each model's own pipeline encodes, imputes and scales.
TRANSFORMERS = {
    "CatImputer": "",
    "CatTargetEncoder": "",
    "CountVectorizer": "",
    "DateTimeTransformer": "DateTime",
    "HashOneHotEncoder": "CategoricalHash",
    "ImputationMarker": "",
    "Imputer": "",
    "LabelEncoder": "",
    "MaxAbsScaler": "",
    "NaiveBayes": "",
    "OneHotEncoder": "",
    "StringCast": "",
    "TextTargetEncoder": "",
    "TfIdf": "Text",
    "TimeIndexFeaturizer": "",
    "WoETargetEncoder": "",
    "WordEmbedding": "",
}

_NOT_HERE = {
    "HashOneHotEncoder": "categories are not hashed",
    "TfIdf": "the n-grams of texts are fixed",
}


def normal_form(value: Any) -> Any:
    """A featurization as settings hold it: "auto", "off" or the data form; anything else as it is.

    The SDK sends the attributes of its object, whose names begin with an underscore.
    """
    if isinstance(value, str):
        return value.lower()
    if not isinstance(value, Mapping):
        return value
    asked = {str(key).removeprefix("_"): _as_json(part) for key, part in value.items() if part}
    return asked or "auto"


def problem_of(value: Any) -> str | None:
    """What is wrong with a featurization, to follow the words "featurization=<value> "; None if nothing is."""
    value = normal_form(value)
    if not isinstance(value, Mapping):
        return None if value in ("auto", "off") else "must be 'auto', 'off' or a FeaturizationConfig"
    problems = [
        problem for key, part in value.items() for problem in (_CHECKS[key](part) if key in _CHECKS else _unknown(key))
    ]
    problems = problems or _conflicts(value)
    return f"cannot be used: {' '.join(problems)}".removesuffix(".") if problems else None


def check_purposes(purposes: Any) -> list[str]:
    """What is wrong with ``column_purposes``."""
    if not isinstance(purposes, Mapping):
        return [f"column_purposes={purposes!r} must be a dict of a purpose for each column."]
    return [
        f"Column {name!r} is given the unknown purpose {purpose!r}: use one of {', '.join(PURPOSES)}."
        for name, purpose in purposes.items()
        if purpose not in PURPOSES
    ]


def check_blocked(names: Any) -> list[str]:
    """What is wrong with ``blocked_transformers``."""
    if not _is_list(names):
        return [f"blocked_transformers={names!r} must be a list of names."]
    return [problem for name in names for problem in _unknown_transformer(name)]


def check_dropped(names: Any) -> list[str]:
    """What is wrong with ``drop_columns``."""
    return [] if _is_list(names) else [f"drop_columns={names!r} must be a list of columns."]


def check_params(params: Any) -> list[str]:
    """What is wrong with ``transformer_params``."""
    if not isinstance(params, Mapping):
        return [f"transformer_params={params!r} must be a dict with a list for each transformer."]
    problems: list[str] = []
    for name, entries in params.items():
        if name != "Imputer":
            reason = f": here {_NOT_HERE[name]}" if name in _NOT_HERE else " at most"
            problems += _unknown_transformer(name) or [f"Parameters of {name} work on Azure ML only{reason}."]
            continue
        for entry in entries if _is_list(entries) else [entries]:
            if not (_is_list(entry) and len(entry) == 2 and _is_list(entry[0]) and isinstance(entry[1], Mapping)):
                problems.append(f"Imputer: {entry!r} must be a list of columns and a dict of parameters.")
            else:
                problems += _check_imputer(entry[1])
    return problems


def check_language(code: Any) -> list[str]:
    """What is wrong with ``dataset_language``."""
    right = isinstance(code, str) and re.fullmatch("[a-z]{3}", code)
    return [] if right else [f"dataset_language={code!r} must be an ISO 639-3 code of three letters, such as 'eng'."]


_CHECKS: dict[str, Callable[[Any], list[str]]] = {
    "blocked_transformers": check_blocked,
    "column_purposes": check_purposes,
    "dataset_language": check_language,
    "drop_columns": check_dropped,
    "transformer_params": check_params,
}


def columns_of(config: Mapping[str, Any]) -> set[str]:
    """The columns that a configuration names."""
    imputed = {str(name) for columns, _ in _imputers(config) for name in columns}
    return imputed | {str(name) for key in ("column_purposes", "drop_columns") for name in config.get(key, ())}


def purpose_asked(config: Mapping[str, Any], name: str) -> str | None:
    """The purpose that a column is given, "Ignore" for a dropped one."""
    if name in map(str, config.get("drop_columns", ())):
        return "Ignore"
    purpose: str | None = config.get("column_purposes", {}).get(name)
    return purpose


def purposes_blocked(config: Mapping[str, Any]) -> set[str]:
    """The purposes whose columns are left out, as their transformer is blocked."""
    return {TRANSFORMERS[name] for name in config.get("blocked_transformers", ())} - {""}


def imputer_asked(config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], bool]:
    """The parameters of a column's Imputer (empty if it has none), and whether they name the column itself."""
    named = [params for columns, params in _imputers(config) if name in map(str, columns)]
    for_all = [params for columns, params in _imputers(config) if not columns]
    return dict((named or for_all or [{}])[-1]), bool(named)


def _imputers(config: Mapping[str, Any]) -> Collection[Any]:
    imputers: Collection[Any] = config.get("transformer_params", {}).get("Imputer", ())
    return imputers


def _check_imputer(params: Mapping[str, Any]) -> list[str]:
    strategy, fill = params.get("strategy"), params.get("fill_value")
    problems = []
    if strategy not in STRATEGIES:
        why = "is for forecasting, which is not supported here" if strategy == "ffill" else "is unknown"
        problems.append(f"Imputer: the strategy {strategy!r} {why}: use one of {', '.join(STRATEGIES)}.")
    if strategy == "constant" and not (isinstance(fill, str) or (isinstance(fill, Real) and isfinite(fill))):
        problems.append(f"Imputer: the strategy 'constant' needs a fill_value, a number or text, not {fill!r}.")
    if extra := set(params) - {"strategy", "fill_value"}:
        problems.append(f"Imputer: there is no parameter {', '.join(map(repr, sorted(extra)))}.")
    return problems


def _conflicts(config: Mapping[str, Any]) -> list[str]:
    """Columns that are dropped and still given something to do; Azure ML refuses them as well."""
    kept = columns_of({key: part for key, part in config.items() if key != "drop_columns"})
    both = sorted(kept & {str(name) for name in config.get("drop_columns", ())})
    return [f"Columns are in drop_columns and given a purpose or an Imputer: {', '.join(both)}."] if both else []


def _unknown(key: str) -> list[str]:
    if key == "prediction_transform_type":
        return ["prediction_transform_type works on Azure ML only: here predictions are not rounded."]
    near = nearest(key, _CHECKS)
    return [f"A FeaturizationConfig has no {key!r}.{f' Did you mean {near!r}?' if near else ''}"]


def _unknown_transformer(name: Any) -> list[str]:
    if isinstance(name, str) and name in TRANSFORMERS:
        return []
    near = nearest(name, TRANSFORMERS)
    hint = f"Did you mean {near!r}?" if near else f"Use {', '.join(TRANSFORMERS)}."
    return [f"There is no transformer {name!r}. {hint}"]


def _as_json(value: Any) -> Any:
    """The value in types that JSON has, so that it is the same after it was stored."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(part) for key, part in value.items()}
    if _is_list(value):
        return [_as_json(part) for part in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    return value.item() if isinstance(value, np.generic) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset)
