"""New values for the parameters of a pipeline: each is checked, and one error lists all that is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from nbhelpers import automl
from nbhelpers.errors import ConfigException, UserErrorException, nearest
from nbhelpers.local.config import DATA, TABLES, VALIDATION, lines_of, name_of, of_data, of_settings, table_of
from nbhelpers.local.data_checks import COLUMN_SETTINGS, data_problems
from nbhelpers.local.dataset import Dataset
from nbhelpers.local.store import ID_FORM
from nbhelpers.local.tabular import TabularDataset
from nbhelpers.local.workspace import Workspace

#: Assignments may come from anybody: so many problems are listed, and so many characters of each.
_PROBLEMS, _CHARACTERS = 20, 500

_TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
_FORM = 'a TabularDataset, {"SavedDataSetReference": {"Id": …}} or {"DataSetReference": {"Name": …, "Version": …}}'


def resolve(
    workspace: Workspace, definition: Mapping[str, Any], assignments: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The definition of a pipeline with new values for some of its parameters.

    Parameters
    ----------
    workspace : Workspace
    definition : mapping
        As a pipeline run keeps it; ``parameters`` in it says what may be changed.
    assignments : mapping, optional
        Value by name of a parameter. Numbers and truth values may be given as text. A data set is a TabularDataset or,
        as in requests, ``{"SavedDataSetReference": {"Id": …}}`` or ``{"DataSetReference": {"Id" or "Name": …,
        "Version": …}}`` (the latest without a version).

    Raises
    ------
    UserErrorException
        Names are unknown, values have a wrong type, or the checks of `AutoMLConfig` refuse them.
    """
    if not assignments:
        return dict(definition)
    if not isinstance(assignments, Mapping):
        raise UserErrorException(
            f"pipeline_parameters={assignments!r} is not a dictionary.", "write it as in {'iterations': 5}"
        )
    parameters: dict[str, dict[str, Any]] = dict(definition.get("parameters", {}))
    (step,) = definition["steps"]
    task, label = step["settings"]["task"], step["label_column_name"]
    settings = {name: value for name, value in step["settings"].items() if name != "task"}
    unknown = [name for name in assignments if name not in parameters]
    problems = [_unknown(name, parameters) for name in unknown[:_PROBLEMS]]
    tables: dict[str, TabularDataset] = {}
    with_validation = bool(table_of(step, VALIDATION))
    for name in [name for name in parameters if name in assignments]:
        parameter, value = parameters[name], assignments[name]
        try:
            if parameter["setting"] in TABLES:
                tables[parameter["setting"]] = _dataset(workspace, value)
                continue
            value = _converted(value, parameter)
            changed = _with(settings, parameter["setting"], value)
            automl.check_settings(task, changed, validation_data=with_validation)
            settings = changed
            parameters[name] = parameter | {"default": value}
        except ConfigException as error:
            problems += [f"{name}: {line}" for line in lines_of(error)]
        except UserErrorException as error:
            problems.append(f"{name}: {error.problem} {error.remedy}")
    of_tables = [name for name in parameters if name in assignments and _is_about_data(parameters[name])]
    if of_tables and not problems:
        now = {name: tables[name] if name in tables else _of_step(workspace, step, name) for name in TABLES}
        training = now[DATA]
        assert training is not None  # noqa: S101 - each step has some
        found = data_problems(training, now[VALIDATION], label, task, settings)
        problems += [f"{', '.join(of_tables)}: {problem}" for problem in found]
    if problems:
        lines = [f"- {problem[:_CHARACTERS]}" for problem in problems]
        raise UserErrorException(
            "\n".join(["The pipeline parameters cannot be used:", *lines]), "correct or remove what is named above"
        )
    checked = automl.check_settings(task, settings, validation_data=with_validation)
    step = step | of_settings(checked, label)
    for name, data in tables.items():
        stored = of_data(data, workspace.store)
        step |= stored if name == DATA else {"validation": stored}
    for name in of_tables:
        if (setting := parameters[name]["setting"]) in TABLES:
            parameters[name] = parameters[name] | {"default": name_of(step, setting)}
    return {**definition, "steps": [step], "parameters": parameters}


def _is_about_data(parameter: Mapping[str, Any]) -> bool:
    return parameter["setting"] in (*TABLES, *COLUMN_SETTINGS)


def _of_step(workspace: Workspace, step: Mapping[str, Any], name: str) -> TabularDataset | None:
    """One of a step's tables; None if it has none of that name."""
    table = table_of(step, name)
    return Dataset.from_digest(workspace, table["data_digest"]) if table else None


def _unknown(name: object, parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return f"There is no parameter {str(name)[:100]!r}: the pipeline has no parameters."
    near = nearest(name, parameters)
    hint = f"Did you mean {near!r}?" if near else f"There are: {', '.join(parameters)}."
    return f"There is no parameter {str(name)[:100]!r}. {hint}"


def _with(settings: Mapping[str, Any], setting: str, value: Any) -> dict[str, Any]:
    """Settings with another value for one; hours replace the minutes that were made of them."""
    dropped = "experiment_timeout_minutes" if setting == "experiment_timeout_hours" else None
    return {name: old for name, old in settings.items() if name != dropped} | {setting: value}


def _converted(value: Any, parameter: Mapping[str, Any]) -> Any:
    """A value as the type of the parameter's default."""
    kind = parameter["type"]
    text = value if isinstance(value, str) and len(value) <= 100 else ""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "bool" and (isinstance(value, bool) or text.lower() in ("true", "false")):
        return value is True or text.lower() == "true"
    if kind == "int" and re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        return int(text)
    if kind == "int" and isinstance(number, int) and abs(number) < 10**18:
        return number
    if kind == "float" and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.ASCII | re.IGNORECASE):
        number = float(text)
    if kind == "float" and number is not None and abs(number) < 10**18 and math.isfinite(number):
        return float(number)
    shown = repr(value)[:100] if not isinstance(value, int) or abs(value) < 10**18 else "a number of that size"
    raise UserErrorException(f"{shown} is not {_TYPES[kind]}.", f"Give one such as {parameter['default']!r}.")


def _dataset(workspace: Workspace, value: Any) -> TabularDataset:
    """The data set that an assignment names."""
    if isinstance(value, TabularDataset):
        return value
    kind, reference = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else (None, None)
    if kind not in ("SavedDataSetReference", "DataSetReference") or not isinstance(reference, Mapping):
        raise UserErrorException(f"{repr(value)[:100]} is not a data set.", f"Give {_FORM}.")
    id_, name, version = (reference.get(key) for key in ("Id", "Name", "Version"))
    if not all(given is None or isinstance(given, str) for given in (id_, name)) or not isinstance(
        version, str | int | None
    ):
        raise UserErrorException(f"{kind} has an Id, Name or Version of another type.", f"Give {_FORM}.")
    if id_:
        if not ID_FORM.fullmatch(id_):
            raise UserErrorException(f"{id_[:100]!r} is not the id of a data set.", "Look it up by name.")
        found = Dataset.get_by_id(workspace, id_)
        name = found.name
        if not version:
            return found
    if not name:
        raise UserErrorException(f"{kind} has neither an Id nor a Name.", f"Give {_FORM}.")
    return Dataset.get_by_name(workspace, name, version or "latest")
