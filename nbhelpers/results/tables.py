"""Tables about the children of an AutoML run: leaderboard, members of the ensemble, guardrails, metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nbhelpers.errors import UserErrorException
from nbhelpers.metrics import greater_is_better
from nbhelpers.results.frames import SentenceFrame
from nbhelpers.results.runs import automl_step, child_runs, iteration, number, taken_over


def leaderboard(run: Any) -> pd.DataFrame:
    """The children of a run, best first; those without a score last.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
        A pipeline run with one AutoML step, or that step's run.

    Returns
    -------
    DataFrame
        A row per child: iteration, algorithm, preprocessor, the primary metric under its own name
        (mean over the folds), fold_std (standard deviation over the folds), fit_seconds,
        predict_seconds, status and, for those that did not complete, reason. A child that was taken over from
        an interrupted run has ", taken over" behind its status, and its times are those of then.
        ``.attrs["primary_metric"]`` and ``.attrs["higher_is_better"]`` say how it is sorted.
    """
    metric = primary_metric(run)
    columns = ["iteration", "algorithm", "preprocessor", metric, "fold_std", "fit_seconds", "predict_seconds"]
    rows = []
    for child in child_runs(run):
        facts, status = child.properties, child.get_status()
        rows.append(
            (
                iteration(child),
                facts.get("run_algorithm", ""),
                facts.get("run_preprocessor", ""),
                number(facts.get("score")) if status == "Completed" else float("nan"),
                _fold_std(facts),
                number(facts.get("fit_time")),
                number(facts.get("predict_time")),
                f"{status}, taken over" if taken_over(child) else status,
                _reason(child) if status != "Completed" else "",
            )
        )
    higher = greater_is_better(metric)
    board = SentenceFrame(rows, columns=[*columns, "status", "reason"])
    # Failed children come after all others; equal scores keep the order of the iterations.
    board["failed"] = board["status"].str.startswith("Failed")
    board = board.sort_values(["failed", metric], ascending=[True, not higher], kind="stable", ignore_index=True)
    board = board.drop(columns="failed")
    board.attrs.update(primary_metric=metric, higher_is_better=higher)
    return board


def ensemble(run: Any) -> pd.DataFrame:
    """The members of the best ensemble, heaviest first; no rows where there is no ensemble.

    Returns
    -------
    DataFrame
        A row per member: iteration, weight (they sum to 1), algorithm, preprocessor, and the member's own
        score under the name of the primary metric.
    """
    board = leaderboard(run)
    members = ensembles(run)
    best = next((members[k] for k in board["iteration"] if k in members), {})
    weights = SentenceFrame({"iteration": list(best), "weight": list(best.values())})
    facts = board[["iteration", "algorithm", "preprocessor", board.attrs["primary_metric"]]]
    table = weights.astype({"iteration": int, "weight": float}).merge(facts, how="left")
    return table.sort_values(["weight", "iteration"], ascending=[False, True], ignore_index=True)


def verdict(run: Any) -> str:
    """One sentence: the best pipeline, its score with the spread over the folds, and what the ensemble adds.

    Raises
    ------
    UserErrorException
        No child has a score.
    """
    board = leaderboard(run)
    metric, higher = board.attrs["primary_metric"], board.attrs["higher_is_better"]
    scored = board[board[metric].notna()]
    if scored.empty:
        raise UserErrorException(
            f"None of the {len(board)} children of the run has a score.",
            "look at the reasons in leaderboard(run), then train again with notebook 03_train.ipynb.",
        )
    best = scored.iloc[0]
    pipelines = "1 pipeline" if len(scored) == 1 else f"{len(scored)} pipelines"
    sentence = f"Best of {pipelines}: {_name(best)}, {metric} {best[metric]:.4f}"
    notes = [f"{'higher' if higher else 'lower'} is better"]
    if pd.notna(best["fold_std"]):
        sentence += f" ± {best['fold_std']:.4f}"
        notes.insert(0, "mean ± standard deviation over the folds")
    sentence += f" ({'; '.join(notes)})"
    singles = scored[~scored["algorithm"].str.endswith("Ensemble")]
    others = singles[singles["iteration"] != best["iteration"]]
    if others.empty:
        return f"{sentence}."
    other = others.iloc[0]
    role = "the next single one" if best["iteration"] in set(singles["iteration"]) else "the best single one"
    difference = f"{abs(best[metric] - other[metric]):.4f}"
    gain = "no different" if float(difference) == 0 else f"{difference} {'lower' if higher else 'higher'}"
    return f"{sentence}; {role}, {_name(other)}, has {other[metric]:.4f}, {gain}."


def guardrails(run: Any) -> pd.DataFrame:
    """What was checked in the data before training: type, status, description and details of each guardrail."""
    found = automl_step(run).get_guardrails(to_console=False)
    faults = found.get("faults", []) if isinstance(found, Mapping) else found or []
    rows = [
        (
            fault.get("friendly_type") or fault.get("type", ""),
            str(fault.get("result", "")).capitalize(),
            fault.get("friendly_result") or "",
            _details(fault.get("friendly_parameters") or fault.get("parameters")),
        )
        for fault in faults
    ]
    return SentenceFrame(rows, columns=["type", "status", "description", "details"])


def metrics_table(run: Any) -> pd.DataFrame:
    """All scalar metrics of all children that have any.

    Returns
    -------
    DataFrame
        A row per metric, by name; a column per child, by iteration; plain numbers.
    """
    columns = {}
    for child in child_runs(run):
        # Tables such as the confusion matrix are references in text, so not numbers.
        metrics = {name: number(value) for name, value in child.get_metrics().items() if not isinstance(value, str)}
        if metrics:
            columns[iteration(child)] = metrics
    table = SentenceFrame(columns, dtype=float).sort_index()
    return table.rename_axis(index="metric", columns="iteration")


def timeline(run: Any) -> pd.DataFrame:
    """The search as it went on.

    Returns
    -------
    DataFrame
        A row per child, by iteration: iteration, algorithm, score (NaN where there is none), status and best_so_far.
    """
    board = leaderboard(run)
    columns = ["iteration", "algorithm", board.attrs["primary_metric"], "status"]
    table = board[columns].sort_values("iteration", ignore_index=True)
    table.columns = pd.Index(["iteration", "algorithm", "score", "status"])
    scores = table["score"]
    table["best_so_far"] = (scores.cummax() if board.attrs["higher_is_better"] else scores.cummin()).ffill()
    table.attrs = board.attrs
    return table


def ensembles(run: Any) -> dict[int, dict[int, float]]:
    """The members of each ensemble among the children: iteration of the ensemble, of the member, weight."""
    found = {iteration(child): _weights(child.properties) for child in child_runs(run)}
    return {number_of: weights for number_of, weights in found.items() if weights}


def primary_metric(run: Any) -> str:
    """The metric that the search was run for."""
    return str(automl_step(run).properties["primary_metric"])


def pipeline_name(facts: Mapping[str, str]) -> str:
    """Preprocessor and algorithm of a child, from its properties."""
    return ", ".join(filter(None, (facts.get("run_preprocessor"), facts.get("run_algorithm"))))


def _name(row: pd.Series[Any]) -> str:
    facts = {"run_preprocessor": row["preprocessor"], "run_algorithm": row["algorithm"]}
    return f"{pipeline_name(facts)} of iteration {row['iteration']}"


def _fold_std(facts: Mapping[str, str]) -> float:
    return float(pd.Series(json.loads(facts.get("fold_scores") or "[]"), dtype=float).std())


def _weights(facts: Mapping[str, str]) -> dict[int, float]:
    members = json.loads(facts.get("ensembled_iterations") or "[]")
    # A stack ensemble has members but no weights.
    weights = json.loads(facts.get("ensemble_weights") or "[]") or [float("nan")] * len(members)
    return dict(zip(members, weights, strict=True))


def _reason(child: Any) -> str:
    """The innermost message of a child's error: the SDK nests {"error": {"message": ...}}."""
    error = child.get_details().get("error") or ""
    while isinstance(error, Mapping):
        error = error.get("error") or error.get("message") or ""
    return str(error).strip()


def _details(parameters: Any) -> str:
    """Parameters of a guardrail as text, "name: value" by "name: value"; several rows are parted by semicolons."""
    if isinstance(parameters, Mapping):
        return ", ".join(f"{name}: {value}" for name, value in parameters.items())
    return "; ".join(map(_details, parameters)) if isinstance(parameters, list) else str(parameters or "")
