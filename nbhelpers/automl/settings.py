"""The settings of a search: Azure ML's names, checked all at once before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from nbhelpers.errors import ConfigException, nearest
from nbhelpers.metrics import PRIMARY_METRICS

#: What the engine can train, by task, under Azure ML's names.
ALGORITHMS: dict[str, tuple[str, ...]] = {
    "classification": ("LightGBM", "RandomForest", "LogisticRegression"),
    "regression": ("LightGBM", "RandomForest", "ElasticNet"),
}

#: Azure ML's other models: they may be blocked, and cannot be asked for.
_AZURE_ALGORITHMS = (
    "AveragedPerceptronClassifier",
    "BernoulliNaiveBayes",
    "DecisionTree",
    "ElasticNet",
    "ExtremeRandomTrees",
    "FastLinearRegressor",
    "GradientBoosting",
    "KNN",
    "LassoLars",
    "LinearSVM",
    "LogisticRegression",
    "MultinomialNaiveBayes",
    "OnlineGradientDescentRegressor",
    "SGD",
    "SVM",
    "TabnetClassifier",
    "TabnetRegressor",
    "TensorFlowDNN",
    "TensorFlowLinearClassifier",
    "TensorFlowLinearRegressor",
    "XGBoostClassifier",
    "XGBoostRegressor",
)

#: Azure ML's settings that the engine lacks, and why. A value that asks for nothing (None, False, "off") passes.
_NOT_HERE = {
    "X": "give training_data and label_column_name instead",
    "y": "give training_data and label_column_name instead",
    "validation_data": "models are always judged by cross validation",
    "validation_size": "models are always judged by cross validation",
    "cv_split_column_names": "folds are drawn from the seed",
    "weight_column_name": "rows cannot be weighted",
    "positive_label": "the metrics treat all classes alike",
    "test_data": "test the model after the run instead",
    "test_size": "split the data before the run instead",
    "enable_stack_ensemble": "only voting ensembles are built",
    "stack_meta_learner_type": "only voting ensembles are built",
    "stack_meta_learner_kwargs": "only voting ensembles are built",
    "stack_meta_learner_train_percentage": "only voting ensembles are built",
    "enable_onnx_compatible_models": "models are not converted to ONNX",
    "model_explainability": "explain the model after the run instead",
    "enable_feature_sweeping": "features are not swept",
    "enable_subsampling": "every model sees all rows",
    "enable_dnn": "neural networks are not trained",
    "enable_tf": "neural networks are not trained",
    "mem_in_mb": "memory is not limited",
    "forecasting_parameters": "forecasting is not supported",
    "time_column_name": "forecasting is not supported",
}

#: Settings about Azure ML's logging, which the engine has no use for.
_WITHOUT_EFFECT = ("debug_log", "path", "verbosity")


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
        No new model is tried once a score is at least as good.
    iterations : int
        Greatest number of children, the ensemble included.
    iteration_timeout_minutes : float or None
        Training time of one child, looked at after each fold.
    max_concurrent_iterations, max_cores_per_iteration : int
        Children at a time, where the pool has so many slots; and threads of each (-1 for all cores).
    n_cross_validations : int or None
        Folds; None chooses by the number of rows (`nbhelpers.automl.folds.count_folds`).
    enable_early_stopping, early_stopping_n_iters : bool, int
        Whether to stop after this many children without a better score (never before 20 children).
    featurization : "auto" or "off"
    allowed_models, blocked_models : tuple of str or None
    enable_voting_ensemble, ensemble_iterations : bool, int
        Whether the last child is a voting ensemble, and of how many picks at most.
    exclude_nan_labels : bool
        Whether rows without a label are left out rather than refused.
    seed : int
        Decides folds, proposals and models.
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
    enable_early_stopping: bool = True
    early_stopping_n_iters: int = 20
    featurization: str = "auto"
    allowed_models: tuple[str, ...] | None = None
    blocked_models: tuple[str, ...] | None = None
    enable_voting_ensemble: bool = True
    ensemble_iterations: int = 15
    exclude_nan_labels: bool = True
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The models that may be trained."""
        allowed = self.allowed_models or ALGORITHMS[self.task]
        return tuple(
            name for name in ALGORITHMS[self.task] if name in allowed and name not in (self.blocked_models or ())
        )


#: A check returns what is wrong with a value, to follow the words "<name>=<value> ", or None.
_Check = Callable[[Any], str | None]


def _whole(low: int, high: int, *others: int) -> _Check:
    more = "".join(f", or {other}" for other in others)

    def check(value: Any) -> str | None:
        right = (
            isinstance(value, Integral)
            and not isinstance(value, bool)
            and (low <= int(value) <= high or value in others)
        )
        return None if right else f"must be a whole number from {low:,} to {high:,}{more}"

    return check


def _minutes(high: int) -> _Check:
    def check(value: Any) -> str | None:
        right = isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) <= high
        return None if right else f"must be a number above 0 and at most {high:,}"

    return check


def _number(value: Any) -> str | None:
    right = isinstance(value, Real) and not isinstance(value, bool) and value == value
    return None if right else "must be a number"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be True or False"


def _featurization(value: Any) -> str | None:
    right = isinstance(value, str) and value.lower() in ("auto", "off")
    return None if right else "must be 'auto' or 'off' (a FeaturizationConfig is not supported here)"


_CHECKS: dict[str, _Check] = {
    "experiment_timeout_minutes": _minutes(525_600),
    "experiment_timeout_hours": _minutes(8_760),
    "experiment_exit_score": _number,
    "iterations": _whole(1, 1000),
    "iteration_timeout_minutes": _minutes(43_200),
    "max_concurrent_iterations": _whole(1, 1000),
    "max_cores_per_iteration": _whole(1, 16_384, -1),
    "n_cross_validations": _whole(2, 1000),
    "enable_early_stopping": _flag,
    "early_stopping_n_iters": _whole(1, 1000),
    "featurization": _featurization,
    "enable_voting_ensemble": _flag,
    "ensemble_iterations": _whole(1, 1000),
    "exclude_nan_labels": _flag,
    "seed": _whole(0, 2**32 - 1),
}
_OPTIONAL = (
    "experiment_timeout_minutes",
    "experiment_timeout_hours",
    "experiment_exit_score",
    "iteration_timeout_minutes",
    "n_cross_validations",
)


def check_settings(task: str, settings: Mapping[str, Any]) -> Settings:
    """Check all settings of a search.

    Parameters
    ----------
    task : str
        "classification" or "regression".
    settings : mapping
        The fields of `Settings` under Azure ML's names, and ``experiment_timeout_hours`` (minutes win if both are
        given). ``debug_log``, ``path`` and ``verbosity`` are accepted and have no effect.

    Raises
    ------
    ConfigException
        One error that lists every problem: unknown names with the nearest known one, wrong types, values out of
        range, unknown metrics and models, and settings that Azure ML has and this engine lacks, with the reason.
    """
    if task not in tuple(ALGORITHMS):
        raise ConfigException(f"task={task!r} is not supported.", f"Use one of {_listed(ALGORITHMS)}.")
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
        elif name not in ("primary_metric", "allowed_models", "blocked_models"):
            problems.append(f"There is no setting {name!r}.{_nearest(name, [*_CHECKS, *Settings.__annotations__])}")
    problems += _metric_problems(task, given.get("primary_metric"))
    problems += _model_problems(task, given.get("allowed_models"), given.get("blocked_models"))
    if problems:
        raise ConfigException(
            "\n".join(["The settings cannot be used:", *(f"- {problem}" for problem in problems)]),
            "Correct or remove the settings named above.",
        )

    hours = given.pop("experiment_timeout_hours", None)
    fields = {name: value for name, value in given.items() if name not in _NOT_HERE}
    if hours is not None and fields.get("experiment_timeout_minutes") is None:
        fields["experiment_timeout_minutes"] = 60 * hours
    if fields.get("primary_metric") is None:
        fields["primary_metric"] = PRIMARY_METRICS[task][0]
    if "featurization" in fields:
        fields["featurization"] = fields["featurization"].lower()
    for name in ("allowed_models", "blocked_models"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    return Settings(task=task, **fields)


def _metric_problems(task: str, metric: Any) -> list[str]:
    if metric is None or metric in PRIMARY_METRICS[task]:
        return []
    names = PRIMARY_METRICS[task]
    return [f"primary_metric={metric!r} is not one of {_listed(names)}.{_nearest(str(metric), names)}"]


def _model_problems(task: str, allowed: Any, blocked: Any) -> list[str]:
    here = ALGORITHMS[task]
    known = {*here, *_AZURE_ALGORITHMS}
    problems = []
    for setting, models in (("allowed_models", allowed), ("blocked_models", blocked)):
        if models is None:
            continue
        if not isinstance(models, list | tuple) or not all(isinstance(model, str) for model in models):
            problems.append(f"{setting}={models!r} must be a list of model names, out of {_listed(here)}.")
            continue
        for model in models:
            if model not in known:
                problems.append(f"{setting} names the unknown model {model!r}.{_nearest(model, known)}")
            elif setting == "allowed_models" and model not in here:
                problems.append(
                    f"allowed_models names {model!r}, which is not trained here for {task}: use {_listed(here)}."
                )
    if problems:
        return problems
    if not set(here if allowed is None else allowed) - set(blocked or ()):
        return [f"allowed_models={allowed!r} with blocked_models={blocked!r} leaves no model to try."]
    return []


def _nearest(name: str, known: Any) -> str:
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
