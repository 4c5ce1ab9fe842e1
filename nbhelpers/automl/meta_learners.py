"""The models that a stacked ensemble can learn with from its members' predictions, under Azure ML's names."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from nbhelpers.errors import nearest

#: The choices of ``stack_meta_learner_type``, by task.
META_LEARNERS: dict[str, tuple[str, ...]] = {
    "classification": ("LogisticRegression", "LogisticRegressionCV", "LightGBMClassifier"),
    "regression": ("ElasticNet", "ElasticNetCV", "LightGBMRegressor", "LinearRegression"),
}
#: What differs from an estimator's own defaults: members agree so much that a learner has to hold back.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "LogisticRegression": {"C": 0.03, "max_iter": 2000},
    "LogisticRegressionCV": {
        "Cs": np.logspace(-3, 1, 5).tolist(),
        "l1_ratios": [0.0],
        "max_iter": 2000,
        "scoring": "neg_log_loss",
        "use_legacy_attributes": False,
    },
    "ElasticNet": {"alpha": 0.01},
    "LightGBM": {"n_estimators": 50, "learning_rate": 0.05, "num_leaves": 7, "verbose": -1, "n_jobs": 1},
}
#: The penalty of the default meta learner of a regression, a ridge regression that is drawn to the members' mean.
#: Chosen out of 0.001 to 0.1 for each row on three tables of 331 to 2,350 rows: the best grew with fewer rows, so that
#: one number for all rows together suits them all.
_PENALTY = 20.0
#: With fewer rows of a class a regularisation cannot be chosen by cross validation (Azure ML's number).
_LEAST_FOR_CV = 5


def meta_learner(
    task: str, kind: str | None, arguments: Mapping[str, Any] | None, truth: Any, n_classes: int = 0
) -> Any:
    """An unfitted meta learner.

    Parameters
    ----------
    task : str
    kind : str or None
        One of `META_LEARNERS`; None for what did best where it was measured: an `OpinionPool` or a ridge regression.
    arguments : mapping or None
        Of the estimator, in place of the defaults here.
    truth : (n,) array
        Class numbers or values that it will be fitted to. Where a class has fewer than five rows, a
        LogisticRegression takes the place of a LogisticRegressionCV, without the arguments that are the latter's.
    n_classes : int
        Of a classification.
    """
    if kind is None and task == "regression":
        return _class("Ridge")(alpha=_PENALTY)
    if kind is None:
        from nbhelpers.automl.opinion_pool import OpinionPool  # takes SciPy, and settings are checked without it

        return OpinionPool(n_classes)
    given = dict(arguments or {})
    if kind == "LogisticRegressionCV" and np.unique(truth, return_counts=True)[1].min() < _LEAST_FOR_CV:
        kind = "LogisticRegression"
        given = {name: value for name, value in given.items() if name in _class(kind)().get_params()}
    defaults = _DEFAULTS.get("LightGBM" if kind.startswith("LightGBM") else kind, {})
    return _class(kind)(**(defaults | given))


def meta_learner_problems(task: str, kind: Any, arguments: Any) -> list[str]:
    """What is wrong with ``stack_meta_learner_type`` and ``stack_meta_learner_kwargs``; empty if nothing is."""
    known = META_LEARNERS[task]
    if kind is not None and kind not in known:
        return [f"stack_meta_learner_type={kind!r} is not one of {', '.join(map(repr, known))}."]
    if arguments is None:
        return []
    if not isinstance(arguments, Mapping):
        return [f"stack_meta_learner_kwargs={arguments!r} must be a dict of arguments."]
    if kind is None:
        return [f"stack_meta_learner_kwargs={arguments!r} needs a stack_meta_learner_type, whose arguments they are."]
    names = _class(kind)().get_params()
    problems = []
    for name in [name for name in arguments if name not in names]:
        near = nearest(name, names)
        hint = f"Did you mean {near!r}?" if near else f"It has: {', '.join(sorted(names))}."
        problems.append(f"stack_meta_learner_kwargs names {name!r}, which is no argument of {kind}. {hint}")
    return problems or _refusal(task, kind, arguments)


def _refusal(task: str, kind: str, arguments: Mapping[str, Any]) -> list[str]:
    """What the estimator itself says against the values; it would say so only when the search is over."""
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2 if task == "classification" else rng.normal(size=60)
    features = rng.normal(size=(60, 2)) + truth[:, np.newaxis]
    try:
        json.dumps(dict(arguments))  # settings are stored
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta_learner(task, kind, arguments, truth).fit(features, truth)
    except Exception as error:  # whatever an estimator dies of
        return [f"stack_meta_learner_kwargs={dict(arguments)!r} do not suit {kind}: {error}"]
    return []


def _class(name: str) -> Any:
    if name.startswith("LightGBM"):
        return getattr(import_module("lightgbm"), name.replace("LightGBM", "LGBM"))
    return getattr(import_module("sklearn.linear_model"), name)
