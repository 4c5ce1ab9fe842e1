"""The model card of a run: what its best model is, for those who get the model without having trained it."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import pandas as pd

from nbhelpers.metrics import number_text
from nbhelpers.results.report import TestReport
from nbhelpers.results.runs import automl_step, of_sdk, settings, training_dataset
from nbhelpers.results.tables import ensemble, guardrails, leaderboard

#: What predictions depend on, and loading.
PACKAGES = ("nbhelpers", "scikit-learn", "lightgbm", "xgboost-cpu", "numpy", "scipy", "pandas", "skops")
#: So many columns are named.
MAX_COLUMNS = 100


class ModelCard(str):
    """A model card: Markdown text, which a notebook shows as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


def model_card(run: Any, report: TestReport) -> ModelCard:
    """Describe the best model of a run by what the run and its test have recorded.

    Parameters
    ----------
    run : PipelineRun
        A finished run with one AutoML step.
    report : TestReport
        The test of its best model, from `test_report`.

    Returns
    -------
    ModelCard
        Markdown: what the model is, what it was trained on and how, metrics, intended use and limits, versions, and
        the code that loads it.
    """
    sections = {
        "# Model card": [_introduction(run, report)],
        "## Data": [_data(run), _table(report.split.T)],
        "## Training": [_training(run, report)],
        "### Settings": [_table(_settings(run))],
        "### Members of the ensemble": [_table(ensemble(run).set_index("iteration"))],
        "## Metrics": [
            "`gap` is by how much the test is worse than validation, whichever direction is better.",
            _table(report.comparison),
        ],
        "## Intended use and limits": _limits(run, report),
        "## Versions": ["Those with which the model was tested.", _table(_versions())],
        "## How to load it": _loading(run),
    }
    # A single model has no members, and a run of Azure ML may not tell its settings.
    shown = (part for title, parts in sections.items() if any(parts) for part in (title, *parts))
    return ModelCard("\n\n".join(shown) + "\n")


def _introduction(run: Any, report: TestReport) -> str:
    line = report.comparison.loc[report.primary_metric]
    return (
        f"{report.model_name}, a model for the {report.task} of `{report.label}`: chosen out of "
        f"{len(leaderboard(run))} pipelines that AutoML tried. {report.primary_metric} is {line['test']:.4f} on the "
        f"test data and {line['validation']:.4f} in validation."
    )


def _data(run: Any) -> str:
    name, version = training_dataset(run)
    if not name:
        return "The run does not say which data set it was trained on."
    text = f"Trained on `{name}`, version {version}."
    registered = run.experiment.workspace.datasets
    if name in registered and str(registered[name].version) == version and registered[name].description:
        text += f" {registered[name].description}"
    name, _, version = run.tags.get("test_dataset", "").rpartition(":")
    return f"{text}\n\nTested on `{name}`, version {version}." if name else text


def _training(run: Any, report: TestReport) -> str:
    step, best, board = automl_step(run), report._best.child, leaderboard(run)
    facts = {
        "experiment": run.experiment.name,
        "pipeline run": run.id,
        "trained by": type(step).__module__.split(".")[0],
        "best child run": best.id,
        "that ended at": best.get_details().get("endTimeUtc"),
        "pipelines tried": f"{len(board)}, of which {(board['status'] == 'Completed').sum()} completed",
        "search ended by": step.properties.get("ended_by"),
        "folds of validation": step.properties.get("num_cross_validation"),
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def _settings(run: Any) -> pd.DataFrame:
    given = {name: value for name, value in settings(run).items() if value is not None}
    return pd.DataFrame({"value": given.values()}, index=pd.Index(given, name="setting"))


def _versions() -> pd.DataFrame:
    versions = {"Python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
    return pd.DataFrame({"version": versions.values()}, index=pd.Index(versions, name="package"))


def _limits(run: Any, report: TestReport) -> list[str]:
    names = [f"`{name}`" for name in report._features.columns]
    named = ", ".join(names[:MAX_COLUMNS]) + (f" and {len(names) - MAX_COLUMNS} more" if names[MAX_COLUMNS:] else "")
    answers = f"one of {', '.join(map(str, report.classes))}" if report.classes else "a number"
    checks, alerts = report.checks(), guardrails(run)
    limits = []
    if "synthetic" in run.tags:
        limits.append(
            "The training data is synthetic: only a test on real data tells how the model does on real cases."
        )
    for _, row in checks[checks["status"] != "passed"].iterrows():
        limits.append(f"{row['check']} ({row['status']}): {row['finding']}")
    for _, row in alerts[alerts["status"] != "Passed"].iterrows():
        limits.append(f"{row['type']} ({row['status'].lower()}): {row['description']}")
    limits.append("Not examined: whether it is fair to groups of people, and how it does at other times and places.")
    return [
        f"It predicts `{report.label}` ({answers}) for rows like those it was trained on, with the columns {named}.",
        "Known limits, and what the checks of this run noticed or could not look at:",
        "\n".join(f"- {limit}" for limit in limits),
        f"Passed: {', '.join(checks.loc[checks['status'] == 'passed', 'check']) or 'none'}.",
    ]


def _loading(run: Any) -> list[str]:
    step = automl_step(run)
    digest = None if of_sdk(step) else step.properties.get("model_digest")  # which only the local workspace keeps
    opening = "step.get_output()" if digest else "results.best_model(step)"  # the SDK's takes a package more
    code = f"""\
```python
import nbhelpers
from nbhelpers import results

ml = nbhelpers.connect("{"local" if digest else "azure"}")
experiment = ml.Experiment(ml.Workspace.from_config(), "{run.experiment.name}")
step = results.automl_step(results.find_run(ml, experiment, "{run.id}"))
child_run, model = {opening}
```"""
    file = f"""\
As a file:

```python
from nbhelpers.local import models

output = step.get_default_model_output()
output.download("model")
model = models.load(f"model/{{output.path_on_datastore}}")
```

The file's SHA-256 is `{digest}`. Another workspace opens it with `models.load(path, trust=True)`."""
    use = "`model.predict(rows)` takes a data frame with the columns above."
    return [code, file, use] if digest else [code, use]


def _table(frame: pd.DataFrame) -> str:
    """A table with its index as first column; empty without rows."""
    if frame.empty:
        return ""
    rows = [[frame.index.name, *frame.columns], ["---"] * (frame.shape[1] + 1)]
    rows += [[name, *values] for name, values in zip(frame.index, frame.to_numpy(dtype=object), strict=True)]
    return "\n".join(f"| {' | '.join(map(_text, row))} |" for row in rows)


def _text(value: Any) -> str:
    """A value in a cell of a table; what is missing is left empty."""
    if value is None or value is pd.NA or value != value:  # NaN
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value)
    return str(value).replace("|", r"\|").replace("\n", " ")
