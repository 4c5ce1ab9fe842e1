"""The settings of a search: Azure ML's names, checked all at once before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nbhelpers.automl import checks, featurization_config
from nbhelpers.automl.algorithms import ALGORITHMS, model_problems, usable
from nbhelpers.automl.meta_learners import meta_learner_problems
from nbhelpers.errors import ConfigException, nearest
from nbhelpers.metrics import PRIMARY_METRICS

#: Azure ML's settings that the engine lacks, and why. A value that asks for nothing (None, False, "off") passes.
_NOT_HERE = {
    "X": "give training_data and label_column_name instead",
    "y": "give training_data and label_column_name instead",
    "validation_data": "search() takes its rows beside the settings, as validation=(X_valid, y_valid)",
    "test_data": "test the model after the run instead",
    "test_size": "split the data before the run instead",
    "enable_onnx_compatible_models": "models are not converted to ONNX",
    "enable_feature_sweeping": "features are not swept",
    "enable_tf": "TensorFlow is not used; neural networks are tried as TensorFlowDNN without it",
    "mem_in_mb": "memory is not limited",
    "forecasting_parameters": "forecasting is not supported",
    "time_column_name": "forecasting is not supported",
}

#: Settings about Azure ML's logging, which the engine has no use for.
_WITHOUT_EFFECT = ("debug_log", "path", "verbosity")

#: The settings that choose the rows that models are judged by; only the first two go together.
_VALIDATION = ("n_cross_validations", "validation_size", "cv_split_column_names")
#: Values of them that leave the choice to the engine.
_UNDECIDED = (None, "auto", 0)


@dataclass(frozen=True)
class Settings:
    """What a search is asked for; make one with `check_settings`.

    Attributes
    ----------
    task : "classification" or "regression"
    primary_metric : str
        The metric that ranks models, one of `nbhelpers.metrics.PRIMARY_METRICS`.
    experiment_timeout_minutes : float or None
        Time for the whole search; None is Azure ML's six days.
    experiment_exit_score : float or None
        No new model is tried once a score is at least as good, but for those proposed before it was known: three.
    iterations : int
        Greatest number of children, the ensembles included; there are none where fewer than two others are left.
    iteration_timeout_minutes : float or None
        Training time of one child.
    max_concurrent_iterations, max_cores_per_iteration : int
        Children at a time, four at most and where the pool has so many slots; and threads of each (-1 for all cores).
    n_cross_validations, validation_size : int, float or None
        Folds; or the share of the rows in a hold-out; or with both, the number of random hold-outs of that share (Monte
        Carlo cross validation). What judges models when none of the ways is given says `nbhelpers.automl.validation`.
    cv_split_column_names : tuple of str or None
        Columns that are no features, but of 1 for the rows to train on and 0 for those to judge by; a split for each.
    weight_column_name : str or None
        A column that is no feature, but how much each row counts in training and in metrics. Only the ratios of weights
        matter; a row of weight 0 is left out.
    positive_label : str, bool, int, float or None
        The class of which `nbhelpers.metrics.BINARY_METRICS` are computed.
    enable_early_stopping, early_stopping_n_iters : bool, int
        Whether to stop after this many children without a better score (never before 20 children).
    featurization : "auto", "off" or dict
        A dict is the data form of a FeaturizationConfig, see `nbhelpers.automl.featurization_config`.
    allowed_models, blocked_models : tuple of str or None
        The only algorithms to try, and those not to try.
    enable_voting_ensemble, enable_stack_ensemble : bool
        Whether the last children are a voting and a stacked ensemble.
    ensemble_iterations : int
        Picks of the voting ensemble at most.
    stack_meta_learner_type, stack_meta_learner_kwargs : str or None, dict or None
        What a stacked ensemble learns with (see `nbhelpers.automl.meta_learners`), and arguments of that estimator.
    enable_subsampling : bool or None
        False keeps the search from training on a sample of the rows where the table is large.
    enable_dnn : bool or None
        False keeps neural networks (TensorFlowDNN) from being tried.
    model_explainability : bool
        Whether the best model is to be explained after the search, which has no part in it.
    exclude_nan_labels : bool
        Whether rows without a label are left out rather than refused.
    seed : int
        Decides folds, proposals and models, though not the rows of an automatic hold-out.
    """

    task: str
    primary_metric: str
    experiment_timeout_minutes: float | None = None
    experiment_exit_score: float | None = None
    iterations: int = 1000
    iteration_timeout_minutes: float | None = None
    max_concurrent_iterations: int = 1
    max_cores_per_iteration: int = 1
    n_cross_validations: int | None = None
    validation_size: float | None = None
    cv_split_column_names: tuple[str, ...] | None = None
    weight_column_name: str | None = None
    positive_label: str | bool | int | float | None = None
    enable_early_stopping: bool = True
    early_stopping_n_iters: int = 20
    featurization: str | dict[str, Any] = "auto"
    allowed_models: tuple[str, ...] | None = None
    blocked_models: tuple[str, ...] | None = None
    enable_voting_ensemble: bool = True
    enable_stack_ensemble: bool = True
    ensemble_iterations: int = 15
    stack_meta_learner_type: str | None = None
    stack_meta_learner_kwargs: dict[str, Any] | None = None
    enable_subsampling: bool | None = None
    enable_dnn: bool | None = None
    model_explainability: bool = True
    exclude_nan_labels: bool = True
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The models that may be trained."""
        return usable(self.task, vars(self))


_CHECKS: dict[str, checks.Check] = {
    "experiment_timeout_minutes": checks.minutes(525_600),
    "experiment_timeout_hours": checks.minutes(8_760),
    "experiment_exit_score": checks.number,
    "iterations": checks.whole(1, 1000),
    "iteration_timeout_minutes": checks.minutes(43_200),
    "max_concurrent_iterations": checks.whole(1, 1000),
    "max_cores_per_iteration": checks.whole(1, 16_384, -1),
    "n_cross_validations": checks.folds,
    "validation_size": checks.share(0),
    "cv_split_column_names": checks.columns,
    "weight_column_name": checks.column,
    "positive_label": checks.label,
    "enable_early_stopping": checks.flag,
    "early_stopping_n_iters": checks.whole(1, 1000),
    "featurization": featurization_config.problem_of,
    "enable_voting_ensemble": checks.flag,
    "enable_stack_ensemble": checks.flag,
    "ensemble_iterations": checks.whole(1, 1000),
    "stack_meta_learner_train_percentage": checks.share(),
    "enable_subsampling": checks.flag,
    "enable_dnn": checks.flag,
    "model_explainability": checks.flag,
    "exclude_nan_labels": checks.flag,
    "seed": checks.whole(0, 2**32 - 1),
}
_OPTIONAL = (
    "experiment_timeout_minutes",
    "experiment_timeout_hours",
    "experiment_exit_score",
    "iteration_timeout_minutes",
    *_VALIDATION,
    "weight_column_name",
    "positive_label",
    "stack_meta_learner_train_percentage",
    "enable_subsampling",
    "enable_dnn",
)
#: Settings whose checks need others, and which have functions of their own.
_CHECKED_APART = (
    "primary_metric",
    "allowed_models",
    "blocked_models",
    "stack_meta_learner_type",
    "stack_meta_learner_kwargs",
)


def check_settings(task: str, settings: Mapping[str, Any], *, validation_data: bool = False) -> Settings:
    """Check all settings of a search.

    Parameters
    ----------
    task : str
        "classification" or "regression".
    settings : mapping
        The fields of `Settings` under Azure ML's names, and ``experiment_timeout_hours`` (minutes win if both are
        given). ``debug_log``, ``path`` and ``verbosity`` are accepted and have no effect, nor has
        ``stack_meta_learner_train_percentage``: meta learners learn from all out-of-fold predictions.
    validation_data : bool
        Whether the search is given validation data, with which settings may conflict.

    Raises
    ------
    ConfigException
        One error that lists every problem: unknown names with the nearest known one, wrong types, values out of
        range, unknown metrics and models, settings that conflict, and settings that Azure ML has and this engine
        lacks, with the reason.
    """
    if task not in tuple(ALGORITHMS):
        near = _nearest(str(task), ALGORITHMS)
        raise ConfigException(f"task={task!r} is not one of {_listed(ALGORITHMS)}.{near}", "Use one of them.")
    given = {name: value for name, value in settings.items() if name not in _WITHOUT_EFFECT}
    problems: list[str] = []
    for name, value in given.items():
        if name in _NOT_HERE:
            if not (value is None or value is False or (isinstance(value, str) and value == "off")):
                shown = repr(value) if isinstance(value, bool | int | float | str) else f"({type(value).__name__})"
                problems.append(f"{name}={shown} works on Azure ML only: here {_NOT_HERE[name]}.")
        elif name in _CHECKS:
            wrong = None if value is None and name in _OPTIONAL else _CHECKS[name](value)
            problems += [f"{name}={value!r} {wrong}."] if wrong else []
        elif name not in _CHECKED_APART:
            problems.append(f"There is no setting {name!r}.{_nearest(name, [*_CHECKS, *Settings.__annotations__])}")
    problems += _metric_problems(task, given.get("primary_metric"))
    problems += model_problems(task, given)
    problems += meta_learner_problems(
        task, given.get("stack_meta_learner_type"), given.get("stack_meta_learner_kwargs")
    )
    problems += _conflicts(task, given, validation_data)
    if problems:
        raise ConfigException(
            "\n".join(["The settings cannot be used:", *(f"- {problem}" for problem in problems)]),
            "Correct or remove the settings named above.",
        )

    hours = given.pop("experiment_timeout_hours", None)
    given.pop("stack_meta_learner_train_percentage", None)
    fields = {name: value for name, value in given.items() if name not in _NOT_HERE}
    if hours is not None and fields.get("experiment_timeout_minutes") is None:
        fields["experiment_timeout_minutes"] = 60 * hours
    if fields.get("primary_metric") is None:
        fields["primary_metric"] = PRIMARY_METRICS[task][0]
    if "featurization" in fields:
        fields["featurization"] = featurization_config.normal_form(fields["featurization"])
    for name in ("allowed_models", "blocked_models", "cv_split_column_names"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    for name in ("n_cross_validations", "validation_size"):
        if fields.get(name) in _UNDECIDED:
            fields[name] = None
    return Settings(task=task, **fields)


def _metric_problems(task: str, metric: Any) -> list[str]:
    if metric is None or metric in PRIMARY_METRICS[task]:
        return []
    names = PRIMARY_METRICS[task]
    return [f"primary_metric={metric!r} is not one of {_listed(names)}.{_nearest(str(metric), names)}"]


def _conflicts(task: str, given: Mapping[str, Any], validation_data: bool) -> list[str]:
    """What is wrong with settings that are right on their own."""
    problems = []
    ways = ["validation_data"] * validation_data + [name for name in _VALIDATION if given.get(name) not in _UNDECIDED]
    if len(ways) > 1 and ways != ["n_cross_validations", "validation_size"]:
        problems.append(f"{' and '.join(ways)} conflict: give one way to choose the rows that models are judged by.")
    weight, splits = given.get("weight_column_name"), given.get("cv_split_column_names")
    if isinstance(splits, list | tuple) and str(weight).lower() in map(str.lower, map(str, splits)):
        problems.append(f"weight_column_name={weight!r} is one of cv_split_column_names, too: name another column.")
    if task == "regression" and given.get("positive_label") is not None:
        problems.append(
            f"positive_label={given['positive_label']!r} is for classification: a regression has no labels."
        )
    picks, iterations = given.get("ensemble_iterations"), given.get("iterations")
    # The default goes with any number of iterations, so it does when it is given.
    if isinstance(picks, int) and isinstance(iterations, int) and picks not in (15, *range(iterations + 1)):
        problems.append(f"ensemble_iterations={picks} must be at most iterations={iterations}.")
    return problems


def _nearest(name: str, known: Any) -> str:
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
