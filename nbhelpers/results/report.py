"""What a test of the best model found, as tables, pictures and checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nbhelpers.errors import UserErrorException
from nbhelpers.metrics import greater_is_better
from nbhelpers.results import charts, checks
from nbhelpers.results.models import Array, BestModel

#: Rows that the model predicts in one call for the importances: many short calls take much longer.
_ROWS_A_CALL = 20_000


@dataclass(frozen=True, eq=False)
class TestReport:
    """The best model of a run on test rows; made by `nbhelpers.results.test_report`.

    Attributes
    ----------
    task, label, primary_metric : str
    model_name : str
        Preprocessor and algorithm of the best pipeline.
    classes : list or None
        Sorted labels; None for regression.
    metrics : dict of str to float
        All scalar metrics of the task on the test rows.
    comparison : DataFrame
        By metric (the primary one first): ``validation`` (mean over the folds, or of the hold-out), ``test``, and
        ``gap``: by how much the test is worse, whichever direction is better; below zero it is better.
    confusion : DataFrame or None
        By true class: the rows, and their share of the true class, for each predicted class.
    split : DataFrame
        Training and test: rows, rows without a label, and the share of each class (regression: mean, standard
        deviation, least and greatest label).
    """

    task: str
    label: str
    model_name: str
    classes: list[Any] | None
    primary_metric: str
    metrics: dict[str, float]
    comparison: pd.DataFrame
    confusion: pd.DataFrame | None
    split: pd.DataFrame
    _best: BestModel = field(repr=False)
    _features: pd.DataFrame = field(repr=False)
    _truth: Array = field(repr=False)
    _output: Array = field(repr=False)
    _overlap: checks.Check = field(repr=False)
    _fold_std: float = field(repr=False)
    _importances: dict[tuple[int, int, int], pd.DataFrame] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        line = self.comparison.loc[self.primary_metric]
        rows = len(self._truth)
        return f"{self.primary_metric} on {rows:,} test rows: {line['test']:.4f} (validation {line['validation']:.4f})."

    __repr__ = __str__

    def plot_errors(self) -> Figure:
        """Where the model errs: `plot_confusion_matrix`, or for regression `plot_predictions`."""
        return self.plot_predictions() if self.classes is None else self.plot_confusion_matrix()

    def plot_confusion_matrix(self) -> Figure:
        """Confusion matrix in rows and in shares of the true class (classification)."""
        if self.classes is None:
            raise UserErrorException("plot_confusion_matrix is for classification.", "use plot_predictions.")
        return charts.draw_confusion(count_pairs(self._truth, self._output), self.classes)

    def plot_predictions(self) -> Figure:
        """Predicted against true values, and residuals (regression)."""
        if self.classes is not None:
            raise UserErrorException("plot_predictions is for regression.", "use plot_confusion_matrix.")
        return charts.draw_predictions(self._truth, self._output, self.label)

    def plot_curves(self) -> Figure:
        """ROC and precision-recall curves, with chance and the share of the class as dotted lines.

        For regression: the share of rows whose error is at most so large, with always giving the mean as dotted line.
        """
        if self.classes is None:
            return charts.draw_error_curve(self._truth, self._output, self.label)
        return charts.draw_curves(self._truth, self._output, self.classes)

    def plot_calibration(self) -> Figure:
        """Do probabilities, or for regression values, hold on average over rows that were given like ones."""
        if self.classes is None:
            return charts.draw_value_calibration(self._truth, self._output, self.label)
        return charts.draw_calibration(self._truth, self._output, self.classes)

    def importance(self, n_repeats: int = 5, sample: int = 2000, seed: int = 0) -> pd.DataFrame:
        """Permutation importance: by how much the primary metric gets worse when a feature is shuffled.

        Parameters
        ----------
        n_repeats : int
            How often each feature is shuffled.
        sample : int
            Number of test rows to use, drawn at random if there are more.
        seed : int

        Returns
        -------
        DataFrame
            feature, importance (mean over the repeats) and std, the most important feature first.
        """
        key = (n_repeats, sample, seed)
        if key not in self._importances:
            self._importances[key] = self._permute(*key)
        return self._importances[key].copy()

    def plot_importance(self, top: int = 15) -> Figure:
        """The `top` most important features of `importance()`, with the spread over the repeats."""
        return charts.draw_importance(self.importance().head(top), self.primary_metric)

    def checks(self) -> pd.DataFrame:
        """Check the test (this project's checks): code, check, status (passed, noticed, not checked), finding."""
        gap = self.comparison["gap"][self.primary_metric]
        missing, rows = self.split["without_label"]["test"], self.split["rows"]["test"]
        found = [
            checks.overfit("NB002", self.primary_metric, gap, self._fold_std),
            checks.leakage("NB003", self.importance()),
            self._overlap,
            checks.labelled("NB006", missing, rows),
        ]
        if self.classes is None:
            found.append(checks.baseline("NB005", "r2_score", self.metrics["r2_score"], 0.0))
        else:
            counts = np.bincount(self._truth, minlength=len(self.classes))
            found.append(checks.imbalance("NB001", dict(zip(self.classes, counts.tolist(), strict=True))))
            found.append(checks.baseline("NB005", "accuracy", self.metrics["accuracy"], counts.max() / counts.sum()))
        return checks.check_table(sorted(found, key=lambda check: check.code))

    def _permute(self, n_repeats: int, sample: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.permutation(len(self._truth))[:sample])
        features, truth = self._features.iloc[chosen], self._truth[chosen]
        y_range = (float(self._truth.min()), float(self._truth.max()))

        def scores(tables: list[pd.DataFrame]) -> list[float]:
            outputs = np.split(self._best.output(pd.concat(tables)), len(tables))
            return [self._best.metric(self.primary_metric, truth, output, y_range) for output in outputs]

        def shuffled(column: int) -> pd.DataFrame:
            table = features.copy()
            table.isetitem(column, features.iloc[rng.permutation(len(features)), column].array)
            return table

        columns = np.repeat(np.arange(features.shape[1]), n_repeats)
        found: list[float] = []
        for some in np.array_split(columns, -(-len(columns) * len(features) // _ROWS_A_CALL)):
            found += scores([shuffled(column) for column in some])
        sign = 1 if greater_is_better(self.primary_metric) else -1
        drops = sign * (scores([features])[0] - np.reshape(found, (-1, n_repeats)))
        table = pd.DataFrame({"feature": features.columns, "importance": drops.mean(axis=1), "std": drops.std(axis=1)})
        return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)


def count_pairs(truth: Array, probabilities: Array) -> Array:
    """Rows by true (first axis) and predicted class (second axis): shape (C, C)."""
    n_classes = probabilities.shape[1]
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    return counts
