"""Pictures of the search: how the score grew, which algorithms reached it, what it cost and what the ensemble is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from nbhelpers.errors import UserErrorException
from nbhelpers.results.charts import draw_sentence
from nbhelpers.results.runs import NotKeptError, child_runs, iteration, read_array
from nbhelpers.results.style import INK, MUTED, canvas, looks, short
from nbhelpers.results.tables import ensemble, ensembles, leaderboard, pipeline_name, timeline

#: So many children fit into a picture of all pairs.
_MOST_CHILDREN = 20


def plot_scores(run: Any) -> Figure:
    """The learning curve of the search: the best score so far, over the iterations and over the training time.

    The children are points, a colour per algorithm; on the right, only those that were the best when they ended.
    Children without a score are crosses at the foot; those taken over from an interrupted run have a white middle.
    """
    table = timeline(run)
    scored = _scored(table, "score")
    metric, higher = table.attrs["primary_metric"], table.attrs["higher_is_better"]
    best = table["best_so_far"]
    leaders = scored[scored["score"] == scored["best_so_far"]].drop_duplicates("best_so_far")
    alt = (
        f"{metric} of {len(table)} child runs by iteration, and the best so far: "
        f"from {scored['score'].iloc[0]:.4f} in the first to {best.iloc[-1]:.4f}, which iteration "
        f"{leaders['iteration'].iloc[-1]} reached."
    )
    timed = table["training_seconds"].notna().all()
    with canvas(alt, columns=2 if timed else 1, width=5.4 if timed else 8.5) as (figure, panels):
        axes, styles = panels[0], looks(table["algorithm"])
        axes.step(table["iteration"], best, where="post", color=INK, linewidth=1.2, label="best so far")
        _points(axes, scored, "iteration", "score", styles)
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
        axes.set(title="All child runs by iteration", xlabel="iteration", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if timed:
            alt = f"{leaders['training_seconds'].iloc[-1]:.3g} of {table['training_seconds'].iloc[-1]:.3g} seconds"
            figure.alt += f" That took {alt} of training."
            panels[1].step(table["training_seconds"], best, where="post", color=INK, linewidth=1.2)
            _points(panels[1], leaders, "training_seconds", "score", styles)
            panels[1].set(title="The best so far by training time", xlabel="training time of all child runs (seconds)")
        figure.suptitle(f"{metric} (mean over the folds, {_direction(higher)})", x=0.01, ha="left")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
    return figure


def plot_algorithms(run: Any) -> Figure:
    """The scores of the children of each algorithm, the algorithm with the best one first."""
    board = leaderboard(run)
    metric, higher = board.attrs["primary_metric"], board.attrs["higher_is_better"]
    scored = _scored(board, metric)
    groups = {str(algorithm): rows[metric] for algorithm, rows in scored.groupby("algorithm", sort=False)}
    figures = [f"{name}, {scores.iloc[0]:.4f} the best of {len(scores)}" for name, scores in groups.items()]
    alt = f"{metric} of the child runs by algorithm: {'; '.join(figures)}."
    styles = looks(board["algorithm"])
    with canvas(alt, width=8.5, height=max(2.2, 0.45 * len(groups) + 1.3)) as (figure, (axes,)):
        for row, (name, scores) in enumerate(groups.items()):
            colour, marker = styles[name]
            axes.plot(scores, [row] * len(scores), marker, color=colour, alpha=0.5)
            axes.plot(scores.iloc[0], row, "|", color=INK, markersize=18)
        axes.plot([], [], "|", color=INK, markersize=12, label="best of its algorithm")
        axes.set_yticks(range(len(groups)), [f"{name}, {_runs(len(scores))}" for name, scores in groups.items()])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        figure.suptitle(f"{metric} by algorithm (mean over the folds, {_direction(higher)})", x=0.01, ha="left")
        axes.set_xlabel(metric)
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
        _points(axes, scored, "fit_seconds", metric, looks(board["algorithm"]))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        axes.minorticks_off()
        figure.suptitle(f"{metric} against time to fit (mean over the folds, {_direction(higher)})", x=0.01, ha="left")
        axes.set(xlabel="time to fit (seconds, logarithmic scale; an ensemble with its members)", ylabel=metric)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def plot_ensemble(run: Any) -> Figure:
    """The weights of the members of the ensemble, heaviest first, a colour per algorithm."""
    table = ensemble(run)
    if table["weight"].isna().all():
        return draw_sentence(table.note or "The run does not tell the weights of its ensemble.")
    names = [f"{row['iteration']}  {_pipeline(row)}" for _, row in table.iterrows()]
    styles = looks(table["algorithm"])
    colours = [styles[name][0] for name in table["algorithm"]]
    weights = [f"{weight:.2f}" for weight in table["weight"]]
    alt = f"Weights in the ensemble by member: {'; '.join(map(' '.join, zip(names, weights, strict=True)))}."
    with canvas(alt, height=max(2.0, 0.36 * len(table) + 1.2)) as (figure, (axes,)):
        bars = axes.barh(short(names, 40), table["weight"], color=colours)
        axes.bar_label(bars, weights, padding=4)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        axes.set(title="Members of the ensemble, by iteration", xlabel="weight (they sum to 1)")
    return figure


def plot_correlation(run: Any) -> Figure:
    """How alike the children predict the rows that they were judged on: the correlation of their predictions.

    An ensemble gains most from members that are good and unlike each other. At most the 20 best children are drawn.
    """
    board = leaderboard(run)
    children = {iteration(child): child for child in child_runs(run)}
    scored, predictions = board.dropna(subset=[board.attrs["primary_metric"]]), {}
    for _, row in scored.head(_MOST_CHILDREN).iterrows():
        try:
            output = read_array(children[row["iteration"]], "predictions.npy")
        except NotKeptError as error:
            return draw_sentence(error.problem)
        # Of each class by itself: that all children know the rare classes as rare is no likeness of theirs.
        predictions[f"{row['iteration']}  {_pipeline(row)}"] = (output - output.mean(axis=0)).ravel()
    if len(predictions) < 2:
        return draw_sentence("Fewer than two children of the run have predictions to compare.")
    table = pd.DataFrame(predictions).corr()
    names, values = short(table.index, 40), table.to_numpy()
    least, middle = float(values.min()), float(np.median(values[np.triu_indices(len(values), 1)]))
    alt = (
        f"Correlation of the predictions of {len(names)} child runs: {least:.3f} at least, {middle:.3f} in the middle."
    )
    side = 0.42 * len(names) + 1.2
    with canvas(alt, width=side + 4, height=side + 0.4) as (figure, (axes,)):
        pale = min(least, 0.9)
        axes.imshow(values, cmap="Blues", vmin=pale, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            dark = value > (pale + 1) / 2
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=8, color="white" if dark else INK)
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(range(len(names)), [name.split()[0] for name in names])
        axes.grid(visible=False)
        axes.set(title="Correlation of out-of-fold predictions, best child first", xlabel="iteration")
    return figure


def _scored(table: pd.DataFrame, column: str) -> pd.DataFrame:
    scored = table.dropna(subset=[column])
    if scored.empty:
        raise UserErrorException(
            "None of the children of the run has a score, so there is nothing to draw.",
            "look at the reasons in leaderboard(run), then train again with notebook 03_train.ipynb.",
        )
    return scored


def _points(axes: Axes, table: pd.DataFrame, x: str, y: str, styles: dict[str, tuple[str, str]]) -> None:
    for algorithm, rows in table.groupby("algorithm"):
        colour, marker = styles[str(algorithm)]
        axes.scatter(rows[x], rows[y], s=36, color=colour, marker=marker, zorder=3, label=str(algorithm))


def _pipeline(row: pd.Series[Any]) -> str:
    return pipeline_name({"run_preprocessor": row["preprocessor"], "run_algorithm": row["algorithm"]})


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _direction(higher: bool) -> str:
    return "higher is better" if higher else "lower is better"
