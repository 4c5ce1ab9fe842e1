"""What the children of a run said about the rows that they were judged on, in the folds of the training data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbhelpers.errors import DataError
from nbhelpers.results import decisions, slicing
from nbhelpers.results.frames import SentenceFrame, as_frame, require_column
from nbhelpers.results.models import Array, read_truth
from nbhelpers.results.runs import (
    NotKeptError,
    automl_step,
    find_child,
    label_column,
    number,
    read_array,
    settings,
    training_table,
)


@dataclass(frozen=True)
class Judged:
    """The out-of-fold predictions of a child with the rows that they are about.

    Attributes
    ----------
    label : str
    classes : list or None
        Sorted labels; None for regression.
    rows : (m,) array of int
        The places of the rows in the training table.
    folds : (m,) array of int
    features : DataFrame
        The m rows, without the label.
    truth : (m,) array
        Positions in `classes`, or values.
    output : array
        Probabilities of shape (m, C), or values of shape (m,).
    """

    label: str
    classes: list[Any] | None
    rows: Array
    folds: Array
    features: pd.DataFrame
    truth: Array
    output: Array

    @classmethod
    def of(cls, run: Any, iteration: int | None = None, train: Any = None) -> Judged:
        """Those of a child, by default of the best model; parameters and errors as of `out_of_fold`."""
        step, label = automl_step(run), label_column(run)
        if not label:
            raise NotKeptError("The run does not say which column is the label.", "use a run of the local workspace.")
        output, (rows, folds) = (
            read_array(find_child(run, iteration), "predictions.npy"),
            read_array(step, "scored_rows.npy").T,
        )
        table = training_table(run) if train is None else as_frame(train)
        if table is None:
            raise NotKeptError("The training rows are not at hand: give them as train=.", "give them as train=.")
        require_column(table, label)
        trained = number(step.properties.get("train_rows"))
        if len(table) <= rows.max() or (rows.max() < trained and len(table) != trained):
            raise (NotKeptError if train is None else DataError)(
                f"The training table has {len(table):,} rows, the run was trained on {trained:,.0f} rows and judged on "
                f"rows up to number {rows.max() + 1:,}.",
                "give the table that it was trained on as train=, with the rows of its validation data, if any, below.",
            )
        classes = json.loads(step.properties["classes"]) if "classes" in step.properties else None
        judged = table.iloc[rows].reset_index(drop=True)
        truth = read_truth(judged.pop(label), classes)
        return cls(label, classes, rows, folds, judged, truth, output)


def out_of_fold(run: Any, iteration: int | None = None, train: Any = None) -> pd.DataFrame:
    """What a child said about each row while that row was left out of its training.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
        A pipeline run with one AutoML step, or that step's run.
    iteration : int, optional
        The child; default: that of the best model.
    train : TabularDataset or DataFrame, optional
        The training rows in their order, with those of given validation data below; default: the registered data set
        that the run's tag ``dataset`` names.

    Returns
    -------
    DataFrame
        By row (its place in the training table, from 0 on): fold, true, prediction, and for classification
        ``probability_<class>`` for each class.

    Raises
    ------
    UserErrorException
        The run has stored no predictions (Azure ML stores none; a child that was raced or failed has none), or the
        training rows are not at hand.
    DataError
        The table is not the one that the run was trained on.
    """
    found = Judged.of(run, iteration, train)
    table = pd.DataFrame({"fold": found.folds}, index=pd.Index(found.rows, name="row"))
    if found.classes is None:
        return table.assign(true=found.truth, prediction=found.output)
    names = np.asarray(found.classes, dtype=object)
    table = table.assign(true=names[found.truth], prediction=names[found.output.argmax(axis=1)])
    return table.assign(**{f"probability_{name}": found.output[:, k] for k, name in enumerate(found.classes)})


def slices(
    run: Any, column: str | None = None, top: int = 10, iteration: int | None = None, train: Any = None
) -> pd.DataFrame:
    """How well a child does in groups of the training rows, each judged while it was left out of training.

    Parameters
    ----------
    run, iteration, train
        As in `out_of_fold`.
    column : str, optional
        The column whose values make the groups; default: each column in turn.
    top : int
        Number of groups to return.

    Returns
    -------
    DataFrame
        See `nbhelpers.results.slicing.slice_table`. No rows where the run has stored no predictions.
    """
    try:
        found = Judged.of(run, iteration, train)
    except NotKeptError as error:
        return SentenceFrame.without_rows(error.problem)
    return slicing.slice_table(found.features, found.truth, found.output, column, top)


def thresholds(
    run: Any, miss_cost: float = 5.0, positive: Any = None, iteration: int | None = None, train: Any = None
) -> pd.DataFrame:
    """From which probability on to call a row positive, chosen on training rows that were left out of training.

    Parameters
    ----------
    run, iteration, train
        As in `out_of_fold`.
    miss_cost, positive
        As in `TestReport.thresholds`, which also shows what the thresholds lead to on test rows.

    Returns
    -------
    DataFrame
        See `nbhelpers.results.decisions.threshold_table`. No rows where the run has stored no predictions, or is a
        regression.
    """
    try:
        found = Judged.of(run, iteration, train)
    except NotKeptError as error:
        return SentenceFrame.without_rows(error.problem)
    if found.classes is None:
        return SentenceFrame.without_rows("Thresholds are for classification.")
    looked_for = settings(run).get("positive_label") if positive is None else positive
    place = decisions.place_of(found.classes, found.truth, looked_for)
    truth, probabilities = found.truth == place, found.output[:, place]
    chosen = decisions.choose_thresholds(truth, probabilities, miss_cost)
    table = decisions.threshold_table(truth, probabilities, chosen, miss_cost)
    return table.rename_axis(f"{found.label} = {found.classes[place]}")
