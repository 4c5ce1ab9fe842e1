"""Which rows go where: folds, the split into training and test rows, and what kind of task a label is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nbhelpers.errors import DataError

#: A whole-numbered label with more different values than this is taken as a quantity.
_MOST_CLASSES = 20


def infer_task(label: pd.Series[Any]) -> str:
    """The task that a label suggests.

    Numbers with fractions, with more than 20 different values, or with another value in most rows make a
    "regression", anything else a "classification".
    """
    values = label.dropna()
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return "classification"
    numbers = values.to_numpy(dtype=float)
    whole = bool((numbers == np.floor(numbers)).all())
    return "classification" if whole and values.nunique() <= min(_MOST_CLASSES, len(values) / 2) else "regression"


def assign_folds(strata: npt.ArrayLike, n_folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each row: folds differ by at most one row, in all and nearly so within each stratum.

    Unlike scikit-learn's StratifiedKFold it has no complaint about a stratum with fewer rows than folds.

    Parameters
    ----------
    strata : (n,) array
        What to spread evenly over the folds, such as class numbers; zeros for no stratification.
    n_folds, seed : int

    Returns
    -------
    (n,) array of int from 0 to ``n_folds`` - 1
    """
    strata = np.asarray(strata)
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    folds = np.empty(len(strata), dtype=np.int64)
    folds[by_stratum] = np.arange(len(strata)) % n_folds
    return folds


def stratified_split(
    frame: pd.DataFrame, label: str, test_size: float, seed: int, task: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into a training and a test frame, each in the original order.

    Parameters
    ----------
    frame : DataFrame
    label : str
        Name of the label column. If `task` is "classification", its classes are spread evenly, as far as they have
        rows enough; a class with a single row is in the training frame, as a test of what was never seen says nothing.
    test_size : float
        Share of the rows in the test frame.
    seed : int
    task : str

    Raises
    ------
    DataError
        There is no such column, or a side of the split would have no rows.
    """
    from sklearn.model_selection import train_test_split

    if label not in frame.columns:
        raise DataError(f"There is no column {label!r}.", f"Use one of {', '.join(map(repr, frame.columns))}.")
    rows = np.arange(len(frame))
    if not 0 < test_size < 1 or len(rows) < 2:
        raise DataError(
            f"test_size={test_size!r} of {len(rows):,} rows leaves a side of the split empty.",
            "Give a share between 0 and 1, and at least two rows.",
        )
    n_test = min(math.ceil(test_size * len(rows)), len(rows) - 1)
    if task != "classification":
        _, test = train_test_split(rows, test_size=n_test, random_state=seed)
    else:
        classes, _ = pd.factorize(frame[label], use_na_sentinel=False)
        several = rows[np.bincount(classes)[classes] > 1]
        try:
            _, test = train_test_split(several, test_size=n_test, random_state=seed, stratify=classes[several])
        except ValueError:  # one side has fewer rows than there are classes
            _, first = np.unique(classes, return_index=True)
            test = np.random.default_rng(seed).permutation(np.setdiff1d(rows, first))[:n_test]
    if not 0 < len(test) < len(rows):
        raise DataError(
            f"The label {label!r} has another value in each row, so there is no class to train and to test on.",
            "Choose another label, or task='regression' for a quantity.",
        )
    test = np.sort(test)
    return frame.iloc[np.setdiff1d(rows, test)], frame.iloc[test]
