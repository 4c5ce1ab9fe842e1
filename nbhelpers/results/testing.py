"""Put the best model of a run to rows that it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nbhelpers.errors import DataError, UserErrorException
from nbhelpers.metrics import greater_is_better
from nbhelpers.results import checks
from nbhelpers.results.evidence import importance
from nbhelpers.results.frames import SentenceFrame, as_frame, has_value, require_column
from nbhelpers.results.models import Array, BestModel
from nbhelpers.results.report import TestReport, count_pairs
from nbhelpers.results.runs import iteration, label_column, number, training_table
from nbhelpers.results.tables import leaderboard, pipeline_name, primary_metric
from nbhelpers.results.validation import Judged


def predict(run: Any, dataset: Any) -> pd.DataFrame:
    """What the best model of a run says about each row.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
        A pipeline run with one AutoML step, or that step's run.
    dataset : TabularDataset or DataFrame
        Rows with the columns of the training set; a label, and other columns, do no harm.

    Returns
    -------
    DataFrame
        ``prediction`` for each row, with the index of the rows; for classification also
        ``probability_<class>`` for each class.

    Raises
    ------
    DataError
        Columns are missing, or there are no rows.
    ModelError
        The model cannot be loaded here, or cannot use the values.
    """
    best, frame = BestModel.of(run), as_frame(dataset)
    output = best.output(best.features(frame, label_column(best.step)))
    if best.classes is None:
        return pd.DataFrame({"prediction": output}, index=frame.index)
    table = pd.DataFrame(output, columns=[f"probability_{name}" for name in best.classes], index=frame.index)
    table.insert(0, "prediction", np.asarray(best.classes)[output.argmax(axis=1)])
    return table


def test_report(run: Any, dataset: Any, label: str | None = None, train: Any = None) -> TestReport:  # noqa: PT028 (not a test)
    """Test the best model of a run.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
        A pipeline run with one AutoML step, or that step's run.
    dataset : TabularDataset or DataFrame
        Test rows with a label. Rows whose label is missing are left out, which `TestReport.split` and
        `TestReport.checks` say.
    label : str, optional
        The label's column; default: the one that the run was trained for.
    train : TabularDataset or DataFrame, optional
        The training rows, for their balance and for rows that occur twice; default: the registered data set
        that the run's tag ``dataset`` names, if it is there.

    Raises
    ------
    DataError
        Columns are missing, no row has a label, or a label was never seen in training.
    ModelError
        The model cannot be loaded here, or cannot use the values.
    UserErrorException
        The run does not tell the label.
    """
    best = BestModel.of(run)
    label = label or label_column(best.step)
    if not label:
        raise UserErrorException("The run does not say which column is the label.", "give it: label='...'.")
    given = as_frame(dataset)
    training = as_frame(train) if train is not None else training_table(run)
    test = _with_label(given, label)
    if test.empty:
        raise DataError(f"No row of the test set has a label in column {label!r}.", "give rows whose label is known.")
    features, truth = best.features(test, label).reset_index(drop=True), best.truth(test[label])
    output = best.output(features)
    train_truth = None if training is None else best.truth(_with_label(training, label)[label])
    # The normalized errors of training are shares of the range of the training labels.
    y_range = None if train_truth is None else (float(train_truth.min()), float(train_truth.max()))
    metrics = best.metrics(truth, output, y_range)
    metric = primary_metric(run)
    fold_std = float(leaderboard(run).set_index("iteration")["fold_std"].get(iteration(best.child), np.nan))
    try:
        validation, not_known = Judged.of(run, train=training), ""
    except UserErrorException as error:
        validation, not_known = None, error.problem
    found = importance(run)[["feature", "importance"]].rename(columns={"importance": "in_training"})
    rows_known = number(best.step.properties.get("train_rows"))
    return TestReport(
        task="regression" if best.classes is None else "classification",
        label=label,
        model_name=pipeline_name(best.child.properties),
        classes=best.classes,
        primary_metric=metric,
        metrics=metrics,
        comparison=_comparison(metric, best.child.get_metrics(), metrics, fold_std),
        confusion=None if best.classes is None else _confusion(truth, output, best.classes),
        split=SentenceFrame(
            {
                "training": _part(best.classes, train_truth, rows_known if training is None else len(training)),
                "test": _part(best.classes, truth, len(given)),
            }
        ).T.astype({"rows": "Int64", "without_label": "Int64"}),
        _best=best,
        _features=features,
        _truth=truth,
        _output=output,
        _rows=np.flatnonzero(has_value(given[label])),
        _trained_importance=found.astype({"in_training": float}),
        _validation=validation,
        _not_known=not_known,
        _overlap=checks.overlap("NB004", features.assign(**{label: test[label].array}), training),
    )


def _with_label(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    require_column(frame, label)
    return frame[has_value(frame[label])]


def _comparison(primary: str, validation: dict[str, Any], test: dict[str, float], fold_std: float) -> pd.DataFrame:
    names = [primary, *sorted(name for name in test if name != primary)]
    table = SentenceFrame(
        {"validation": [number(validation.get(name)) for name in names], "test": [test[name] for name in names]},
        index=pd.Index(names, name="metric"),
    )
    sign = np.array([1 if greater_is_better(name) else -1 for name in names])
    table["gap"] = sign * (table["validation"] - table["test"])
    # Only the spread of the primary metric over the folds is known: other scores are judged by it, too.
    known = {name: fold_std if name == primary or greater_is_better(name) else np.nan for name in names}
    table["allowed"] = [checks.allowed_gap(name, table["validation"][name], known[name]) for name in names]
    table["flag"] = np.where(table["gap"] > table["allowed"], "worse", "")
    return table


def _confusion(truth: Array, probabilities: Array, classes: list[Any]) -> pd.DataFrame:
    counts = pd.DataFrame(
        count_pairs(truth, probabilities),
        index=pd.Index(classes, name="true"),
        columns=pd.Index(classes, name="predicted"),
    )
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    return pd.concat({"rows": counts, "share": shares}, axis=1)


def _part(classes: list[Any] | None, truth: Array | None, rows: float) -> dict[str, Any]:
    """Sizes and balance of the training or the test set; the labels may not be at hand."""
    sizes = {"rows": rows, "without_label": np.nan if truth is None else rows - len(truth)}
    if classes is None:
        values = pd.Series(truth, dtype=float)
        return {**sizes, "mean": values.mean(), "std": values.std(), "min": values.min(), "max": values.max()}
    shares = [np.nan] * len(classes) if truth is None else np.bincount(truth, minlength=len(classes)) / len(truth)
    return {**sizes, **{f"share of {name}": share for name, share in zip(classes, shares, strict=True)}}
