"""What a search has learned on its way: which way to a model generalises best, and what each algorithm can do."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from nbhelpers.results import charts
from nbhelpers.results.frames import SentenceFrame
from nbhelpers.results.runs import NotKeptError, automl_step, child_runs, iteration, read_file, settings
from nbhelpers.results.tables import leaderboard, primary_metric

_IMPORTANCE = ["feature", "importance", "std"]


def selection(run: Any) -> SentenceFrame:
    """How the best model was chosen: the ways to a model, each judged on rows that had no part in it.

    The score of the best child in the leaderboard is the best of many, so in part luck. Here, what a way chooses or
    learns on all folds but one is judged on that one.

    Returns
    -------
    DataFrame
        A row per way (the best child alone, each ensemble), the chosen one first: way, iteration, the primary metric
        under its own name, and loss (log loss, or mean squared error). No rows where the run does not tell.
    """
    metric, found = primary_metric(run), json.loads(automl_step(run).properties.get("nbhelpers.selection") or "[]")
    columns = ["way", "iteration", metric, "loss"]
    if not found:
        return SentenceFrame.without_rows(
            "The run does not tell how its best model was chosen: only runs of the local workspace do.", columns
        )
    return SentenceFrame([(way["way"], way["iteration"], way["score"], way["loss"]) for way in found], columns=columns)


def best_by_algorithm(run: Any) -> pd.DataFrame:
    """The best child of each algorithm, the algorithm with the best score first.

    Returns
    -------
    DataFrame
        algorithm, iteration, the primary metric under its own name, tried (children of the algorithm), seconds (to fit
        and to predict, all of them), preprocessor and parameters (text). Algorithms without a score come last.
    """
    board = leaderboard(run)
    seconds = board[["fit_seconds", "predict_seconds"]].sum(axis=1, min_count=1)
    by_algorithm = board.assign(seconds=seconds).groupby("algorithm", sort=False)
    table = board.drop_duplicates("algorithm").set_index("algorithm", drop=False)
    table["tried"], table["seconds"] = by_algorithm.size(), by_algorithm["seconds"].sum(min_count=1)
    settings = {iteration(child): _parameters(child) for child in child_runs(run)}
    table["parameters"] = table["iteration"].map(settings)
    names = ["algorithm", "iteration", board.attrs["primary_metric"], "tried", "seconds", "preprocessor", "parameters"]
    return table[names].reset_index(drop=True)


def importance(run: Any) -> SentenceFrame:
    """Permutation importance of the columns, measured in training on rows that were left out of it.

    It is that of the heaviest member of the best model, so it tells what the search found before any test;
    `TestReport.importance` is that of the whole model on test rows.

    Returns
    -------
    DataFrame
        feature, importance (by how much the primary metric gets worse when the column is shuffled) and std (over the
        shuffles), the most important one first. No rows where the run does not tell.
    """
    try:
        content = read_file(automl_step(run), "feature_importance.json")
    except NotKeptError as error:
        off = settings(run).get("model_explainability") is False
        why = "The run was told not to measure importances: model_explainability is False." if off else error.problem
        return SentenceFrame.without_rows(why, _IMPORTANCE)
    table = pd.DataFrame(json.loads(content)).rename(columns={"column": "feature"})[_IMPORTANCE]
    return SentenceFrame(table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True))


def plot_importance(run: Any, top: int = 15) -> Figure:
    """The `top` most important columns of `importance`, with the spread over the shuffles."""
    table = importance(run)
    if table.empty:
        return charts.draw_sentence(table.note)
    return charts.draw_importance(table.head(top), primary_metric(run))


def _parameters(child: Any) -> str:
    """The parameters of a child as text; Azure keeps them with each step of the pipeline, the last one is the model."""
    try:
        spec = json.loads(child.properties.get("pipeline_spec") or "{}")
    except ValueError:
        return ""
    given = spec["objects"][-1].get("param_kwargs", {}) if spec.get("objects") else spec
    return ", ".join(f"{name}={value}" for name, value in given.items())
