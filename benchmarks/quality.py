"""Compare the search, with the settings of 03_train.ipynb, with LightGBM's defaults on held-out rows.

    python benchmarks/quality.py TABLE.csv --label y --seeds 0 1 2

For each seed a fifth of the rows is held out, as notebook 02 does without a test set of one's own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import lightgbm
import pandas as pd

from nbhelpers import read_parameters
from nbhelpers.automl import SerialPool, check_settings, infer_task, search, stratified_split
from nbhelpers.metrics import PRIMARY_METRICS, classification_metrics, regression_metrics

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "03_train.ipynb"
SHOWN = {
    "classification": ["AUC_weighted", "log_loss", "accuracy", "average_precision_score_weighted"],
    "regression": ["normalized_root_mean_squared_error", "mean_absolute_error", "r2_score"],
}


def defaults(task: str, seed: int) -> dict[str, object]:
    """The settings of the notebook, for a task."""
    values = {parameter.name: parameter.default for parameter in read_parameters(NOTEBOOK)}
    metric = PRIMARY_METRICS[task][1] if task == "classification" else "normalized_root_mean_squared_error"
    names = ["experiment_timeout_minutes", "iterations", "n_cross_validations", "enable_early_stopping"]
    return {name: values[name] for name in names} | {"primary_metric": metric, "seed": seed}


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts as LightGBM wants them."""
    return frame.astype(dict.fromkeys(frame.select_dtypes("object"), "category"))


def compare(frame: pd.DataFrame, label: str, seed: int) -> list[dict[str, object]]:
    """One row for each system."""
    task = infer_task(frame[label])
    train, test = stratified_split(frame, label, 0.2, seed, task)
    X, y, X_test, y_test = train.drop(columns=label), train[label], test.drop(columns=label), test[label]
    rows = []

    start = time.perf_counter()
    if task == "classification":
        plain = lightgbm.LGBMClassifier(n_jobs=1, verbose=-1).fit(as_categories(X), y)
        values = classification_metrics(y_test, plain.predict_proba(as_categories(X_test)), plain.classes_)
    else:
        plain = lightgbm.LGBMRegressor(n_jobs=1, verbose=-1).fit(as_categories(X), y)
        values = regression_metrics(y_test, plain.predict(as_categories(X_test)))
    rows.append({"seed": seed, "system": "LightGBM defaults", "seconds": time.perf_counter() - start, **values})

    start = time.perf_counter()
    result = search(X, y, check_settings(task, defaults(task, seed)), pool=SerialPool())
    assert result.model is not None
    assert result.best is not None
    if task == "classification":
        values = classification_metrics(y_test, result.model.predict_proba(X_test), result.model.classes_)
    else:
        values = regression_metrics(y_test, result.model.predict(X_test))
    rows.append({"seed": seed, "system": result.best.algorithm, "seconds": time.perf_counter() - start, **values})
    return [{name: row[name] for name in ("seed", "system", "seconds", *SHOWN[task])} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--label", default="y")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    read = pd.read_parquet if arguments.table.suffix == ".parquet" else pd.read_csv
    frame = read(arguments.table)
    rows = [row for seed in arguments.seeds for row in compare(frame, arguments.label, seed)]
    table = pd.DataFrame(rows).round({"seconds": 0}).round(4)
    print("| " + " | ".join(table.columns) + " |")
    print("|" + "---|" * len(table.columns))
    for row in table.itertuples(index=False):
        print("| " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main()
