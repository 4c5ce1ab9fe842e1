"""When a child is given up before all its folds are trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nbhelpers.automl.pipelines import BOOSTED
from nbhelpers.automl.records import Child

#: A child is behind if its gap to the leader is so many times as wide as such gaps are off by.
_WIDTHS = 5.0
#: So many children say how wide that is, at least.
_LEAST_GAPS = 5
#: Of each algorithm whose models differ from boosted trees, the first so many always go on: ensembles gain by what
#: they alone get right. Without the exception more time is saved, and new rows are predicted worse.
_EXEMPT = 2


def is_behind(scores: Sequence[float], algorithm: str, known: Sequence[Child], sign: int) -> float:
    """How far a child is behind the best one known, if that is too far to go on with it; else 0.

    The gap on the folds so far stands for the gap on all folds. How well it does that is seen at the better half of the
    children that have been trained on all: the gap is measured in standard deviations of the difference between the two
    gaps. (Those of bad children differ by more, and would let others go on that are bad, too.)

    Parameters
    ----------
    scores : sequence of float
        The primary metric on the folds so far.
    algorithm : str
    known : sequence of Child
        Children whose results may be used.
    sign : 1 or -1
        1 if a greater score is better.
    """
    complete = [child for child in known if child.score is not None and not np.isnan(child.fold_scores).any()]
    if algorithm not in BOOSTED and sum(child.algorithm == algorithm for child in known) < _EXEMPT:
        return 0.0
    if len(complete) < _LEAST_GAPS or np.isnan(scores).any():
        return 0.0
    folds = sign * np.array([child.fold_scores for child in complete])
    folds = folds[np.argsort(-folds.mean(axis=1), kind="stable")][: max(_LEAST_GAPS, len(folds) // 2)]
    leader, n_done = folds[0], len(scores)
    off = (leader - folds)[:, :n_done].mean(axis=1) - (leader - folds).mean(axis=1)
    width = float(np.sqrt((off**2).sum() / (len(folds) - 1)))
    gap = float((leader[:n_done] - sign * np.asarray(scores)).mean())
    return gap if gap > _WIDTHS * width else 0.0
