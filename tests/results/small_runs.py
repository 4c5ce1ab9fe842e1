"""Runs with the attributes of the SDK's, made from scikit-learn models that were really fitted."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.model_selection import check_cv, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbhelpers.metrics import (
    accuracy_table,
    classification_metrics,
    confusion_matrix,
    predicted_true,
    regression_metrics,
    residuals,
)

ALGORITHMS = {
    "classification": [
        ("LogisticRegression", LogisticRegression(C=0.001)),
        ("RandomForest", RandomForestClassifier(20, min_samples_leaf=5, random_state=0)),
        ("LogisticRegression", LogisticRegression()),
    ],
    "regression": [
        ("ElasticNet", ElasticNet(alpha=10.0)),
        ("RandomForest", RandomForestRegressor(20, min_samples_leaf=5, random_state=0)),
        ("ElasticNet", ElasticNet(alpha=0.01)),
    ],
}
SCORERS = {"AUC_weighted": "roc_auc_ovr_weighted", "r2_score": "r2"}


class Files:
    """The files of a run, by name."""

    files: dict[str, bytes]

    def get_file_names(self) -> list[str]:
        return sorted(self.files)

    def download_file(self, name: str, output_file_path: str) -> None:
        Path(output_file_path).write_bytes(self.files[name])


class ChildRun(Files):
    def __init__(self, number: int, algorithm: str, status: str = "Completed", **facts: Any) -> None:
        self.id, self.files = f"step_{number}", dict[str, bytes]()
        self.status = status
        self.metrics = facts.pop("metrics", {})
        self.error = facts.pop("error", None)
        self.properties = {"iteration": str(number), "run_algorithm": algorithm}
        self.properties |= {name: str(value) for name, value in facts.items()}

    def get_status(self) -> str:
        return self.status

    def get_metrics(self) -> dict[str, Any]:
        return self.metrics

    def get_details(self) -> dict[str, Any]:
        return {"error": {"error": {"message": self.error}}} if self.error else {}


class StepRun(Files):
    """An AutoML step run over a fitted model."""

    name = "automl_module"

    def __init__(self, children: list[ChildRun], model: Any, best: ChildRun, **properties: str) -> None:
        self.id, self.children, self.model, self.best, self.properties = "step", children, model, best, properties
        self.files: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}

    def get_children(self) -> Iterator[Any]:
        yield SimpleNamespace(id="step_setup", properties={})
        yield from reversed(self.children)

    def get_output(self) -> tuple[Any, Any]:
        return self.best, self.model

    def get_guardrails(self, to_console: bool = True) -> dict[str, Any]:
        assert not to_console
        fault = {
            "type": "ClassBalancing",
            "result": "alerted",
            "friendly_type": "Class balancing detection",
            "friendly_result": "A small class was found.",
            "friendly_parameters": [{"Size of the smallest class": 60, "Name": "yes"}],
        }
        return {"schema_type": "fault_verifier", "faults": [fault]}


class PipelineRun:
    def __init__(self, experiment: Any, run_id: str, step: StepRun | None = None, status: str = "Finished") -> None:
        if step is None:  # the SDK's way: look it up
            found = {run.id: run for run in experiment.get_runs()}
            step, status = found[run_id].step, found[run_id].status
        self.experiment, self.id, self.step, self.status = experiment, run_id, step, status
        self.tags: dict[str, str] = {}

    def get_status(self) -> str:
        return self.status

    def get_steps(self) -> Iterator[StepRun]:
        yield self.step


def fitted(estimator: Any) -> Pipeline:
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(encode, clone(estimator))


def train(table: pd.DataFrame, task: str = "classification") -> PipelineRun:
    """A finished run: three children, the third of them failed, and the best one of the others as the model."""
    metric = "AUC_weighted" if task == "classification" else "r2_score"
    X, y = table.drop(columns="y"), table["y"]
    children, models = [], {}
    for k, (algorithm, estimator) in enumerate(ALGORITHMS[task]):
        model = fitted(estimator)
        scores = cross_val_score(model, X, y, cv=3, scoring=SCORERS[metric])
        if task == "classification":
            probabilities = cross_val_predict(model, X, y, cv=3, method="predict_proba")
            metrics: dict[str, Any] = classification_metrics(y, probabilities, np.unique(y))
            metrics["confusion_matrix"] = "aml://artifactId/outputs/confusion_matrix"
        else:
            metrics = regression_metrics(y, cross_val_predict(model, X, y, cv=3))
        metrics[metric] = [scores.mean()] if k == 1 else scores.mean()  # the service has both forms
        facts = {"fit_time": k + 0.5, "predict_time": 0.1, "fold_scores": json.dumps(scores.tolist())}
        number = k if k < 2 else 10
        children.append(
            ChildRun(
                number, algorithm, metrics=metrics, score=scores.mean(), run_preprocessor="StandardScaler", **facts
            )
        )
        models[number] = model.fit(X, y)
    children.insert(2, ChildRun(2, "LightGBM", "Failed", error="The fold has one class only.\n"))
    best = max((child for child in children if child.status == "Completed"), key=lambda c: float(c.properties["score"]))
    step = StepRun(
        children,
        models[int(best.properties["iteration"])],
        best,
        primary_metric=metric,
        task=task,
        label_column_name="y",
        train_rows=str(len(table)),
    )
    return finished(step)


def stored(run: PipelineRun, table: pd.DataFrame) -> PipelineRun:
    """A run of `train` with all that the local workspace stores beside: tables, predictions, evidence, importances."""
    run = copy.deepcopy(run)
    step, X, y = run.step, table.drop(columns="y"), table["y"]
    is_regression = step.properties["task"] == "regression"
    method = "predict" if is_regression else "predict_proba"
    folds = [valid for _, valid in check_cv(3, y, classifier=not is_regression).split(X, y)]
    rows = np.concatenate(folds)
    step.files["outputs/scored_rows.npy"] = npy(np.column_stack([rows, np.repeat(range(3), list(map(len, folds)))]))
    found = [{"column": name, "importance": 0.1 * k, "std": 0.01} for k, name in enumerate(X.columns)]
    step.files["outputs/feature_importance.json"] = json.dumps(found).encode()
    way = {"way": "Best child alone", "iteration": int(step.best.properties["iteration"]), "score": 0.8, "loss": 0.3}
    step.properties["nbhelpers.selection"] = json.dumps([way])
    if not is_regression:
        step.properties["classes"] = json.dumps(np.unique(y).tolist())
    completed = [child for child in step.children if child.status == "Completed"]
    for child, (_, estimator) in zip(completed, ALGORITHMS[step.properties["task"]], strict=True):
        output = cross_val_predict(fitted(estimator), X, y, cv=3, method=method)
        child.files["predictions.npy"] = npy(output[rows])
        if is_regression:
            tables = {"residuals": residuals(y, output), "predicted_true": predicted_true(y, output)}
        else:
            classes = np.unique(y)
            tables = {
                "accuracy_table": accuracy_table(y, output, classes),
                "confusion_matrix": confusion_matrix(y, output, classes),
            }
        for name, content in tables.items():
            child.files[f"outputs/{name}"] = json.dumps(content).encode()
            child.metrics[name] = f"aml://artifactId/ExperimentRun/dcid.{child.id}/{name}"
    run.tags["dataset"] = "rows:1"
    run.experiment.workspace.datasets["rows"] = SimpleNamespace(version=1, to_pandas_dataframe=lambda: table)
    return run


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def finished(step: StepRun) -> PipelineRun:
    experiment = SimpleNamespace(name="bank", workspace=SimpleNamespace(datasets={}))
    run = PipelineRun(experiment, "pipeline", step)
    experiment.get_runs = lambda: iter([run])
    return run


def bank_rows(n: int, seed: int, labels: tuple[Any, Any] = ("no", "yes")) -> pd.DataFrame:
    """Rows in the manner of the bank marketing data: `duration` tells most, one row in five or so is a yes."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "duration": rng.gamma(1.5, 170, n).round(1),
            "campaign": rng.integers(1, 9, n),
            "pdays": rng.integers(0, 30, n),
            "poutcome": rng.choice(["failure", "nonexistent", "success"], n),
        }
    )
    chance = table["duration"] / 400 + (table["poutcome"] == "success") + rng.normal(0, 0.4, n)
    return table.assign(y=np.where(chance > np.quantile(chance, 0.85), labels[1], labels[0]))


def house_rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"size": rng.normal(100, 20, n), "age": rng.normal(30, 9, n), "noise": rng.normal(0, 1, n)})
    return table.assign(y=3 * table["size"] - 4 * table["age"] + rng.normal(0, 15, n))


def class_rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"a": rng.normal(0, 1, n), "b": rng.normal(0, 1, n), "kind": rng.choice(["s", "t"], n)})
    return table.assign(
        y=pd.cut(table["a"] + rng.normal(0, 0.3, n), [-9, -0.6, 0.6, 9], labels=["low", "mid", "top"]).astype(str)
    )
