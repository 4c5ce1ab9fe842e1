"""Permutation importance: by how much a metric gets worse when a feature is shuffled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nbhelpers.metrics import greater_is_better
from nbhelpers.results.models import Array, BestModel

#: Rows that the model predicts in one call: many short calls take much longer.
_ROWS_A_CALL = 20_000
#: Of more features only these, the most important ones by a first shuffle, are shuffled again.
_REPEATED = 20
#: Least and most rows if not told, and how many features x classes x rows to stay below.
_LEAST_SAMPLE, _MOST_SAMPLE, _VALUES = 250, 2000, 80_000


def permutation_importance(
    model: BestModel, features: pd.DataFrame, truth: Array, metric: str, n_repeats: int, sample: int | None, seed: int
) -> pd.DataFrame:
    """The importance of each feature; see `TestReport.importance`.

    Parameters
    ----------
    model : BestModel
    features : DataFrame
        n rows.
    truth : (n,) array
        What ``model.truth`` says of their labels.
    metric : str
    n_repeats, sample, seed
        As in `TestReport.importance`.
    """
    rng = np.random.default_rng(seed)
    if sample is None:
        width = features.shape[1] * max(2, len(model.classes or ()))
        sample = min(_MOST_SAMPLE, max(_LEAST_SAMPLE, _VALUES // width))
    y_range = (float(truth.min()), float(truth.max()))
    chosen = np.sort(rng.permutation(len(truth))[:sample])
    features, truth = features.iloc[chosen], truth[chosen]

    def scores(tables: list[pd.DataFrame]) -> list[float]:
        outputs = np.split(model.output(pd.concat(tables)), len(tables))
        return [model.metric(metric, truth, output, y_range) for output in outputs]

    def shuffled(column: int) -> pd.DataFrame:
        table = features.copy()
        table.isetitem(column, features.iloc[rng.permutation(len(features)), column].array)
        return table

    def drops(columns: Array, repeats: int) -> Array:
        """How much worse the metric gets, by column (first axis) and repeat."""
        shuffles = np.repeat(columns, repeats)
        found: list[float] = []
        for some in np.array_split(shuffles, -(-len(shuffles) * len(features) // _ROWS_A_CALL)):
            found += scores([shuffled(column) for column in some])
        return sign * (unshuffled - np.reshape(found, (-1, repeats)))

    sign = 1 if greater_is_better(metric) else -1
    unshuffled = scores([features])[0]
    columns = np.arange(features.shape[1])
    table = pd.DataFrame({"feature": features.columns, "importance": np.nan, "std": np.nan})
    if len(columns) > _REPEATED:
        table["importance"] = drops(columns, 1)[:, 0]
        columns = table["importance"].nlargest(_REPEATED).index.to_numpy()
    found = drops(columns, n_repeats)
    table.loc[columns, "importance"], table.loc[columns, "std"] = found.mean(axis=1), found.std(axis=1)
    return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)
