"""The model of any child of a search, fitted when it is asked for: a search itself fits only the best one's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from nbhelpers.automl.data import prepare
from nbhelpers.automl.pipelines import Candidate
from nbhelpers.automl.records import Child
from nbhelpers.automl.selection import joined
from nbhelpers.automl.settings import Settings
from nbhelpers.automl.training import refit


def fit_child(
    X: pd.DataFrame,
    y: pd.Series[Any],
    settings: Settings,
    child: Child,
    members: Sequence[Child] = (),
    *,
    validation: tuple[pd.DataFrame, pd.Series[Any]] | None = None,
) -> Pipeline:
    """Fit a completed child to all rows, as the search would have done if it had been the best one.

    Parameters
    ----------
    X, y, settings, validation
        As given to the search.
    child : Child
    members : sequence of Child
        Of an ensemble: the children that ``child.weights`` names, with their predictions.

    Returns
    -------
    Pipeline
        It takes a raw data frame.

    Raises
    ------
    DataError
        The table, the label or the validation data cannot be used.
    """
    transformer, data = prepare(X, y, settings, validation)
    parts = list(members) if child.weights else [child]
    fitted = {part.iteration: refit(data, Candidate.of(part)) for part in parts}
    model = joined(child, parts, fitted, transformer, data, settings)
    assert model is not None  # noqa: S101 - its members are fitted
    return model
