"""Scores of predictions, and bootstrap intervals of the difference between two systems."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics as sk

from nbhelpers.metrics import classification_metrics

#: By task, the score that ranks systems (the lower the better), and the others.
RANKING = {"classification": "log_loss", "regression": "normalized_root_mean_squared_error"}
SCORES = {
    "classification": ("AUC_weighted", "log_loss", "accuracy", "balanced_accuracy", "average_precision_score_weighted"),
    "regression": ("rmse", "normalized_root_mean_squared_error", "r2", "mae"),
}
#: The scores whose differences are given intervals.
COMPARED = {"classification": ("log_loss", "AUC_weighted"), "regression": ("normalized_root_mean_squared_error",)}
RESAMPLES = 2000

#: What `systems.py` keeps: ``labels`` (or values), and ``probabilities`` of ``classes`` for a classification.
Predictions = Mapping[str, npt.NDArray[Any]]


class Truth:
    """The label of the test rows.

    Parameters
    ----------
    train, test : Path
        CSV files. The training rows give the range that errors are divided by.
    label : str
    task : "classification" or "regression"
    """

    def __init__(self, train: Path, test: Path, label: str, task: str) -> None:
        self.task = task
        known, self.labels = (pd.read_csv(file)[label].to_numpy() for file in (train, test))
        self.range = float(np.ptp(known)) if task == "regression" else math.nan
        if task == "classification":
            self.labels = self.labels.astype(str)

    def scores(self, predicted: Predictions) -> dict[str, float]:
        """The scores of `SCORES`.

        Accuracy and balanced accuracy are those of the labels that the system gives, which need not be the most
        probable ones. The AUC is one against the rest, weighted by the classes' test rows, over the classes there.
        """
        if self.task == "regression":
            rmse = float(sk.root_mean_squared_error(self.labels, predicted["labels"]))
            return {
                "rmse": rmse,
                "normalized_root_mean_squared_error": rmse / self.range,
                "r2": float(sk.r2_score(self.labels, predicted["labels"])),
                "mae": float(sk.mean_absolute_error(self.labels, predicted["labels"])),
            }
        if not set(predicted["labels"]) <= set(predicted["classes"]) or not set(self.labels) & set(
            predicted["classes"]
        ):
            raise ValueError(f"The classes {predicted['classes'].tolist()} are not those of the labels.")
        values = classification_metrics(self.labels, self._columns(predicted), predicted["classes"])
        values["accuracy"] = float(sk.accuracy_score(self.labels, predicted["labels"]))
        values["balanced_accuracy"] = float(
            sk.recall_score(
                self.labels, predicted["labels"], labels=np.unique(self.labels), average="macro", zero_division=0
            )
        )
        return {name: values[name] for name in SCORES["classification"]}

    def intervals(self, ours: Predictions, theirs: Predictions) -> dict[str, tuple[float, float]]:
        """95 % intervals of our score minus theirs, from 2,000 resamples of the test rows, the same for both."""
        generator = np.random.default_rng(0)
        rows = len(self.labels)
        counts = [np.bincount(generator.integers(rows, size=rows), minlength=rows) for _ in range(RESAMPLES)]
        found = {}
        for name in COMPARED[self.task]:
            score = {"log_loss": self._log_loss, "AUC_weighted": self._auc}.get(name, self._normalized_rmse)
            mine, other = score(ours), score(theirs)
            differences = [mine(count) - other(count) for count in counts]
            low, high = np.quantile(differences, [0.025, 0.975])
            found[name] = (float(low), float(high))
        return found

    # Each of these prepares a score, to be computed for how often each row was drawn.

    def _normalized_rmse(self, predicted: Predictions) -> Any:
        squared = (predicted["labels"] - self.labels) ** 2
        return lambda count: np.sqrt(np.average(squared, weights=count)) / self.range

    def _log_loss(self, predicted: Predictions) -> Any:
        chances = np.sum(self._columns(predicted) * (self.labels[:, None] == predicted["classes"]), axis=1)
        losses = -np.log(np.clip(chances, np.finfo(float).eps, 1))
        return lambda count: np.average(losses, weights=count)

    def _auc(self, predicted: Predictions) -> Any:
        columns = self._columns(predicted)
        present = [(c, self.labels == name) for c, name in enumerate(predicted["classes"]) if name in self.labels]
        ranked = [(np.unique(columns[:, c], return_inverse=True)[1], positive) for c, positive in present]

        def auc(count: npt.NDArray[np.intp]) -> float:
            areas, weights = [], []
            for rank, positive in ranked:
                hits = np.bincount(rank, count * positive)
                rest = np.bincount(rank, count * ~positive)
                if not hits.sum() or not rest.sum():
                    continue  # this resample cannot rank the class
                below = np.cumsum(rest) - rest / 2  # ties count half
                areas.append(np.sum(hits * below) / (hits.sum() * rest.sum()))
                weights.append(hits.sum())
            return float(np.average(areas, weights=weights))

        return auc

    @staticmethod
    def _columns(predicted: Predictions) -> npt.NDArray[np.float64]:
        """The probabilities, without what single precision has left of a sum other than 1."""
        chances = predicted["probabilities"]
        columns: npt.NDArray[np.float64] = chances / chances.sum(axis=1, keepdims=True)
        return columns
