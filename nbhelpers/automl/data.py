"""Checks of the training table, and the arrays that a search works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nbhelpers.automl.columns import LARGEST, kind_of, read, strings
from nbhelpers.automl.featurize import DataTransformer
from nbhelpers.automl.folds import assign_folds, count_folds
from nbhelpers.automl.settings import Settings
from nbhelpers.errors import DataError

#: Fewer rows than this say nothing about a model.
_LEAST_ROWS = 20


@dataclass(frozen=True)
class TrainingData:
    """What every task of a search needs; plain arrays, so that it can be sent to other processes.

    Attributes
    ----------
    matrix : (n, width) array of float
        What the `DataTransformer` made of the training table.
    target : (n,) array
        Class numbers of a classification, values of a regression.
    labels : (n,) array
        The target as the user gave it; numbers with fractions, which scikit-learn takes for no classes, as text.
    classes : (C,) array or None
        The sorted labels of a classification.
    folds : (n,) array of int
        The fold in which a row is scored.
    categorical : list of int
        Columns of the matrix that hold categories.
    primary_metric : str
    threads : int
        Threads of each task.
    """

    matrix: npt.NDArray[np.float64]
    target: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    classes: npt.NDArray[Any] | None
    folds: npt.NDArray[np.int64]
    categorical: list[int]
    primary_metric: str
    threads: int

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.folds.max()) + 1

    @property
    def y_range(self) -> tuple[float, float]:
        """Least and greatest target of a regression."""
        return float(self.target.min()), float(self.target.max())


def prepare(X: pd.DataFrame, y: pd.Series[Any], settings: Settings) -> tuple[DataTransformer, TrainingData]:
    """Check a training table, decide its featurization and draw the folds.

    Raises
    ------
    DataError
        The table or the label cannot be learned from; the message says why.
    """
    if not isinstance(y, pd.Series):
        raise DataError(f"A {type(y).__name__} is not a label column.", "Give a pandas Series.")
    if len(X) != len(y):
        raise DataError(f"The table has {len(X):,} rows and the label {len(y):,}.", "Give one label for each row.")
    labeled = has_label(y)
    if not labeled.all() and not settings.exclude_nan_labels:
        raise DataError(
            f"The label {y.name!r} is missing in {(~labeled).sum():,} rows.",
            "Fill in or drop these rows, or set exclude_nan_labels=True to leave them out.",
        )
    X, y = X[labeled], y[labeled]
    labels, classes, target = read_label(y, settings.task)
    if len(X) < 2 * (settings.n_cross_validations or 0):
        raise DataError(
            f"n_cross_validations={settings.n_cross_validations} is too many folds for {len(X):,} rows with a label.",
            f"Give at most {len(X) // 2}, so that each fold has two rows.",
        )
    transformer = DataTransformer(settings.featurization)
    matrix = transformer.fit_transform(X)
    n_folds = settings.n_cross_validations or count_folds(len(X))
    data = TrainingData(
        matrix=matrix,
        target=target,
        labels=labels,
        classes=classes,
        folds=assign_folds(np.zeros(len(y)) if classes is None else target, n_folds, settings.seed),
        categorical=transformer.categorical_,
        primary_metric=settings.primary_metric,
        threads=settings.max_cores_per_iteration,
    )
    return transformer, data


def has_label(y: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """The rows whose label is there; a blank text is none."""
    textual = y.dtype == object or isinstance(y.dtype, pd.StringDtype | pd.CategoricalDtype)
    return (strings(y) if textual else y).notna().to_numpy(dtype=bool)


def read_label(y: pd.Series[Any], task: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None, npt.NDArray[Any]]:
    """What `TrainingData` calls labels, classes and target, of a label without gaps.

    Raises
    ------
    DataError
        The label cannot be learned; the message says why.
    """
    if y.empty:
        raise DataError(f"The label {y.name!r} is missing in every row.", "Choose another label column.")
    if len(y) < _LEAST_ROWS:
        raise DataError(
            f"There are {len(y):,} rows with a label to train on, which is too few to train and judge a model.",
            f"Give at least {_LEAST_ROWS} of them.",
        )
    if kind_of(y) == "datetime" and (task == "regression" or y.nunique() > len(y) / 2):
        raise DataError(
            f"The label {y.name!r} holds points in time, which cannot be predicted.",
            "Choose another label, or make a number of it, such as the days since the first date.",
        )
    if task == "classification":
        return _classes(y)
    values = _values(y)
    return values, None, values


def _classes(y: pd.Series[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """The labels as a plain array, the sorted classes, and the class number of each row."""
    kind = pd.api.types.infer_dtype(y)
    labels: npt.NDArray[Any]
    if pd.api.types.is_bool_dtype(y.dtype) or kind == "boolean":
        labels = y.to_numpy(dtype=bool)
    elif pd.api.types.is_numeric_dtype(y.dtype) or kind in ("integer", "floating", "mixed-integer-float"):
        numbers = pd.to_numeric(y)
        # Whole numbers become floats where a label is missing; a reader expects to get whole ones back.
        whole = bool(((numbers % 1 == 0) & (numbers.abs() < 2**63)).all())
        labels = numbers.to_numpy(dtype=np.int64) if whole else strings(numbers).to_numpy(dtype=str)
    else:
        labels = strings(y).to_numpy(dtype=str)
    classes, target, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise DataError(
            f"The label {y.name!r} has the single value {classes[0]!s}, so there is nothing to tell apart.",
            "Choose another label column, or add rows of another class.",
        )
    if len(classes) > len(y) / 2:
        problem = f"The label {y.name!r} has {len(classes):,} different values in {len(y):,} rows"
        if kind_of(y) == "number":
            raise DataError(
                f"{problem}.", "Use task='regression' for a quantity, or choose a label with values that repeat."
            )
        text = next(value for value in labels if pd.isna(pd.to_numeric(value, errors="coerce")))
        raise DataError(
            f"{problem}; as text, since {str(text)!r} is no number.",
            "Choose a label with values that repeat; for a quantity, correct what is no number, or leave it empty.",
        )
    if np.sort(counts)[-2] < 2:
        raise DataError(
            f"All rows but a few have the label {classes[counts.argmax()]!s}; every other class has a single row, "
            "which cannot be trained on and scored at the same time.",
            "Add rows of the other classes: at least two of one of them.",
        )
    return labels, classes, target


def _values(y: pd.Series[Any]) -> npt.NDArray[Any]:
    """The values of a regression's label."""
    try:
        values = read(y, "number")
    except DataError as error:
        raise DataError(
            f"The label {y.name!r} cannot be predicted as a quantity: {error.problem}",
            "Correct what is no number, or leave it empty; or use task='classification', or another label.",
        ) from None
    if np.isnan(values).any():
        raise DataError(f"The label {y.name!r} holds an infinite value.", "Correct or drop these rows.")
    if np.abs(values).max() >= LARGEST:
        raise DataError(
            f"The label {y.name!r} holds numbers beyond {LARGEST:g}, which models cannot compute with.",
            "Give it in a larger unit, or its logarithm.",
        )
    if values.min() == values.max():
        raise DataError(
            f"The label {y.name!r} is {values[0]:g} in every row, so there is nothing to predict.",
            "Choose another label column.",
        )
    return values
