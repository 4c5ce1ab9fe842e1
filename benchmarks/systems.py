"""Fit one system on one table and predict another: `automl.py` runs this in the environment that has the system.

    python benchmarks/systems.py JOB.json

The job has ``system``, ``train`` and ``test`` (CSV files), ``label``, ``task``, ``seconds`` (0: no limit), ``seed``,
``settings`` (more of them, for the project's own engine) and ``folder``, in which ``result.json`` and
``predictions.npz`` are written.

Every system is given the same data frames, the task, and logarithmic loss or the root mean squared error as its
metric; all else is its default. The project's engine knows Azure ML's metrics only, and is run as its users run it.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from measure import adopt_orphans, cpu_seconds

SLOTS = 2
#: Predictions of the test file that are timed; fewer if they take long.
TIMES, LONG = 3, 10.0


class Fitted(NamedTuple):
    """A fitted model: labels or values of rows, probabilities of `classes`, and what the system says about it."""

    predict: Callable[[pd.DataFrame], Any]
    probabilities: Callable[[pd.DataFrame], Any] | None
    classes: list[Any]
    info: dict[str, Any]


def of_estimator(model: Any, task: str, info: dict[str, Any]) -> Fitted:
    """A model with scikit-learn's methods."""
    if task == "regression":
        return Fitted(model.predict, None, [], info)
    return Fitted(model.predict, model.predict_proba, list(model.classes_), info)


def fit_nbhelpers(job: dict[str, Any], train: pd.DataFrame) -> Fitted:
    os.environ["NBHELPERS_HOME"] = str(Path(job["folder"]) / "home")
    ml = import_module("nbhelpers").connect("local", seed=job["seed"])
    workspace = ml.Workspace.from_config()
    nodes = ml.AmlCompute.provisioning_configuration(max_nodes=SLOTS)
    metric = "AUC_weighted" if job["task"] == "classification" else "normalized_root_mean_squared_error"
    settings = {
        "primary_metric": metric,
        "experiment_timeout_minutes": job["seconds"] / 60 if job["seconds"] else None,
        "n_cross_validations": 5,
        "enable_early_stopping": False,  # the others use all of their time, too
        "max_concurrent_iterations": SLOTS,
    }
    config = ml.AutoMLConfig(
        job["task"],
        compute_target=ml.ComputeTarget.create(workspace, "cpu", nodes),
        training_data=train,
        label_column_name=job["label"],
        **(settings | job["settings"]),
    )
    run = ml.Pipeline(workspace, ml.AutoMLStep("automl", config)).submit("benchmark")
    run.wait_for_completion(show_output=False)
    step = next(run.get_steps())
    best, model = step.get_output()
    children = [child.get_status() for child in step.get_children()]
    info = {
        "best": best.properties["run_algorithm"],
        "n_models": len(children),
        "completed": children.count("Completed"),
        "ended_by": step.properties["ended_by"],
    }
    return of_estimator(model, job["task"], info)


def fit_lightgbm(job: dict[str, Any], train: pd.DataFrame) -> Fitted:
    import lightgbm

    def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.astype(dict.fromkeys(frame.select_dtypes(exclude=["number", "bool"]), "category"))

    kind = lightgbm.LGBMClassifier if job["task"] == "classification" else lightgbm.LGBMRegressor
    model = kind(random_state=job["seed"], verbose=-1)
    model.fit(as_categories(train.drop(columns=job["label"])), train[job["label"]])
    fitted = of_estimator(model, job["task"], {})
    probabilities = fitted.probabilities
    return fitted._replace(
        predict=lambda frame: model.predict(as_categories(frame)),
        probabilities=probabilities and (lambda frame: probabilities(as_categories(frame))),
    )


def fit_flaml(job: dict[str, Any], train: pd.DataFrame) -> Fitted:
    model = import_module("flaml").AutoML()
    model.fit(
        train.drop(columns=job["label"]),
        train[job["label"]],
        task=job["task"],
        metric="log_loss" if job["task"] == "classification" else "rmse",
        time_budget=job["seconds"],
        seed=job["seed"],
        verbose=0,
    )
    if model.best_estimator is None or model.model is None:
        raise RuntimeError(f"FLAML has no model after {job['seconds']} s.")
    return of_estimator(model, job["task"], {"best": model.best_estimator})


def fit_autogluon(job: dict[str, Any], train: pd.DataFrame) -> Fitted:
    classes = train[job["label"]].nunique()
    kind = "regression" if job["task"] == "regression" else "binary" if classes == 2 else "multiclass"
    model = import_module("autogluon.tabular").TabularPredictor(
        job["label"],
        problem_type=kind,
        eval_metric="root_mean_squared_error" if kind == "regression" else "log_loss",
        path=str(Path(job["folder"]) / "autogluon"),
        verbosity=1,
    )
    model.fit(train, presets="best_quality", time_limit=job["seconds"])
    info = {"best": model.model_best, "n_models": len(model.model_names())}
    if kind == "regression":
        return Fitted(model.predict, None, [], info)
    return Fitted(model.predict, model.predict_proba, list(model.class_labels), info)


def fit_mljar(job: dict[str, Any], train: pd.DataFrame) -> Fitted:
    X, y = train.drop(columns=job["label"]), train[job["label"]]
    kind = (
        "regression"
        if job["task"] == "regression"
        else f"{'binary' if y.nunique() == 2 else 'multiclass'}_classification"
    )
    model = import_module("supervised").AutoML(
        mode="Compete",
        ml_task=kind,
        eval_metric="rmse" if kind == "regression" else "logloss",
        total_time_limit=job["seconds"],
        results_path=str(Path(job["folder"]) / "mljar"),
        random_state=1234 + job["seed"],  # its default, and others
        verbose=0,
    )
    model.fit(X, y)
    board = model.get_leaderboard()
    info = {"best": model._best_model.get_name(), "n_models": len(board)}
    if kind == "regression":
        return Fitted(model.predict, None, [], info)
    columns = model.predict_all(X.head(2)).columns[:-1]  # the last is the label
    return Fitted(model.predict, model.predict_proba, [name.removeprefix("prediction_") for name in columns], info)


#: By name: how to fit, the module that is loaded before time is taken, and the distribution whose version is noted.
SYSTEMS: dict[str, tuple[Callable[[dict[str, Any], pd.DataFrame], Fitted], str, str]] = {
    "nbhelpers": (fit_nbhelpers, "nbhelpers.local", "nbhelpers"),
    "lightgbm": (fit_lightgbm, "lightgbm", "lightgbm"),
    "flaml": (fit_flaml, "flaml", "FLAML"),
    "autogluon": (fit_autogluon, "autogluon.tabular", "autogluon.tabular"),
    "mljar": (fit_mljar, "supervised", "mljar-supervised"),
}


def main(file: str) -> None:
    job = json.loads(Path(file).read_text())
    fit, module, distribution = SYSTEMS[job["system"]]
    train, test = pd.read_csv(job["train"]), pd.read_csv(job["test"]).drop(columns=job["label"])
    import_module(module)
    adopt_orphans()

    start, cpu = time.perf_counter(), cpu_seconds(os.getpid())
    fitted = fit(job, train)
    seconds, cpu_after = time.perf_counter() - start, cpu_seconds(os.getpid())

    predicting: list[float] = []
    while len(predicting) < TIMES and sum(predicting) < LONG:
        start = time.perf_counter()
        predicted = (fitted.probabilities or fitted.predict)(test)
        predicting.append(time.perf_counter() - start)
    arrays = {"labels": np.asarray(predicted, dtype=float).ravel()}
    if fitted.probabilities:
        labels = np.asarray(fitted.predict(test)).ravel().astype(str)
        arrays = {
            "labels": labels,
            "probabilities": np.asarray(predicted, float),
            "classes": np.array(fitted.classes, str),
        }
    np.savez_compressed(Path(job["folder"]) / "predictions.npz", **arrays)  # type: ignore[arg-type]
    result = {
        "train_s": seconds,
        "cpu_s": None if cpu is None or cpu_after is None else cpu_after - cpu,
        "predict_s": statistics.median(predicting),
        "info": fitted.info,
        "version": metadata.version(distribution),
    }
    (Path(job["folder"]) / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
