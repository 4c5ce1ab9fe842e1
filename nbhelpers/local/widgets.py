"""A view of a run to put into a notebook."""

from __future__ import annotations

import html
from typing import Any

from nbhelpers.errors import UserErrorException
from nbhelpers.local.display import html_table, text_table
from nbhelpers.local.runs import PipelineRun, Run
from nbhelpers.local.step_runs import AutoMLRun

STEP_HEADERS = ("Step", "Status", "Reused", "Children", "Best score", "Started", "Ended")
CHILD_HEADERS = ("Iteration", "Pipeline", "Score", "Status")


class RunDetails:
    """The state of a pipeline run or AutoML run at the moment it is shown.

    Parameters
    ----------
    run_instance : PipelineRun or AutoMLRun

    Raises
    ------
    UserErrorException
        `run_instance` is not such a run.
    """

    def __init__(self, run_instance: PipelineRun | AutoMLRun) -> None:
        if not isinstance(run_instance, PipelineRun | AutoMLRun):
            raise UserErrorException(
                f"RunDetails cannot show a {type(run_instance).__name__}.", "pass a PipelineRun or one of its steps"
            )
        self._run = run_instance

    def show(self) -> None:
        """Display it once, as HTML with a plain text form."""
        from IPython.display import display

        display(self)  # type: ignore[no-untyped-call]

    def _tables(self) -> tuple[str, list[tuple[object, ...]], list[tuple[object, ...]]]:
        """A title, the rows of the steps, and the rows of their children."""
        run = self._run
        steps = list(run.get_steps()) if isinstance(run, PipelineRun) else [run]
        step_rows, child_rows = [], []
        for step in steps:
            children = list(step.get_children())
            details = step.get_details()
            rows = [_child_row(child) for child in children]
            metric = step.properties["primary_metric"]
            finished = any(status == "Completed" for *_, status in rows)
            best = f"{metric} {step.get_best_child(metric).get_metrics()[metric]:.5f}" if finished else ""
            reused = "Yes" if "azureml.reusedrunid" in step.properties else ""
            times = [str(details[key] or "")[:19] for key in ("startTimeUtc", "endTimeUtc")]
            step_rows.append((step.name, step.get_status(), reused, len(children), best, *times))
            child_rows += rows
        return f"{type(run).__name__} {run.id}: {run.get_status()}", step_rows, child_rows

    def __repr__(self) -> str:
        title, steps, children = self._tables()
        parts = [title, text_table(STEP_HEADERS, steps)]
        return "\n\n".join([*parts, text_table(CHILD_HEADERS, children)] if children else parts)

    def _repr_html_(self) -> str:
        title, steps, children = self._tables()
        parts = [f"<p><b>{html.escape(title)}</b></p>", html_table(STEP_HEADERS, steps)]
        return "".join([*parts, html_table(CHILD_HEADERS, children)] if children else parts)


def _child_row(child: Run) -> tuple[Any, ...]:
    facts = child.properties
    pipeline = ", ".join(part for part in (facts["run_preprocessor"], facts["run_algorithm"]) if part)
    score = f"{float(facts['score']):.5f}" if facts["score"] else ""
    return facts["iteration"], pipeline, score, child.get_status()
