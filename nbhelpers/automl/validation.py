"""On which rows models are trained and on which they are judged.

If the user chooses no way, there are 10 folds below 1,000 rows and 3 below 20,000; from there on a tenth of the rows is
held out. Tables of fewer than 40 rows have fewer folds, of four rows at least. Azure ML also takes a hold-out where a
class has fewer rows than there are folds. That is not done here: folds cope with a rare class, and a hold-out of some
hundred rows judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nbhelpers.automl.folds import assign_folds
from nbhelpers.automl.settings import Settings
from nbhelpers.errors import DataError

_Rows = npt.NDArray[np.int64]

#: Searches train on a sample of the rows above so many numbers in the matrix, or so many rows.
SEARCH_CELLS = 20_000_000
SEARCH_ROWS = 100_000
#: However wide the table is, the sample has so many rows, and so many of each stratum, where there are as many.
_LEAST_SAMPLED, _LEAST_OF_STRATUM = 5_000, 20

#: The automatic choice: Azure ML's numbers.
_MOST_FOR_TEN_FOLDS, _MOST_FOR_FOLDS = 999, 19_999
_SHARE, _SEED = 0.1, 42
#: Rows of a fold, in tables so small that ten folds would have fewer.
_LEAST_OF_FOLD = 4


@dataclass(frozen=True)
class Split:
    """Rows to train on, and rows to judge by.

    Attributes
    ----------
    train, valid : (…,) arrays of int
        Positions of rows, ascending; no row is in both.
    """

    train: _Rows
    valid: _Rows


def splits_of(
    settings: Settings, strata: npt.NDArray[np.int64], marks: npt.NDArray[np.bool_] | None, n_valid: int, width: int
) -> list[Split]:
    """The splits that the settings ask for, of a sample of the rows where there are many.

    Parameters
    ----------
    settings : Settings
    strata : (n,) array of int
        What to spread evenly over both sides of each split, such as class numbers; zeros for nothing.
    marks : (n, number of ``cv_split_column_names``) array or None
        Where each split trains.
    n_valid : int
        The last so many rows are given validation data.
    width : int
        Numbers in each row of the matrix.

    Raises
    ------
    DataError
        A side of a split would have no rows, or a fold fewer than two.
    """
    n_rows = len(strata)
    most = n_rows
    if settings.enable_subsampling is not False:
        most = max(_LEAST_SAMPLED, min(SEARCH_ROWS, SEARCH_CELLS // width))
    if n_valid:
        train, valid = sample(strata[:-n_valid], most, settings.seed), sample(strata[-n_valid:], most, settings.seed)
        return [Split(train, n_rows - n_valid + valid)]
    apart = strata
    for mark in () if marks is None else marks.T:
        apart = np.unique(2 * apart + mark, return_inverse=True)[1]
    rows = sample(apart, most, settings.seed)
    splits = _chosen(settings, strata[rows], None if marks is None else marks[rows])
    return [Split(rows[split.train], rows[split.valid]) for split in splits]


def _chosen(settings: Settings, strata: npt.NDArray[np.int64], marks: npt.NDArray[np.bool_] | None) -> list[Split]:
    n_rows, n_folds, share = len(strata), settings.n_cross_validations, settings.validation_size
    if marks is not None:
        splits = [Split(np.flatnonzero(mark), np.flatnonzero(~mark)) for mark in marks.T]
        reasons = [f"The column {name!r} of cv_split_column_names" for name in settings.cv_split_column_names or ()]
    elif share is not None:
        splits = [hold_out(strata, share, [settings.seed, number]) for number in range(n_folds or 1)]
        reasons = [f"validation_size={share} of {n_rows:,} rows"] * len(splits)
    elif n_folds is None and n_rows > _MOST_FOR_FOLDS:
        return [hold_out(strata, _SHARE, _SEED)]
    else:
        usual = 10 if n_rows <= _MOST_FOR_TEN_FOLDS else 3
        return cross_validation(strata, n_folds or min(usual, n_rows // _LEAST_OF_FOLD), settings.seed)
    for split, reason in zip(splits, reasons, strict=True):
        if not len(split.train) or not len(split.valid):
            raise DataError(
                f"{reason} leaves no row to {'judge models by' if len(split.train) else 'train on'}.",
                "Give each side of a split some rows.",
            )
    return splits


def cross_validation(strata: npt.NDArray[np.int64], n_folds: int, seed: int) -> list[Split]:
    """Each row is judged once, by a model trained on the rows of all folds but its own.

    Parameters
    ----------
    strata : (n,) array of int
        What to spread evenly over the folds.
    n_folds, seed : int

    Raises
    ------
    DataError
        A fold would have fewer than two rows.
    """
    if len(strata) < 2 * n_folds:
        raise DataError(
            f"n_cross_validations={n_folds} is too many folds for {len(strata):,} rows with a label.",
            f"Give at most {len(strata) // 2}, so that each fold has two rows.",
        )
    folds = assign_folds(strata, n_folds, seed)
    return [Split(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(n_folds)]


def hold_out(strata: npt.NDArray[np.int64], share: float, seed: int | Sequence[int]) -> Split:
    """A random share of the rows of each stratum to judge by, and the others to train on.

    A stratum is not held out whole, as a model could not know of it.
    """
    out = np.zeros(len(strata), dtype=bool)
    out[_drawn(strata, round(share * len(strata)), seed)] = True
    out &= np.isin(strata, strata[~out])
    return Split(np.flatnonzero(~out), np.flatnonzero(out))


def sample(strata: npt.NDArray[np.int64], most: int, seed: int) -> _Rows:
    """About so many random rows: of each stratum its share, but at least twenty or all; ascending."""
    return np.arange(len(strata)) if len(strata) <= most else _drawn(strata, most, seed, _LEAST_OF_STRATUM)


def _drawn(strata: npt.NDArray[np.int64], number: int, seed: int | Sequence[int], least: int = 0) -> _Rows:
    """So many random rows, of each stratum its share, or more if that is less than so many of it; ascending."""
    rng, n_rows = np.random.default_rng(seed), len(strata)
    shuffled = rng.permutation(n_rows)
    ordered = shuffled[np.argsort(strata[shuffled], kind="stable")]
    _, first, of = np.unique(strata[ordered], return_index=True, return_inverse=True)
    evenly = ((np.arange(number) + rng.random()) * (n_rows / max(number, 1))).astype(np.int64)
    wanted = np.maximum(np.bincount(of[evenly], minlength=len(first)), least)
    return np.sort(ordered[np.arange(n_rows) - first[of] < wanted[of]])
