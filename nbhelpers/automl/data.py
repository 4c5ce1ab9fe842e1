"""Checks of the training table, and the arrays that a search works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nbhelpers.automl.featurize import DataTransformer
from nbhelpers.automl.labels import find_class, has_label, read_label, read_more_labels
from nbhelpers.automl.settings import Settings, check_settings
from nbhelpers.automl.validation import Split, splits_of
from nbhelpers.errors import DataError, nearest
from nbhelpers.metrics import greater_is_better


@dataclass(frozen=True)
class TrainingData:
    """What every task of a search needs; plain arrays, so that it can be sent to other processes.

    Attributes
    ----------
    matrix : (n, width) array of float
        What the `DataTransformer` made of the training table, and below it of given validation data.
    target : (n,) array
        Class numbers of a classification, values of a regression.
    labels : (n,) array
        The target as the user gave it; numbers with fractions, which scikit-learn takes for no classes, as text.
    classes : (C,) array or None
        The sorted labels of a classification.
    splits : list of Split
        Rows to train on and to judge by, once for each fold.
    final : (…,) array of int
        The rows that the final model is fitted to: all but given validation data.
    positions : (n,) array of int
        Where each row was in the training table; those of given validation data are counted on from its end.
    categorical : list of int
        Columns of the matrix that hold categories.
    primary_metric : str
    threads : int
        Threads of each task.
    weights : (n,) array or None
        How much each row counts, in training and in metrics; 1 in the mean.
    positive_label : one of `classes`, or None
        The class that has metrics of its own.
    automatic : bool
        Whether the engine chose the splits, as the user did not.
    """

    matrix: npt.NDArray[np.float64]
    target: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    classes: npt.NDArray[Any] | None
    splits: list[Split]
    final: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    categorical: list[int]
    primary_metric: str
    threads: int
    weights: npt.NDArray[np.float64] | None = None
    positive_label: Any = None
    automatic: bool = False

    @property
    def sign(self) -> int:
        """1 if a greater value of the primary metric is better, -1 if a smaller one is."""
        return 1 if greater_is_better(self.primary_metric) else -1

    @property
    def scored(self) -> npt.NDArray[np.int64]:
        """The rows that are judged, fold by fold: what the predictions of a `Child` are in the order of."""
        return np.concatenate([split.valid for split in self.splits])

    @property
    def parts(self) -> npt.NDArray[np.int64]:
        """The fold of each of the `scored` rows."""
        return np.repeat(np.arange(len(self.splits)), [len(split.valid) for split in self.splits])

    @property
    def n_predictions(self) -> int:
        """How many numbers a model predicts for the scored rows: values, or probabilities of each class."""
        return len(self.scored) * (1 if self.classes is None else len(self.classes))

    @property
    def searched(self) -> int:
        """The number of rows that the splits are made of: all, or a sample of them."""
        return len(self.splits[0].train) + len(self.splits[0].valid)

    @property
    def y_range(self) -> tuple[float, float]:
        """Least and greatest target of a regression."""
        return float(self.target.min()), float(self.target.max())


def prepare(
    X: pd.DataFrame,
    y: pd.Series[Any],
    settings: Settings,
    validation: tuple[pd.DataFrame, pd.Series[Any]] | None = None,
) -> tuple[DataTransformer, TrainingData]:
    """Check a training table, decide its featurization and split its rows.

    Parameters are those of `nbhelpers.automl.engine.search`.

    Raises
    ------
    ConfigException
        There is validation data, and a setting asks for another validation.
    DataError
        The table, the label, a column that a setting names or the validation data cannot be used; the message says why.
    """
    if validation is not None:
        fields = {name: value for name, value in settings.to_dict().items() if name != "task"}
        check_settings(settings.task, fields, validation_data=True)
    table = _read(X, y, settings)
    labels, classes, target = read_label(table.label, settings.task)
    positive = None
    if classes is not None and settings.positive_label is not None:
        positive = find_class(settings.positive_label, classes)
    transformer = DataTransformer(settings.featurization)
    matrix = transformer.fit_transform(table.features)
    n_train, weights, positions = len(target), table.weights, table.positions
    if validation is not None:
        try:
            more = _read(*validation, settings)
            if more.label.empty:
                raise DataError("No row of it has a label.", "Give rows whose label is known.")
            more_labels, more_target = read_more_labels(more.label, classes)
            matrix = np.concatenate([matrix, transformer.transform(more.features)])
        except DataError as error:
            raise DataError(f"The validation data cannot be used. {error.problem}", error.remedy) from None
        labels, target = np.concatenate([labels, more_labels]), np.concatenate([target, more_target])
        positions = np.concatenate([positions, len(X) + more.positions])
        if weights is not None and more.weights is not None:
            weights = np.concatenate([weights, more.weights])
    strata = np.zeros(len(target), dtype=np.int64) if classes is None else target
    splits = splits_of(settings, strata, table.marks, len(target) - n_train, matrix.shape[1])
    if classes is not None:
        _refuse_single_class(splits, target, classes)
    ways = validation, settings.n_cross_validations, settings.validation_size, settings.cv_split_column_names
    data = TrainingData(
        matrix=matrix,
        target=target,
        labels=labels,
        classes=classes,
        splits=splits,
        final=np.arange(n_train),
        positions=positions,
        categorical=transformer.categorical_,
        primary_metric=settings.primary_metric,
        threads=settings.max_cores_per_iteration,
        weights=None if weights is None else _with_mean_one(weights),
        positive_label=positive,
        automatic=all(way is None for way in ways),
    )
    return transformer, data


@dataclass(frozen=True)
class _Table:
    """The rows of a table that count, which have a label and a weight above 0.

    Attributes
    ----------
    features : DataFrame of n rows
    label : Series of length n
    positions : (n,) array of int
        Of the rows in the table.
    weights : (n,) array or None
    marks : (n, number of ``cv_split_column_names``) array of bool, or None
        Where each split trains.
    """

    features: pd.DataFrame
    label: pd.Series[Any]
    positions: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64] | None
    marks: npt.NDArray[np.bool_] | None


def _read(X: pd.DataFrame, y: pd.Series[Any], settings: Settings) -> _Table:
    """Read what the label and the columns that settings name say of a table."""
    if not isinstance(X, pd.DataFrame):
        raise DataError(f"A {type(X).__name__} is not a table with named columns.", "Give a pandas DataFrame.")
    if not isinstance(y, pd.Series):
        raise DataError(f"A {type(y).__name__} is not a label column.", "Give a pandas Series.")
    if len(X) != len(y):
        raise DataError(f"The table has {len(X):,} rows and the label {len(y):,}.", "Give one label for each row.")
    kept = has_label(y)
    if not kept.all() and not settings.exclude_nan_labels:
        raise DataError(
            f"The label {y.name!r} is missing in {(~kept).sum():,} rows.",
            "Fill in or drop these rows, or set exclude_nan_labels=True to leave them out.",
        )
    weights = marks = None
    if settings.weight_column_name is not None:
        weights = _weights(_column(X, y, "weight_column_name", settings.weight_column_name), kept)
        kept = kept & (weights > 0)
        weights = weights[kept]
    names = settings.cv_split_column_names or ()
    if names:
        marks = np.column_stack([_marks(_column(X, y, "cv_split_column_names", name)[kept]) for name in names])
    features = X.loc[:, [str(name) not in (settings.weight_column_name, *names) for name in X.columns]]
    if not kept.all():
        features, y = features[kept], y[kept]
    return _Table(features, y, np.flatnonzero(kept), weights, marks)


def _column(X: pd.DataFrame, y: pd.Series[Any], setting: str, name: str) -> pd.Series[Any]:
    """The column that a setting names."""
    names = [str(column) for column in X.columns]
    if name.lower() == str(y.name).lower():
        raise DataError(f"{setting} names {name!r}, which is the label.", "Name another column.")
    if name not in names:
        near = nearest(name, names)
        hint = f"Did you mean {near!r}?" if near else f"It has: {', '.join(names[:30])}."
        raise DataError(f"{setting} names {name!r}, which is no column of the table.", hint)
    return X.iloc[:, names.index(name)]


def _weights(column: pd.Series[Any], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The weight of each row; 0 for those that are not kept."""
    weights = np.where(kept, _numbers(column), 0)
    if (wrong := ~np.isfinite(weights) | (weights < 0)).any():
        problem = f"{column[wrong].tolist()[0]!r} is no weight ({wrong.sum():,} such rows)"
    elif kept.any() and not weights.any():
        problem = "all weights are 0, so that no row counts"
    else:
        return weights
    raise DataError(
        f"weight_column_name={column.name!r}: {problem}.",
        "Give each row with a label a number that is not negative, and some rows one above 0.",
    )


def _with_mean_one(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shares = weights / weights.max()  # the sum of huge weights would be infinite
    return np.asarray(shares / shares.mean())


def _numbers(column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """The numbers in a column, also those given as text; NaN for what is none, such as a point in time."""
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))


def _marks(column: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """The rows that a split trains on."""
    numbers = _numbers(column)
    if (wrong := ~np.isin(numbers, (0, 1))).any():
        raise DataError(
            f"cv_split_column_names: {column[wrong].tolist()[0]!r} in the column {column.name!r} is neither 1 nor 0 "
            f"({wrong.sum():,} such rows).",
            "Give 1 for a row to train on, and 0 for one to judge models by.",
        )
    return np.asarray(numbers == 1)


def _refuse_single_class(splits: list[Split], target: npt.NDArray[Any], classes: npt.NDArray[Any]) -> None:
    """Refuse rows that teach no model to tell classes apart, and rows on which all models look alike."""
    judged = np.concatenate([split.valid for split in splits])
    for rows, what in [(judged, "judge models by"), *((split.train, "train on") for split in splits)]:
        if target[rows].min() == target[rows].max():
            raise DataError(
                f"All {len(rows):,} rows to {what} have the label {classes[target[rows[0]]].item()!r}.",
                "Split the rows so that there are two labels or more on each side.",
            )
