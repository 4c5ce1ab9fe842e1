"""Tables about the children of an AutoML run: leaderboard, members of the ensemble, guardrails, metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nbhelpers.metrics import greater_is_better
from nbhelpers.results.frames import SentenceFrame
from nbhelpers.results.runs import automl_step, child_runs, find_child, iteration, number, score_of, taken_over

_FIGURES = ("fold_std", "gap", "gap_error", "weight", "fit_seconds", "predict_seconds", "fitted", "status", "reason")


def leaderboard(run: Any) -> pd.DataFrame:
    """The children of a run, best first; those without a score last.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
        A pipeline run with one AutoML step, or that step's run.

    Returns
    -------
    DataFrame
        A row per child, by rank: iteration, algorithm, preprocessor, the primary metric under its own name (mean over
        the folds), fold_std (standard deviation over the folds), gap (by how much it is worse than the best model, mean
        over the folds that both have), gap_error (standard error of the gap), weight (in the best model; 1 for the best
        model itself), fit_seconds, predict_seconds, fitted (in the names of the packages, where the run tells), status
        and, for those that did not complete, reason. A child that was taken over from an interrupted run has ", taken
        over" behind its status, and its times are those of then.
        ``.attrs["primary_metric"]`` and ``.attrs["higher_is_better"]`` say how it is sorted.
    """
    metric, children = primary_metric(run), child_runs(run)
    higher = greater_is_better(metric)
    best = find_child(run) if any(pd.notna(score_of(child)) for child in children) else None
    weights = {} if best is None else {**members_of(best), iteration(best): 1.0}
    rows = []
    for child in children:
        facts, status = child.properties, child.get_status()
        gaps = _gaps(best, child, 1 if higher else -1)
        rows.append(
            (
                iteration(child),
                facts.get("run_algorithm", ""),
                facts.get("run_preprocessor", ""),
                score_of(child),
                _folds(child).std(),
                gaps.mean(),
                gaps.sem(),
                weights.get(iteration(child), float("nan")),
                number(facts.get("fit_time")),
                number(facts.get("predict_time")),
                facts.get("nbhelpers.fitted", ""),
                f"{status}, taken over" if taken_over(child) else status,
                _reason(child) if status != "Completed" else "",
            )
        )
    board = SentenceFrame(rows, columns=["iteration", "algorithm", "preprocessor", metric, *_FIGURES])
    # Failed children come after all others; equal scores keep the order of the iterations.
    board["failed"] = board["status"].str.startswith("Failed")
    board = board.sort_values(["failed", metric], ascending=[True, not higher], kind="stable")
    board = board.drop(columns="failed").set_axis(pd.RangeIndex(1, len(board) + 1, name="rank"))
    board.attrs.update(primary_metric=metric, higher_is_better=higher)
    return board


def ensemble(run: Any, iteration: int | None = None) -> SentenceFrame:
    """The members of an ensemble, heaviest first; no rows where the child is a single model.

    Parameters
    ----------
    run : PipelineRun or AutoMLRun
        As in `leaderboard`.
    iteration : int, optional
        That of the ensemble; default: that of the best model.

    Returns
    -------
    DataFrame
        A row per member: iteration, weight (they sum to 1), algorithm, preprocessor, and the member's own
        score under the name of the primary metric.
    """
    board, child = leaderboard(run), find_child(run, iteration)
    members = members_of(child)
    weights = pd.DataFrame({"iteration": list(members), "weight": list(members.values())})
    facts = board[["iteration", "algorithm", "preprocessor", board.attrs["primary_metric"]]]
    table = weights.astype({"iteration": int, "weight": float}).merge(facts, how="left")
    table = SentenceFrame(table.sort_values(["weight", "iteration"], ascending=[False, True], ignore_index=True))
    if not members:
        what = "The best model" if iteration is None else "It"
        table.note = f"{what} is no ensemble, but the child run of iteration {child.properties['iteration']} alone."
    return table


def verdict(run: Any) -> str:
    """One sentence: the best model, its score with the spread over the folds, and what the ensemble adds.

    Raises
    ------
    UserErrorException
        No child has a score.
    """
    chosen, board = iteration(find_child(run)), leaderboard(run)
    metric, higher = board.attrs["primary_metric"], board.attrs["higher_is_better"]
    scored = board[board[metric].notna()]
    best = scored[scored["iteration"] == chosen].iloc[0]
    pipelines = "1 pipeline" if len(scored) == 1 else f"{len(scored)} pipelines"
    sentence = f"Chosen out of {pipelines}: {_name(best)}, {metric} {best[metric]:.4f}"
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
    gap = float(best[metric] - other[metric])
    gain = "no different" if f"{abs(gap):.4f}" == "0.0000" else f"{abs(gap):.4f} {'lower' if gap > 0 else 'higher'}"
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
        A row per child, by iteration: iteration, algorithm, score (NaN where there is none), status, best_so_far and
        training_seconds (to fit and to predict, of all children so far; NaN where the run does not tell).
    """
    board = leaderboard(run).sort_values("iteration", ignore_index=True)
    table = board[["iteration", "algorithm", board.attrs["primary_metric"], "status"]].copy()
    table.columns = pd.Index(["iteration", "algorithm", "score", "status"])
    scores, seconds = table["score"], board[["fit_seconds", "predict_seconds"]]
    table["best_so_far"] = (scores.cummax() if board.attrs["higher_is_better"] else scores.cummin()).ffill()
    table["training_seconds"] = seconds.sum(axis=1).cumsum() if seconds.notna().any(axis=None) else float("nan")
    table.attrs = board.attrs
    return table


def ensembles(run: Any) -> dict[int, dict[int, float]]:
    """The members of each ensemble among the children: iteration of the ensemble, of the member, weight."""
    found = {iteration(child): members_of(child) for child in child_runs(run)}
    return {number_of: weights for number_of, weights in found.items() if weights}


def members_of(child: Any) -> dict[int, float]:
    """The members of an ensemble and their weights, which Azure does not tell of a stack; empty for other children."""
    members = json.loads(child.properties.get("ensembled_iterations") or "[]")
    weights = json.loads(child.properties.get("ensemble_weights") or "[]") or [float("nan")] * len(members)
    return dict(zip(members, weights, strict=True))


def primary_metric(run: Any) -> str:
    """The metric that the search was run for."""
    return str(automl_step(run).properties["primary_metric"])


def pipeline_name(facts: Mapping[str, str]) -> str:
    """Preprocessor and algorithm of a child, from its properties."""
    return ", ".join(filter(None, (facts.get("run_preprocessor"), facts.get("run_algorithm"))))


def _name(row: pd.Series[Any]) -> str:
    facts = {"run_preprocessor": row["preprocessor"], "run_algorithm": row["algorithm"]}
    return f"{pipeline_name(facts)} of iteration {row['iteration']}"


def _folds(child: Any) -> pd.Series[float]:
    return pd.Series(json.loads(child.properties.get("fold_scores") or "[]"), dtype=float)


def _gaps(best: Any, child: Any, sign: int) -> pd.Series[float]:
    """By how much a child is worse than the best one, fold by fold; a raced child has the first folds only."""
    return pd.Series(dtype=float) if best is None else sign * (_folds(best) - _folds(child)).dropna()


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
