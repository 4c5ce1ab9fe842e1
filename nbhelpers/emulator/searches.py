"""AutoML settings as the SDK sends them, turned into what the engine runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbhelpers import automl
from nbhelpers.emulator.data import tabular
from nbhelpers.emulator.errors import CloudError
from nbhelpers.emulator.state import State
from nbhelpers.errors import ComputeTargetException, ConfigException, NbhelpersError, StoreError
from nbhelpers.local.compute import ComputeTarget
from nbhelpers.local.config import DATA, TABLES, VALIDATION, lines_of, of_data, of_settings
from nbhelpers.local.data_checks import data_problems
from nbhelpers.local.tabular import TabularDataset

#: The engine's names of what the SDK sends under other ones.
_RENAMED = {
    "whitelist_models": "allowed_models",
    "blacklist_algos": "blocked_models",
    "enable_ensembling": "enable_voting_ensemble",
    "enable_stack_ensembling": "enable_stack_ensemble",
}
#: What the SDK sends under the engine's names; all else says how Azure shall work, not what shall be found.
_SAME = (
    "primary_metric",
    "experiment_timeout_minutes",
    "experiment_exit_score",
    "iterations",
    "iteration_timeout_minutes",
    "max_concurrent_iterations",
    "max_cores_per_iteration",
    "n_cross_validations",
    "enable_early_stopping",
    "early_stopping_n_iters",
    "featurization",
    "ensemble_iterations",
    "exclude_nan_labels",
    "validation_size",
    "cv_split_column_names",
    "weight_column_name",
    "positive_label",
    "stack_meta_learner_type",
    "stack_meta_learner_kwargs",
    "stack_meta_learner_train_percentage",
    "model_explainability",
    "enable_subsampling",
    "enable_dnn",
    # The engine refuses these, unless they ask for nothing.
    "test_size",
    "enable_onnx_compatible_models",
    "enable_feature_sweeping",
    "enable_tf",
    "mem_in_mb",
)
#: What the SDK sends where nothing was asked for. The engine's own default stands for it, as in a local run.
_AZURE_DEFAULTS = {
    "experiment_timeout_minutes": 8640,
    "early_stopping_n_iters": 10,
    "validation_size": 0.0,
    "test_size": 0.0,
    "enable_stack_ensemble": True,
    "stack_meta_learner_train_percentage": 0.2,
    "model_explainability": True,
    "enable_feature_sweeping": True,
    "enable_dnn": False,
    "enable_subsampling": False,
}


def check_sent_settings(sent: Mapping[str, Any], *, validation_data: bool = False) -> automl.Settings:
    """The engine's settings for those that the SDK sends.

    Parameters
    ----------
    sent : mapping
        The JSON that the SDK calls ``aml_settings_json_string``: each of its settings, with its default where the user
        gave none.
    validation_data : bool
        Whether the search is given such data.

    Raises
    ------
    ConfigException
        One error that lists all that was asked for and that the engine lacks, or refuses.
    """
    names = dict.fromkeys(_SAME) | _RENAMED
    found = {ours or name: sent[name] for name, ours in names.items() if name in sent}
    if found.get("ensemble_iterations") is None:
        # Not the user but the SDK has switched ensembles off, which it does below four iterations; the engine has a
        # limit of its own.
        found = {name: value for name, value in found.items() if "ensemble" not in name}
    defaults = _AZURE_DEFAULTS | {"ensemble_iterations": min(15, sent.get("iterations") or 15)}
    wanted = {name: value for name, value in found.items() if name not in defaults or value != defaults[name]}
    task = "forecasting" if sent.get("is_timeseries") else sent.get("task_type")
    return automl.check_settings(str(task), wanted, validation_data=validation_data)


def problems_of_inputs(names: Iterable[str | None]) -> list[str]:
    """What is wrong with the names of the data sets that a search is given."""
    return [
        f"The input {name!r} works on Azure ML only: here a search has {DATA}, and {VALIDATION} if it is wanted."
        for name in names
        if name not in TABLES
    ]


def search_step(
    cloud: State,
    name: str,
    sent: Mapping[str, Any],
    saved_ids: Mapping[str, str],
    outputs: Sequence[Mapping[str, Any]] = (),
    *,
    allow_reuse: bool = True,
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """The step of a local pipeline's definition that runs a search.

    Parameters
    ----------
    cloud : State
    name : str
        The name of the step.
    sent : mapping
        As for `check_sent_settings`; it names the label and the compute target, too.
    saved_ids : mapping of str to str
        By name out of `TABLES`, the id of the stored definition of the data set.
    outputs : sequence of mapping
        The ``name``, the ``pipeline_output_name`` and the ``type`` ("Metrics" or "Model") of each.
    allow_reuse : bool, default True
    problems : sequence of str
        What was found to be wrong before, to be listed, too.

    Raises
    ------
    ConfigException
        One error that lists all that is wrong with settings, label, data and compute target.
    """
    problems = list(problems)
    label = sent.get("label_column_name")
    try:
        settings = check_sent_settings(sent, validation_data=VALIDATION in saved_ids)
    except ConfigException as error:
        problems += lines_of(error)
    try:
        target = ComputeTarget(cloud.workspace, str(sent.get("compute_target")))
    except ComputeTargetException as error:
        problems.append(f"{error.problem} {error.remedy}")
    tables: dict[str, TabularDataset] = {}
    for table in TABLES:
        try:
            if table in saved_ids:
                tables[table] = tabular(cloud, saved_ids[table])
        except StoreError:  # of the emulator's disk, not of what was asked for
            raise
        except NbhelpersError as error:
            problems.append(f"{table}: {error.problem} {error.remedy}")
        except CloudError as error:
            problems.append(f"{table}: {error.message}")
    if DATA in tables:
        problems += data_problems(tables[DATA], tables.get(VALIDATION), label, sent.get("task_type"), sent)
    if problems:
        raise ConfigException(
            "\n".join([f"The search of step {name!r} cannot be run:", *(f"- {problem}" for problem in problems)]),
            "correct or remove what is named above, and submit again",
        )
    stored = {
        table: of_data(data, cloud.workspace.store) | {"saved_data": saved_ids[table]} for table, data in tables.items()
    }
    return {
        **of_settings(settings, str(label)),
        **stored[DATA],
        "validation": stored.get(VALIDATION),
        "label_column_name": label,
        "compute_target": target.name,
        "max_nodes": target.max_nodes,
        "name": name,
        "outputs": [dict(output) for output in outputs],
        "allow_reuse": allow_reuse,
        "version": None,  # the SDK does not send it
    }
