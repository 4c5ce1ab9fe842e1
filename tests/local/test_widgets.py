from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from nbhelpers.errors import UserErrorException
from nbhelpers.local import RunDetails

SUBMIT = """
import threading
from nbhelpers import results
from nbhelpers.local import *
from tests.local.conftest import bank_like
ws = Workspace.from_config()
target = ComputeTarget.create(ws, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))
data = Dataset.Tabular.register_pandas_dataframe(bank_like(), ws.get_default_datastore(), "bank")
config = AutoMLConfig("classification", compute_target=target, training_data=data, label_column_name="y",
                      primary_metric="AUC_weighted", iterations=4, n_cross_validations=3)
run = Experiment(ws, "bank").submit(Pipeline(ws, [AutoMLStep("automl_module", config)]))
"""
#: Gives the views that are still at work after ten seconds.
THREADS = """
views = [thread for thread in threading.enumerate() if thread.name.startswith("live view")]
for view in views:
    view.join(10)
[view.name for view in views if view.is_alive()]
"""


def test_a_run_is_shown_with_its_steps_and_children(seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    RunDetails(seed.pipeline_run).show()
    text = capsys.readouterr().out
    best = f"{seed.step.get_best_child().get_metrics()['AUC_weighted']:.4f}"
    assert text.startswith("Finished after ")
    assert f" · 4 child runs · best AUC_weighted {best} (child " in text
    assert f"PipelineRun {seed.pipeline_run.id}\nStep automl_module: Finished, 4 child runs\n" in text
    assert "Child run 2: VotingEnsemble, " in text
    html = RunDetails(seed.step)._repr_html_()
    assert html.count("<tr>") == 1 + 1 + 1 + 4
    assert best in html


def test_what_is_no_such_run_is_refused(seed: SimpleNamespace) -> None:
    with pytest.raises(UserErrorException, match="cannot show a Experiment"):
        RunDetails(seed.experiment)


def run_notebook(*cells: str) -> list[list[Any]]:
    """The outputs of cells that a kernel has executed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, resources={"metadata": {"path": str(Path(__file__).parents[2])}}).execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.usefixtures("home")
def test_a_notebook_that_ends_with_the_run_keeps_the_last_state() -> None:
    _, shown, waited = run_notebook(SUBMIT, "RunDetails(run).show()", "run.wait_for_completion(show_output=False)")
    (output,) = shown
    assert output.output_type == "display_data"
    assert output.data["text/plain"].startswith("Finished after ")
    assert waited[0].data["text/plain"] == "'Finished'"


@pytest.mark.usefixtures("home")
def test_each_view_has_one_output_and_its_thread_ends_with_the_run() -> None:
    _, watched, threads = run_notebook(
        SUBMIT, "RunDetails(run).show()\nassert results.watch(run) == 'Finished'", THREADS
    )
    details, watch = watched
    assert details.data == watch.data
    assert watch.data["text/plain"].startswith("Finished after ")
    assert " · 4 child runs · best AUC_weighted " in watch.data["text/plain"]
    assert watch.data["text/html"].count("<img ") == 1
    assert threads[0].data["text/plain"] == "[]"
