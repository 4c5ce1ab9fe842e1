"""Pictures of a model on test rows, each from arrays; `TestReport` has the rows and calls them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, ScalarFormatter, StrMethodFormatter
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, PredictionErrorDisplay, RocCurveDisplay

from nbhelpers.metrics import number_text
from nbhelpers.results.style import BARS, BLUE, INK, MUTED, ORANGE, canvas, looks, short

#: With more classes a picture shows only the most frequent ones, or leaves the numbers out.
MAX_CLASSES = 8
#: With more classes a confusion matrix, or bars of classes, show only the most frequent ones.
_MOST_CLASSES = 60
_MOST_BARS = 30
#: The legend of more lines than these would hide some of them: it goes below.
_LINES = 3
_BELOW = {"loc": "upper left", "bbox_to_anchor": (0, -0.15), "fontsize": "small"}


def near(values: np.ndarray | pd.Series[Any]) -> np.ndarray:
    """The values that a picture can show together, as bools: all, or without outliers that would squeeze the others.

    Outliers are farther from the middle nine tenths of the values than these are wide.
    """
    low, high = np.quantile(values, [0.05, 0.95])
    inside = np.asarray((values >= 2 * low - high) & (values <= 2 * high - low))
    if low == high or np.ptp(values) < 1.5 * np.ptp(values[inside]):
        return np.ones(len(values), dtype=bool)
    return inside


def far_note(shown: np.ndarray) -> str:
    """What a title says about the rows that `near` leaves out; empty if there are none."""
    return "" if shown.all() else f"{(~shown).sum():,} of {len(shown):,} rows lie far outside and are not drawn"


def draw_confusion(counts: np.ndarray, classes: list[Any]) -> Figure:
    """Counts and shares of each true class, side by side; `counts` is (C, C), rows true, columns predicted.

    Of many classes only the shares are drawn, as colours.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right, total = int(np.trace(counts)), int(counts.sum())
    alt = f"Confusion matrix of {len(classes)} classes: {right:,} of {total:,} rows ({right / total:.1%}) are right."
    if len(classes) > 2 * MAX_CLASSES:
        return _draw_many_classes(shares, counts.sum(axis=1), classes, alt)
    side = max(4.6, 0.45 * len(classes) + 2.6)
    names = short(classes)
    room = 36 / len(classes)  # letters of a name that fit below a column
    with canvas(alt, columns=2, width=side, height=side - 0.4) as (figure, panels):
        for axes, matrix, form, title in (
            (panels[0], counts, ",d", "Rows of the test set"),
            (panels[1], shares, ".1%", "Share of each true class"),
        ):
            ConfusionMatrixDisplay(matrix, display_labels=names).plot(
                ax=axes, cmap="Blues", values_format=form, colorbar=False
            )
            axes.grid(visible=False)
            axes.set(title=title, xlabel="predicted", ylabel="true")
            if max(map(len, names)) > room or len(classes) > 4:
                axes.tick_params(axis="x", rotation=90)
    return figure


def _draw_many_classes(shares: np.ndarray, rows: np.ndarray, classes: list[Any], alt: str) -> Figure:
    kept = np.sort(np.argsort(-rows, kind="stable")[:_MOST_CLASSES])
    names = short(classes)
    title = "Share of each true class"
    if len(kept) < len(classes):
        title += f", the {len(kept)} most frequent of {len(classes)} classes"
    side = 0.2 * len(kept) + 3
    with canvas(alt, width=side + 1, height=side) as (figure, (axes,)):
        display = ConfusionMatrixDisplay(shares[np.ix_(kept, kept)], display_labels=[names[k] for k in kept])
        display.plot(ax=axes, cmap="Blues", colorbar=False, include_values=False, xticks_rotation="vertical")
        figure.colorbar(display.im_, format=PercentFormatter(1), shrink=0.6)
        axes.grid(visible=False)
        axes.tick_params(labelsize=8)
        axes.set(title=title, xlabel="predicted", ylabel="true")
    return figure


def draw_curves(codes: np.ndarray, probabilities: np.ndarray, classes: list[Any]) -> Figure:
    """ROC and precision-recall curve of the second class, or of each class against the rest.

    Parameters
    ----------
    codes : array of int, shape (n,)
        The true class of each row, as its position in `classes`.
    probabilities : array of float, shape (n, C)
    classes : list
        Sorted labels.
    """
    shown = _shown(codes, classes)
    if not shown:
        return _draw_one_class(codes, classes)
    names = [_legend_name(name) for name in short(classes)]
    styles = looks(names[k] for k in shown)
    below = len(shown) > _LINES
    height = 5.2 + (0.2 * len(shown) if below else 0)
    with canvas("ROC and precision-recall curves.", columns=2, width=5.2, height=height) as (figure, (roc, recall)):
        for k in shown:
            truth, colour = codes == k, styles[names[k]][0]
            line = {"color": colour}
            area = RocCurveDisplay.from_predictions(
                truth, probabilities[:, k], name=names[k], ax=roc, curve_kwargs=line
            ).roc_auc
            name = f"{names[k]}, share {truth.mean():.3f}"
            precision = PrecisionRecallDisplay.from_predictions(
                truth, probabilities[:, k], name=name, ax=recall, curve_kwargs=line
            ).average_precision
            figure.alt += f" {name}: AUC {area:.3f}, average precision {precision:.3f}."
            recall.axhline(truth.mean(), color=colour, linestyle=":", linewidth=1)
        recall.plot([], [], color=MUTED, linestyle=":", label="share of the class (chance)")
        roc.plot([0, 1], [0, 1], linestyle=":", color=MUTED, label="chance (AUC 0.5)")
        roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
        recall.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
        if below:
            roc.legend(**_BELOW)
            recall.legend(**_BELOW)
        else:
            roc.legend(loc="lower right", fontsize="small")
            recall.legend(loc="lower left", fontsize="small", frameon=True, framealpha=0.9)
        figure.suptitle(_subject("Curves", shown, classes), x=0.01, ha="left")
    return figure


def draw_calibration(codes: np.ndarray, probabilities: np.ndarray, classes: list[Any], measures: str) -> Figure:
    """Share of a class among rows with like probability, and how the probabilities are spread.

    The parameters are those of `draw_curves`, and what the title says about how well it is calibrated.
    """
    shown = _shown(codes, classes)
    if not shown:
        return _draw_one_class(codes, classes)
    names = [_legend_name(name) for name in short(classes)]
    styles = looks(names[k] for k in shown)
    title = _subject("Probabilities", shown, classes)
    alt = f"{title}, beside the shares found in the test rows, and their histogram; "
    alt += f"{measures}."
    below = len(shown) > _LINES
    with canvas(alt, columns=2, width=5.6, height=4.8 + (0.2 * len(shown) if below else 0)) as (figure, axes):
        curve, spread = axes
        for k in shown:
            colour, marker = styles[names[k]]
            CalibrationDisplay.from_predictions(
                codes == k,
                probabilities[:, k],
                n_bins=10,
                strategy="quantile",
                name=names[k],
                ax=curve,
                color=colour,
                marker=marker,
            )
            spread.hist(probabilities[:, k], bins=20, range=(0, 1), histtype="step", color=colour, label=names[k])
        curve.set(title="Calibration, ten bins of equal size", xlabel="mean probability given", ylabel="share found")
        spread.set(title="Probabilities given", xlabel="probability", ylabel="rows (logarithmic scale)", yscale="log")
        spread.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        if below:
            curve.legend(**_BELOW)
            spread.legend(**_BELOW)
        else:
            curve.legend(loc="upper left", fontsize="small")
            spread.legend(fontsize="small")
        figure.suptitle(f"{title}; {measures}", x=0.01, ha="left")
    return figure


def draw_predictions(truth: np.ndarray, predictions: np.ndarray, label: str) -> Figure:
    """Predicted against true values, and residuals against predicted values; arrays of shape (n,)."""
    shown = near(truth) & near(predictions)
    note, rows = far_note(shown), len(truth)
    truth, predictions = truth[shown], predictions[shown]
    alt = f"{label}: predicted against true values of {rows:,} rows, and residuals against predicted values. {note}"
    with canvas(alt.strip(), columns=2, width=5.6, height=4.8) as (figure, panels):
        for axes, kind in zip(panels, ("actual_vs_predicted", "residual_vs_predicted"), strict=True):
            PredictionErrorDisplay.from_predictions(
                truth,
                predictions,
                kind=kind,
                subsample=2000,
                random_state=0,
                ax=axes,
                scatter_kwargs={"color": BLUE, "alpha": 0.4, "s": 14},
                line_kwargs={"color": INK},
            )
        # scikit-learn puts five ticks from the least to the greatest value: 21.0, 111.0, ...
        panels[0].xaxis.set_major_locator(MaxNLocator(6))
        panels[0].yaxis.set_major_locator(MaxNLocator(6))
        panels[0].xaxis.set_major_formatter(ScalarFormatter())
        panels[0].yaxis.set_major_formatter(ScalarFormatter())
        panels[0].set(title="Predicted and true", xlabel=f"predicted {label}", ylabel=f"true {label}")
        panels[1].xaxis.set_major_locator(MaxNLocator(6))
        panels[1].set(title="Residuals", xlabel=f"predicted {label}", ylabel="true minus predicted")
        if note:
            figure.suptitle(note, x=0.01, ha="left")
    return figure


def draw_error_curve(truth: np.ndarray, predictions: np.ndarray, label: str) -> Figure:
    """Share of rows whose absolute error is at most so large (regression error characteristic)."""
    shares = np.arange(1, len(truth) + 1) / len(truth)
    errors = np.sort(np.abs(truth - predictions))
    without = np.sort(np.abs(truth - truth.mean()))
    most = max(errors[near(errors)][-1], without[near(without)][-1])
    alt = f"Share of rows by absolute error of {label}: half of the rows are within {number_text(np.median(errors))}."
    with canvas(alt) as (figure, (axes,)):
        axes.plot(errors, shares, color=BLUE, label="model")
        axes.plot(without, shares, color=MUTED, linestyle=":", label="always the mean")
        axes.set(title="Errors", xlabel=f"absolute error of {label}, at most", ylabel="share of the test rows")
        if most < errors[-1]:
            axes.set(title=f"Errors up to {number_text(most)}; the largest is {number_text(errors[-1])}")
            axes.set_xlim(-0.03 * most, 1.05 * most)
        axes.legend(loc="lower right")
    return figure


def draw_value_calibration(truth: np.ndarray, predictions: np.ndarray, label: str) -> Figure:
    """Mean true value against mean predicted value in ten groups of rows by predicted value."""
    groups = [group for group in np.array_split(np.argsort(predictions, kind="stable"), 10) if len(group)]
    given = [float(predictions[group].mean()) for group in groups]
    found = [float(truth[group].mean()) for group in groups]
    alt = f"Mean true against mean predicted {label}, in ten groups of rows by predicted value."
    with canvas(alt, width=5.6, height=4.8) as (figure, (axes,)):
        axes.axline((given[0], given[0]), slope=1, color=INK, linestyle=":", label="Perfectly calibrated")
        axes.plot(given, found, color=BLUE, marker="o", label="model")
        axes.set(
            title="Calibration, ten groups of equal size", xlabel=f"mean predicted {label}", ylabel=f"mean true {label}"
        )
        axes.legend()
    return figure


def draw_importance(table: pd.DataFrame, metric: str) -> Figure:
    """A bar per feature (columns feature, importance, std), the first row on top; `in_training`, if known, as marks."""
    if table["importance"].isna().all():
        return draw_sentence(f"{metric} cannot be computed on these rows, so no importance is known.")
    first = ", ".join(f"{name} {gain:.2g}" for name, gain in zip(table["feature"], table["importance"], strict=True))
    alt = f"Bar chart: how much worse {metric} gets when a feature is shuffled. {first}."
    names = short(table["feature"], 40)
    with canvas(alt, height=max(2.0, 0.32 * len(table) + 1.2)) as (figure, (axes,)):
        axes.barh(names, table["importance"], xerr=table["std"], color=BARS, ecolor=INK, label="test rows")
        if "in_training" in table and table["in_training"].notna().any():
            axes.plot(table["in_training"], names, "D", color=ORANGE, markersize=5, label="in training")
            axes.legend(loc="lower right")
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(title="Permutation importance: a feature is shuffled", xlabel=f"how much worse {metric} gets")
        axes.xaxis.set_major_formatter(lambda gain, _: f"{gain:g}")
    return figure


def draw_shares(names: list[str], rows: list[int], title: str, unit: str) -> Figure:
    """A bar per name with its number of rows and share; of many names only the first ones."""
    total = max(sum(rows), 1)
    if len(names) > _MOST_BARS:
        title += f", the first {_MOST_BARS} of {len(names)}"
        names, rows = names[:_MOST_BARS], rows[:_MOST_BARS]
    figures = [f"{count:,} ({count / total:.1%})" for count in rows]
    alt = f"Bar chart, {title}, {unit}: {', '.join(map(' '.join, zip(names, figures, strict=True)))}."
    with canvas(alt, height=max(2.0, 0.38 * len(names) + 1.2)) as (figure, (axes,)):
        bars = axes.barh(short(names, 40), rows, color=BARS)
        axes.bar_label(bars, figures, padding=4)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.2)
        axes.set(title=title, xlabel=unit)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure


def draw_sentence(text: str) -> Figure:
    """A sentence in the place of a picture: a test set with nothing to draw is tested all the same."""
    with canvas(text, height=1.0) as (figure, (axes,)):
        axes.set_axis_off()
        axes.text(0, 0.5, text)
    return figure


def _draw_one_class(codes: np.ndarray, classes: list[Any]) -> Figure:
    return draw_sentence(f"All test rows are of class {classes[codes[0]]}: there are no curves without another class.")


def _shown(codes: np.ndarray, classes: list[Any]) -> list[int]:
    """The classes to draw: the second of two, else the most frequent ones that occur; none if only one occurs."""
    counts = np.bincount(codes, minlength=len(classes))
    if np.count_nonzero(counts) < 2:
        return []
    if len(classes) == 2:
        return [1]
    return sorted(int(k) for k in np.argsort(-counts, kind="stable")[:MAX_CLASSES] if counts[k])


def _legend_name(name: str) -> str:
    """A name for a legend; matplotlib leaves out of them what begins with an underscore."""
    return f" {name}" if name.startswith("_") else name


def _subject(what: str, shown: list[int], classes: list[Any]) -> str:
    if len(classes) == 2:
        return f"{what} of class {classes[1]}"
    which = "each class" if len(shown) == len(classes) else f"the {len(shown)} most frequent classes"
    return f"{what} of {which} against the rest"
