"""What a test of the best model found, as tables, pictures and checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nbhelpers.errors import UserErrorException
from nbhelpers.metrics import greater_is_better
from nbhelpers.results import charts, checks, decisions
from nbhelpers.results.frames import SentenceFrame
from nbhelpers.results.models import Array, BestModel

#: Rows that the model predicts in one call for the importances: many short calls take much longer.
_ROWS_A_CALL = 20_000
#: Of more features only these, the most important ones by a first shuffle, are shuffled again.
_REPEATED = 20
#: Of several classes, the thresholds are those of one with so many test rows: of fewer, a table says nothing.
_ROWS_FOR_THRESHOLD = 10
#: Least and most test rows for the importances if not told, and how many features x classes x rows to stay below.
_LEAST_SAMPLE, _MOST_SAMPLE, _VALUES = 250, 2000, 80_000


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
        return charts.draw_calibration(self._truth, self._output, self.classes)

    def decisions(self, miss_cost: float = 5.0) -> pd.DataFrame:
        """What follows when someone acts on the model: `thresholds`, or for regression `error_limits`."""
        return self.error_limits() if self.classes is None else self.thresholds(miss_cost)

    def thresholds(self, miss_cost: float = 5.0, positive: Any = None) -> pd.DataFrame:
        """From which probability on to call a row positive (classification), by three rules.

        The thresholds are chosen on the test rows, so other rows will do a little worse by them.

        Parameters
        ----------
        miss_cost : float
            What a missed positive row costs, as a multiple of what a false alarm costs.
        positive : label, optional
            The class that is looked for; default: the second of two, else the rarest one with ten rows in the test
            set (where none has so many, the second most frequent).

        Returns
        -------
        DataFrame
            A row for a threshold of 0.5, the one with the best F1, and the one with the least cost: threshold, alarms
            (rows called positive), precision, recall, f1, misses, false_alarms (rows) and cost (in false alarms).
        """
        if self.classes is None:
            raise UserErrorException("thresholds are for classification.", "use error_limits.")
        if not miss_cost > 0:
            raise UserErrorException(f"A missed row cannot cost {miss_cost!r}.", "give a miss_cost above zero.")
        if positive is None:
            counts = np.bincount(self._truth, minlength=len(self.classes))
            rarest_first = counts.argsort(kind="stable")
            enough = [int(place) for place in rarest_first if counts[place] >= _ROWS_FOR_THRESHOLD]
            place = 1 if len(self.classes) == 2 else (enough or rarest_first.tolist()[-2:])[0]
        elif positive in self.classes:
            place = self.classes.index(positive)
        else:
            known = ", ".join(map(repr, self.classes))
            raise UserErrorException(f"There is no class {positive!r}.", f"use one of {known}.")
        table = decisions.threshold_table(self._truth == place, self._output[:, place], miss_cost)
        return table.rename_axis(f"{self.label} = {self.classes[place]}")

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
            feature, importance (mean over the repeats) and std (missing after a single shuffle), the most important
            feature first.
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

    def _permute(self, n_repeats: int, sample: int | None, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        if sample is None:
            width = self._features.shape[1] * max(2, len(self.classes or ()))
            sample = min(_MOST_SAMPLE, max(_LEAST_SAMPLE, _VALUES // width))
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

        def drops(columns: Array, repeats: int) -> Array:
            """How much worse the metric gets, by column (first axis) and repeat."""
            shuffles = np.repeat(columns, repeats)
            found: list[float] = []
            for some in np.array_split(shuffles, -(-len(shuffles) * len(features) // _ROWS_A_CALL)):
                found += scores([shuffled(column) for column in some])
            return sign * (unshuffled - np.reshape(found, (-1, repeats)))

        sign = 1 if greater_is_better(self.primary_metric) else -1
        unshuffled = scores([features])[0]
        columns = np.arange(features.shape[1])
        table = pd.DataFrame({"feature": features.columns, "importance": np.nan, "std": np.nan})
        if len(columns) > _REPEATED:
            table["importance"] = drops(columns, 1)[:, 0]
            columns = table["importance"].nlargest(_REPEATED).index.to_numpy()
        found = drops(columns, n_repeats)
        table.loc[columns, "importance"], table.loc[columns, "std"] = found.mean(axis=1), found.std(axis=1)
        return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)


def count_pairs(truth: Array, probabilities: Array) -> Array:
    """Rows by true (first axis) and predicted class (second axis): shape (C, C)."""
    n_classes = probabilities.shape[1]
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    return counts
