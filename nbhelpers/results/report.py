"""What a test of the best model found, as tables, pictures and checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nbhelpers.errors import UserErrorException
from nbhelpers.results import charts, checks, decisions, slicing
from nbhelpers.results.frames import SentenceFrame
from nbhelpers.results.models import Array, BestModel
from nbhelpers.results.permutation import permutation_importance
from nbhelpers.results.runs import settings
from nbhelpers.results.validation import Judged


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
        By metric (the primary one first): ``validation`` (mean over the folds, or of the hold-out), ``test``,
        ``gap``: by how much the test is worse, whichever direction is better (below zero it is better), ``allowed``:
        by how much it may be (see `nbhelpers.results.checks.allowed_gap`), and ``flag``: "worse" where it is by more.
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
    _rows: Array = field(repr=False)
    _overlap: checks.Check = field(repr=False)
    _trained_importance: pd.DataFrame = field(repr=False)
    _validation: Judged | None = field(repr=False)
    _not_known: str = field(repr=False)
    _importances: dict[tuple[int, int | None, int], pd.DataFrame] = field(default_factory=dict, repr=False)

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
        errors = decisions.calibration_errors(self._truth, self._output)
        words = (f"{name.replace('_', ' ')} {error:.4f}" for name, error in errors.items())
        measures = ", ".join(words).replace("brier", "Brier")
        return charts.draw_calibration(self._truth, self._output, self.classes, measures)

    def calibration(self) -> pd.DataFrame:
        """How far probabilities, or predicted values, are from what is found, on test rows and in validation.

        Returns
        -------
        DataFrame
            By measure: see `nbhelpers.results.decisions.calibration_errors`.
        """
        known = self._validation
        parts = {"validation": decisions.calibration_errors(known.truth, known.output)} if known else {}
        table = SentenceFrame(parts | {"test": decisions.calibration_errors(self._truth, self._output)})
        return table.rename_axis("measure")

    def slices(self, column: str | None = None, top: int = 10) -> pd.DataFrame:
        """How well the model does in groups of the test rows, surely bad ones first.

        Parameters
        ----------
        column : str, optional
            The column whose values make the groups; default: each column in turn.
        top : int
            Number of groups.

        Returns
        -------
        DataFrame
            See `nbhelpers.results.slicing.slice_table`.
        """
        return slicing.slice_table(self._features, self._truth, self._output, column, top)

    def decisions(self, miss_cost: float = 5.0) -> pd.DataFrame:
        """What follows when someone acts on the model: `thresholds`, or for regression `error_limits`."""
        return self.error_limits() if self.classes is None else self.thresholds(miss_cost)

    def thresholds(self, miss_cost: float = 5.0, positive: Any = None) -> pd.DataFrame:
        """From which probability on to call a row positive (classification), by four rules.

        The thresholds are chosen in validation, on the out-of-fold predictions of the training rows, where the run has
        stored them: what they lead to on the test rows is then an honest estimate. Else they are chosen on the test
        rows, and other rows will do a little worse by them.

        Parameters
        ----------
        miss_cost : float
            What a missed positive row costs, as a multiple of what a false alarm costs.
        positive : label, optional
            The class that is looked for; default: the positive label of the run, else the second of two, else the
            rarest one with ten of the rows that they are chosen on (where none has so many, the second most frequent).

        Returns
        -------
        DataFrame
            By rule (0.5, the best F1, the best balanced accuracy, the least cost) and rows (validation, test): see
            `nbhelpers.results.decisions.threshold_table`.
        """
        if self.classes is None:
            raise UserErrorException("thresholds are for classification.", "use error_limits.")
        known = self._validation
        if positive is None:
            positive = settings(self._best.step).get("positive_label")
        place = decisions.place_of(self.classes, known.truth if known else self._truth, positive)
        parts = {"test": (self._truth == place, self._output[:, place])}
        if known is not None:
            parts = {"validation": (known.truth == place, known.output[:, place]), **parts}
        chosen = decisions.choose_thresholds(*next(iter(parts.values())), miss_cost)
        tables = {rows: decisions.threshold_table(*part, chosen, miss_cost) for rows, part in parts.items()}
        table = pd.concat(tables).swaplevel().reindex(list(chosen), level=0)
        table = SentenceFrame(table.rename_axis([f"{self.label} = {self.classes[place]}", "rows"]))
        table.note = "" if known else f"Chosen on these test rows. {self._not_known}"
        return table

    def error_limits(self) -> pd.DataFrame:
        """How far off predictions are (regression).

        Returns
        -------
        DataFrame
            By share of the test rows (50, 80, 90 and 95 %): the absolute error that they stay within with the model,
            and with always giving the mean of the test rows.
        """
        if self.classes is not None:
            raise UserErrorException("error_limits are for regression.", "use thresholds.")
        return decisions.limits_table(self._truth, self._output)

    def worst(self, n: int = 10, features: int = 6) -> pd.DataFrame:
        """The rows that the model errs most about.

        Parameters
        ----------
        n : int
            Number of rows.
        features : int
            Number of features to show, the most important ones first.

        Returns
        -------
        DataFrame
            Index: the row's place in the test set. Columns: true, predicted, then the probability given to the true
            class (the least one first), or for regression the error, true minus predicted (the greatest first); then
            the features.
        """
        shown = self._features[self.importance()["feature"].head(features)]
        if self.classes is None:
            error = self._truth - self._output
            order = np.argsort(-np.abs(error), kind="stable")[:n]
            facts = {"true": self._truth, "predicted": self._output, "error": error}
        else:
            probability = self._output[np.arange(len(self._truth)), self._truth]
            order = np.argsort(probability, kind="stable")[:n]
            names = np.asarray(self.classes, dtype=object)
            predicted = names[self._output.argmax(axis=1)]
            facts = {"true": names[self._truth], "predicted": predicted, "probability": probability}
        table = SentenceFrame(pd.concat([pd.DataFrame(facts), shown], axis=1)).iloc[order]
        return table.set_axis(pd.Index(self._rows[order], name="row"))

    def importance(self, n_repeats: int = 5, sample: int | None = None, seed: int = 0) -> pd.DataFrame:
        """Permutation importance: by how much the primary metric gets worse when a feature is shuffled.

        Parameters
        ----------
        n_repeats : int
            How often each feature is shuffled. Of more than 20 features each is shuffled once, and only the 20 that
            this shows as the most important ones are shuffled so often.
        sample : int, optional
            Number of test rows to use, drawn at random if there are more; default: 2,000, or with many features or
            classes fewer, but at least 250.
        seed : int

        Returns
        -------
        DataFrame
            feature, importance (mean over the repeats), std (missing after a single shuffle) and in_training, what
            training found (see `nbhelpers.results.importance`; missing where the run does not tell). The most important
            feature on the test rows comes first.
        """
        key = (n_repeats, sample, seed)
        if key not in self._importances:
            table = permutation_importance(self._best, self._features, self._truth, self.primary_metric, *key)
            self._importances[key] = SentenceFrame(table.merge(self._trained_importance, how="left", on="feature"))
        return self._importances[key].copy()

    def plot_importance(self, top: int = 15) -> Figure:
        """The `top` most important features of `importance()`, with their spread and what training found."""
        return charts.draw_importance(self.importance().head(top), self.primary_metric)

    def checks(self) -> pd.DataFrame:
        """Check the test (this project's checks): code, check, status (passed, noticed, not checked), finding."""
        gap = self.comparison["gap"][self.primary_metric]
        missing, rows = self.split["without_label"]["test"], self.split["rows"]["test"]
        found = [
            checks.overfit("NB002", self.primary_metric, gap, self.comparison["allowed"][self.primary_metric]),
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


def count_pairs(truth: Array, probabilities: Array) -> Array:
    """Rows by true (first axis) and predicted class (second axis): shape (C, C)."""
    n_classes = probabilities.shape[1]
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    return counts
