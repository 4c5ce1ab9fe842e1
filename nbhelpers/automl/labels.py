"""The label of a table: what is there, what it can be learned as, and the labels of further rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nbhelpers.automl.cells import LARGEST, kind_of, read, strings
from nbhelpers.errors import DataError

#: Fewer rows than this say nothing about a model.
_LEAST_ROWS = 10
#: Labels that an error lists at most.
_MOST_LISTED = 20


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
    if values.min() == values.max():
        raise DataError(
            f"The label {y.name!r} is {values[0]:g} in every row, so there is nothing to predict.",
            "Choose another label column.",
        )
    return values, None, values


def read_more_labels(y: pd.Series[Any], classes: npt.NDArray[Any] | None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels and target, as of `read_label`, of further rows without gaps: they need not all occur.

    Raises
    ------
    DataError
        A label is none of the classes, or no number in a regression.
    """
    if classes is None:
        values = _values(y)
        return values, values
    texts = strings(y)
    target = texts.map({str(label): number for number, label in enumerate(classes.tolist())})
    if (unknown := target.isna()).any():
        raise DataError(
            f"The label {y.name!r} is {texts[unknown].iloc[0]!r} in {unknown.sum():,} row(s), which is no label of the "
            "training data.",
            f"Leave these rows out, or correct them: the labels are {_listed(classes)}.",
        )
    numbers = target.to_numpy(dtype=np.int64)
    return classes[numbers], numbers


def find_class(label: Any, classes: npt.NDArray[Any]) -> Any:
    """The class that a label given as a setting stands for, whichever type it has: 1, 1.0 and "1" are the same.

    Raises
    ------
    DataError
        There is none.
    """
    text = strings(pd.Series([label], dtype=object)).iloc[0]
    for known in classes.tolist():
        if known == label or str(known) == text:
            return known
    raise DataError(f"positive_label={label!r} is no label of the data.", f"Use one of {_listed(classes)}.")


def _listed(classes: npt.NDArray[Any]) -> str:
    return ", ".join(map(repr, classes[:_MOST_LISTED].tolist())) + (", …" if len(classes) > _MOST_LISTED else "")


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
        words = labels[pd.isna(pd.to_numeric(pd.Series(labels), errors="coerce"))]
        if not len(words):
            raise DataError(
                f"{problem}.", "Use task='regression' for a quantity, or choose a label with values that repeat."
            )
        raise DataError(
            f"{problem}; as text, since {str(words[0])!r} is no number.",
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
        values = np.asarray(read(y, "number"))
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
    return values
