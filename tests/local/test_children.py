from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from nbhelpers.automl import Child
from nbhelpers.local.children import ChildKeeper, finished_children
from nbhelpers.local.store import Store, runs

from .rows import add_run

PREDICTIONS = np.array([[0.25, 0.75], [0.5, 0.5]])


@pytest.fixture
def step(workspace: Any) -> dict[str, Any]:
    """The row of a step that is at work."""
    _, step_id = add_run(workspace.store, status="Running")
    row = workspace.store.one(sa.select(runs).where(runs.c.id == step_id))
    return dict(row)


def completed(iteration: int, algorithm: str = "LightGBM", preprocessor: str = "", **facts: Any) -> Child:
    scores = {"score": 0.75, "metrics": {"AUC_weighted": 0.75}, "fold_scores": [0.5, 1.0]}
    parameters = {"max_iter": 3, "rounds": 12}
    return Child(
        iteration, algorithm, preprocessor, parameters, "Completed", **(scores | {"predictions": PREDICTIONS} | facts)
    )


def raced(iteration: int) -> Child:
    why = "Raced: after 1 of 3 folds it was 0.1000 behind the best child."
    return Child(iteration, "SVM", "MaxAbsScaler", {}, "Canceled", fold_scores=[0.5], error=why, raced=True)


def kept(store: Store, step: dict[str, Any], *children: Child) -> list[dict[str, Any]]:
    """The rows of children that a keeper has written."""
    keeper = ChildKeeper(store, step, "AUC_weighted")
    for child in children:
        keeper.keep(child)
    rows = store.all(sa.select(runs).where(runs.c.parent_id == step["id"]).order_by(runs.c.number))
    return [dict(row) for row in rows]


def test_children_have_azures_names_beside_the_engines(workspace: Any, step: dict[str, Any]) -> None:
    fitted = "SplineTransformer, LogisticRegression"
    children = [
        completed(0, "LogisticRegression", "SplineTransformer", fitted=fitted),
        completed(1, preprocessor="TargetEncoder"),
        completed(2, "SVM", "MaxAbsScaler"),
        completed(3, "StackEnsemble", weights={0: 0.5, 2: 0.5}),
    ]
    facts = [row["properties"] for row in kept(workspace.store, step, *children)]
    assert [fact["run_preprocessor"] for fact in facts] == ["StandardScalerWrapper", "", "MaxAbsScaler", ""]
    assert [fact["nbhelpers.preprocessor"] for fact in facts[:2]] == ["SplineTransformer", "TargetEncoder"]
    assert facts[0]["nbhelpers.fitted"] == fitted
    assert [fact.get("pipeline_id") for fact in facts] == [None, None, None, "__AutoML_Stack_Ensemble__"]


def test_a_raced_child_is_canceled_with_the_reason_and_is_no_error_in_the_log(
    workspace: Any, step: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = kept(workspace.store, step, raced(0))
    assert (row["status"], row["error"]["code"]) == ("Canceled", "Raced")
    assert row["error"]["message"].startswith("Raced: after 1 of 3 folds")
    printed = capsys.readouterr().out
    assert "Raced: after 1 of 3 folds" in printed
    assert "ERROR" not in printed


def test_a_run_that_is_continued_has_the_children_as_they_were(workspace: Any, step: dict[str, Any]) -> None:
    lost = Child(2, "KNN", "", {}, "Failed", error="The process died.", lost=True)
    late = Child(3, "KNN", "", {}, "Canceled", error="The time of the experiment was over.")
    children = [completed(0, preprocessor="TargetEncoder", fitted="TargetEncoder, LGBMClassifier"), raced(1), lost]
    kept(workspace.store, step, *children, late)
    found = finished_children(workspace.store, step["id"])
    assert list(found.values()) == children  # what the end of the time has cut off is tried again
    assert np.array_equal(found[f"{step['id']}_0"].predictions, PREDICTIONS)  # type: ignore[arg-type]
