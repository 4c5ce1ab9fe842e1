"""Pictures of the search: how the score grew, which algorithms reached it, and what it cost."""

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

    Children without a score are crosses at the foot; those taken over from an interrupted run have a white middle.
    """
    table = timeline(run)
    scored = _scored(table, "score")
    metric, higher = table.attrs["primary_metric"], table.attrs["higher_is_better"]
    best = table["best_so_far"]
    alt = (
        f"{metric} of {len(table)} child runs by iteration, and the best so far: "
        f"from {scored['score'].iloc[0]:.4f} in the first to {best.iloc[-1]:.4f}, which iteration "
        f"{table['iteration'][best == best.iloc[-1]].iloc[0]} reached."
    )
    with canvas(alt, width=8.5) as (figure, (axes,)):
        axes.step(table["iteration"], best, where="post", color=INK, linewidth=1.2, label="best so far")
        _points(axes, scored, "iteration", "score")
        old = scored[scored["status"].str.endswith("taken over")]
        if len(old):
            axes.plot(old["iteration"], old["score"], "o", color="white", markersize=3, zorder=4)
            axes.plot([], [], "o", color=MUTED, markerfacecolor="white", label="taken over")
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


def plot_algorithms(run: Any) -> Figure:
    """The scores of the children of each algorithm, the algorithm with the best one first."""
    board = leaderboard(run)
    metric, higher = board.attrs["primary_metric"], board.attrs["higher_is_better"]
    scored = _scored(board, metric)
    groups = {str(algorithm): rows[metric] for algorithm, rows in scored.groupby("algorithm", sort=False)}
    figures = [f"{name}, {scores.iloc[0]:.4f} the best of {len(scores)}" for name, scores in groups.items()]
    alt = f"{metric} of the child runs by algorithm: {'; '.join(figures)}."
    styles = looks(groups)
    with canvas(alt, width=8.5, height=max(2.2, 0.45 * len(groups) + 1.3)) as (figure, (axes,)):
        for row, (name, scores) in enumerate(groups.items()):
            colour, marker = styles[name]
            axes.plot(scores, [row] * len(scores), marker, color=colour, alpha=0.5)
            axes.plot(scores.iloc[0], row, "|", color=INK, markersize=18)
        axes.plot([], [], "|", color=INK, markersize=12, label="best of its algorithm")
        axes.set_yticks(range(len(groups)), [f"{name}, {_runs(len(scores))}" for name, scores in groups.items()])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set(
            title=f"{metric} by algorithm (mean over the folds, {_direction(higher)})",
            xlabel=metric,
        )
        axes.xaxis.set_major_locator(MaxNLocator(6))
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
    best = [f"{row['algorithm']}, {row['fit_seconds']:.2g} s, {row[metric]:.4f}" for _, row in front.iterrows()]
    alt = f"{metric} of the child runs against their time to fit. No other beats: {'; '.join(best)}."
    with canvas(alt, width=8.5) as (figure, (axes,)):
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


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _direction(higher: bool) -> str:
    return "higher is better" if higher else "lower is better"
