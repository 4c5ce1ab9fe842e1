from __future__ import annotations

from types import SimpleNamespace

import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import RunDetails


def test_a_run_is_shown_with_its_steps_and_children(seed: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    RunDetails(seed.pipeline_run).show()
    text = capsys.readouterr().out
    assert text.startswith(f"PipelineRun {seed.pipeline_run.id}: Finished")
    assert "automl_module" in text
    best = f"{seed.step.get_best_child().get_metrics()['AUC_weighted']:.5f}"
    assert f"AUC_weighted {best}" in text
    assert "VotingEnsemble" in text
    html = RunDetails(seed.step)._repr_html_()
    assert html.count("<tr>") == 1 + 1 + 1 + 4
    assert best in html


def test_what_is_no_such_run_is_refused(seed: SimpleNamespace) -> None:
    with pytest.raises(UserErrorException, match="cannot show a Experiment"):
        RunDetails(seed.experiment)
