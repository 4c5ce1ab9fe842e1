"""Curves of any child from the tables that the run has stored with it; Azure ML's runs have them, too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nbhelpers.errors import UserErrorException
from nbhelpers.results.charts import draw_sentence
from nbhelpers.results.decisions import place_of
from nbhelpers.results.models import Array
from nbhelpers.results.runs import NotKeptError, find_child, iteration, read_file, settings
from nbhelpers.results.style import INK, MUTED, canvas, looks
from nbhelpers.results.tables import leaderboard, pipeline_name

#: More lines in a picture hide each other.
_MOST_LINES = 8


def plot_curves(run: Any, iterations: int | Sequence[int] | None = None, positive: Any = None) -> Figure:
    """ROC, precision-recall, calibration and lift curves of children, on the rows that they were judged on.

    They are those of the tables with 100 thresholds that are stored with each child, so a little coarser than those of
    `TestReport.plot_curves`. For a regression: the residuals, and the mean predicted by the true value.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
        A pipeline run with one AutoML step, or that step's run.
    iterations : int or sequence of int, optional
        The children, at most eight; default: that of the best model and the best single child.
    positive : label, optional
        The class of the curves; default: the positive label of the run, else the second of two, and of more all
        classes together (micro-average).

    Raises
    ------
    UserErrorException
        There is no such child or class, or there are too many children.
    """
    chosen = _default(run) if iterations is None else np.atleast_1d(iterations).tolist()
    if not 1 <= len(chosen) <= _MOST_LINES:
        raise UserErrorException(
            f"{len(chosen)} children cannot be drawn together.", f"name 1 to {_MOST_LINES} iterations."
        )
    children = [find_child(run, number) for number in chosen]
    names = [f"{iteration(child)}  {pipeline_name(child.properties)}" for child in children]
    named = dict(zip(names, children, strict=True))
    try:
        if any("predicted_true" in child.get_metrics() for child in children):
            return _draw_regression({name: _regression(child) for name, child in named.items()})
        looked_for = settings(run).get("positive_label") if positive is None else positive
        return _draw_classification({name: _classification(child, looked_for) for name, child in named.items()})
    except NotKeptError as error:
        return draw_sentence(error.problem)


def _default(run: Any) -> list[int]:
    board = leaderboard(run)
    singles = board[~board["algorithm"].str.endswith("Ensemble") & board[board.attrs["primary_metric"]].notna()]
    return list(dict.fromkeys([iteration(find_child(run)), *singles["iteration"][:1]]))


def _table(child: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read_file(child, name))["data"]
    return found


def _classification(child: Any, positive: Any) -> tuple[str, Array, Array]:
    """The class, and [TP, FP, TN, FN] by even and by all thresholds (the latter in the order of the rows called)."""
    table = _table(child, "accuracy_table")
    labels = table["class_labels"]
    even, percentiles = (np.array(table[f"{kind}_tables"], dtype=float) for kind in ("probability", "percentile"))
    if positive is None and len(labels) > 2:
        title, places = f"all {len(labels)} classes together (micro-average)", list(range(len(labels)))
    else:
        places = [place_of(labels, np.array([], dtype=int), positive)]
        title = f"class {labels[places[0]]}"
    every = np.concatenate([even, percentiles], axis=1)[places].sum(axis=0)
    none = [0, 0, every[0, 1] + every[0, 2], every[0, 0] + every[0, 3]]  # a threshold that no row reaches
    every = np.vstack([none, every])
    return title, even[places].sum(axis=0), every[np.lexsort((every[:, 0], every[:, 1]))]


def _draw_classification(tables: dict[str, tuple[str, Array, Array]]) -> Figure:
    styles = looks(tables)
    subject = next(iter(tables.values()))[0]
    alt = f"ROC, precision-recall, calibration and lift curves of {subject}: {'; '.join(tables)}."
    with canvas(alt, columns=2, rows=2, width=5.2, height=4.2) as (figure, (roc, recall, calibration, lift)):
        for name, (_, even, every) in tables.items():
            colour, marker = styles[name]
            hits, false_alarms, negatives, misses = every.T
            positives, called = hits[0] + misses[0], hits + false_alarms
            some = called > 0
            found = np.maximum.accumulate(hits) / max(positives, 1)
            roc.plot(false_alarms / max(false_alarms[0] + negatives[0], 1), found, color=colour, label=name)
            order = np.argsort(hits[some], kind="stable")
            recall.plot((hits[some] / max(positives, 1))[order], (hits[some] / called[some])[order], color=colour)
            calibration.plot(*_bins(even), color=colour, marker=marker, markersize=5)
            share, base = called[some] / every[0].sum(), positives / every[0].sum()
            order = np.argsort(share, kind="stable")
            lift.plot(share[order], (hits[some] / called[some] / max(base, 1e-12))[order], color=colour)
            recall.axhline(base, color=MUTED, linestyle=":", linewidth=1)
        for axes in (roc, calibration):
            axes.plot([0, 1], [0, 1], linestyle=":", color=MUTED)
        lift.axhline(1, color=MUTED, linestyle=":")
        roc.plot([], [], linestyle=":", color=MUTED, label="chance; perfectly calibrated")
        roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
        recall.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
        calibration.set(title="Calibration, ten bins", xlabel="probability given", ylabel="share found")
        lift.set(title="Lift", xlabel="share of the rows called positive", ylabel="times as many hits as by chance")
        lift.set_ylim(bottom=0)
        figure.suptitle(f"Validation, {subject}", x=0.01, ha="left")
        figure.legend(*roc.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _bins(even: Array) -> tuple[Array, Array]:
    """Probability given and share found in ten bins; the rows between two thresholds count as if in their middle."""
    hits, rows = even[:, 0], even[:, 0] + even[:, 1]
    hits, rows = -np.diff(hits, append=0), -np.diff(rows, append=0)
    middles = np.minimum((np.arange(len(even)) + 0.5) / (len(even) - 1), 1)
    bins = np.minimum(10 * middles, 9).astype(int)
    total, given, found = (np.bincount(bins, weights, 10) for weights in (rows, rows * middles, hits))
    some = total > 0
    return given[some] / total[some], found[some] / total[some]


def _regression(child: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return _table(child, "residuals"), _table(child, "predicted_true")


def _draw_regression(tables: dict[str, tuple[dict[str, Any], dict[str, Any]]]) -> Figure:
    styles = looks(tables)
    alt = f"Residuals, and mean predicted by true value: {'; '.join(tables)}."
    with canvas(alt, columns=2, width=5.4, height=4.6) as (figure, (histogram, curve)):
        for name, (residuals, predicted) in tables.items():
            colour, marker = styles[name]
            histogram.stairs(residuals["bin_counts"], residuals["bin_edges"], color=colour, label=name)
            _draw_bins(curve, predicted, colour, marker)
        edges = np.array(next(iter(tables.values()))[1]["bin_edges"])
        curve.plot(edges[[0, -1]], edges[[0, -1]], color=INK, linestyle=":", label="perfect")
        _zoom(histogram, [residuals for residuals, _ in tables.values()])
        histogram.set(title="Residuals", xlabel="predicted minus true", ylabel="rows")
        curve.set(title="Mean predicted, with its standard deviation", xlabel="true", ylabel="predicted")
        handles, labels = histogram.get_legend_handles_labels()
        more = curve.get_legend_handles_labels()
        figure.legend(handles + more[0], labels + more[1], loc="outside lower left", ncols=2)
        figure.suptitle("Validation", x=0.01, ha="left")
    return figure


def _draw_bins(axes: Axes, predicted: dict[str, Any], colour: str, marker: str) -> None:
    edges, some = np.array(predicted["bin_edges"]), np.array(predicted["bin_counts"]) > 0
    axes.errorbar(
        ((edges[1:] + edges[:-1]) / 2)[some],
        np.array(predicted["bin_averages"])[some],
        np.array(predicted["bin_errors"])[some],
        color=colour,
        fmt=marker,
        markersize=4,
        linewidth=1,
    )


def _zoom(axes: Axes, tables: list[dict[str, Any]]) -> None:
    """Leave out the empty ends of the histograms: their bins are as wide as the target's range either way."""
    counts, edges = sum(np.array(table["bin_counts"]) for table in tables), tables[0]["bin_edges"]
    filled = np.flatnonzero(counts)
    axes.set_xlim(edges[max(filled[0] - 1, 0)], edges[min(filled[-1] + 2, len(edges) - 1)])
