"""Pictures of the search: how the score grew, and what it cost."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from nbhelpers.errors import UserErrorException
from nbhelpers.results.style import INK, MUTED, canvas, looks
from nbhelpers.results.tables import ensembles, leaderboard, timeline


def plot_scores(run: Any) -> Figure:
    """The score of each child by iteration, a colour per algorithm, with the best so far as a line.

    Children without a score are crosses at the foot.
    """
    table = timeline(run)
    scored = _scored(table, "score")
    metric, higher = table.attrs["primary_metric"], table.attrs["higher_is_better"]
    with canvas(width=8.5) as (figure, (axes,)):
        axes.step(table["iteration"], table["best_so_far"], where="post", color=INK, linewidth=1.2, label="best so far")
        _points(axes, scored, "iteration", "score")
        missing = table.loc[table["score"].isna(), "iteration"]
        if len(missing):
            axes.plot(
                missing,
                [0.02] * len(missing),
                "x",
                color=MUTED,
                transform=axes.get_xaxis_transform(),
                label="without a score",
            )
        axes.set(
            title=f"{metric} by iteration (mean over the folds, {_direction(higher)})",
            xlabel="iteration",
            ylabel=metric,
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_tradeoff(run: Any) -> Figure:
    """The score of each child against its time to fit; a line joins those that no other beats in both.

    The time of an ensemble is that of its members with its own.
    """
    board = leaderboard(run).set_index("iteration")
    metric, higher = board.attrs["primary_metric"], board.attrs["higher_is_better"]
    own = board["fit_seconds"]
    members = {ensemble: own.reindex(list(weights)).sum() for ensemble, weights in ensembles(run).items()}
    board["fit_seconds"] = own + pd.Series(members, dtype=float).reindex(board.index, fill_value=0.0)
    scored = _scored(board, metric).dropna(subset=["fit_seconds"])
    # Best first, and the faster of two that are as good: a child is on the front when it is faster than all before.
    scored = scored.sort_values([metric, "fit_seconds"], ascending=[not higher, True], kind="stable")
    front = scored[scored["fit_seconds"] < scored["fit_seconds"].cummin().shift(fill_value=float("inf"))]
    with canvas(width=8.5) as (figure, (axes,)):
        axes.step(
            front["fit_seconds"],
            front[metric],
            where="pre",
            color=INK,
            linewidth=1.2,
            label="no other is better and faster",
        )
        _points(axes, scored, "fit_seconds", metric)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        axes.minorticks_off()
        axes.set(
            title=f"{metric} against time to fit (mean over the folds, {_direction(higher)})",
            xlabel="time to fit (seconds, logarithmic scale; an ensemble with its members)",
            ylabel=metric,
        )
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _scored(table: pd.DataFrame, column: str) -> pd.DataFrame:
    scored = table.dropna(subset=[column])
    if scored.empty:
        raise UserErrorException(
            "None of the children of the run has a score, so there is nothing to draw.",
            "look at the reasons in leaderboard(run), then train again with notebook 03_train.ipynb.",
        )
    return scored


def _points(axes: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    styles = looks(table["algorithm"])
    for algorithm, rows in table.groupby("algorithm"):
        colour, marker = styles[str(algorithm)]
        axes.scatter(rows[x], rows[y], s=36, color=colour, marker=marker, zorder=3, label=str(algorithm))


def _direction(higher: bool) -> str:
    return "higher is better" if higher else "lower is better"
