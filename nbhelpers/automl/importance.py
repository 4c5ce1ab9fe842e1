"""Which columns of the table a model relies on."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from nbhelpers.automl.data import TrainingData
from nbhelpers.automl.pipelines import Candidate, steps_of
from nbhelpers.automl.training import fitted, predicted, score

#: Rows that importance is measured on at most, and how often each column is shuffled if there is time.
ROWS, REPEATS = 2000, 3


def permutation_importance(
    data: TrainingData, candidate: Candidate, columns: dict[str, list[int]], repeats: int = REPEATS
) -> list[dict[str, Any]]:
    """How much worse a candidate predicts rows that it was not trained on when a column is shuffled among them.

    It is trained on the first split and judged on the rows that this leaves out: on rows of its own training a model
    seems to rely on whatever it has learned by heart. (Breiman 2001, "Random forests", section 10.)

    Parameters
    ----------
    data : TrainingData
    candidate : Candidate
    columns : dict of str to list of int
        For each column of the table, the columns of ``data.matrix`` that were made of it.
    repeats : int
        How often each column is shuffled.

    Returns
    -------
    list of dict
        ``column``; ``importance``, the mean decrease of the primary metric (increase of an error); and
        ``std``, its standard deviation over the shuffles. The most important column first; none where the metric cannot
        be computed on those rows.
    """
    split, rng = data.splits[0], np.random.default_rng(0)
    rows = np.sort(rng.permutation(split.valid)[:ROWS])
    model = fitted(data, Pipeline(steps_of(candidate, data)), split.train, data.target)

    def value(matrix: Any) -> float:
        return data.sign * score(data, predicted(data, model, matrix), rows)[0][data.primary_metric]

    whole = data.matrix[rows]
    base, found = value(whole), []
    if np.isnan(base):  # as of a fold with a single class
        return []
    for name, positions in columns.items():
        drops = []
        for _ in range(repeats):
            shuffled = whole.copy()
            shuffled[:, positions] = whole[rng.permutation(len(rows))][:, positions]
            drops.append(base - value(shuffled))
        found.append({"column": name, "importance": float(np.mean(drops)), "std": float(np.std(drops))})
    return sorted(found, key=lambda entry: -entry["importance"])
