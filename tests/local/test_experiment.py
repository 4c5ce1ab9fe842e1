from __future__ import annotations

from types import SimpleNamespace

import pytest

from nbhelpers.errors import UserErrorException
from nbhelpers.local import Experiment, Workspace


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a/b", "a" * 256, "a\n", None, 3])
def test_a_name_against_the_rule_is_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(UserErrorException, match="cannot be the name of an experiment"):
        Experiment(workspace, name)
    assert len(workspace.experiments) == 0


@pytest.mark.parametrize("name", ["a", "1-b_C", "a" * 255])
def test_an_experiment_is_created_once(workspace: Workspace, name: str) -> None:
    Experiment(workspace, name)
    Experiment(workspace, name)
    assert list(workspace.experiments) == [name]


def test_tags_are_added_and_kept(workspace: Workspace) -> None:
    Experiment(workspace, "one").set_tags({"a": "1", "b": "2"})
    Experiment(workspace, "one").set_tags({"b": "3"})
    assert Experiment(workspace, "one").tags == {"a": "1", "b": "3"}


def test_the_html_table_has_the_sdks_columns(workspace: Workspace) -> None:
    table = Experiment(workspace, "one")._repr_html_()
    for text in ("Name", "Workspace", "Report Page", "Docs Page", "one", "local", "Link to Documentation"):
        assert text in table
    assert table.count("href") == 1


def test_runs_are_listed_newest_first(seed: SimpleNamespace) -> None:
    other = Experiment(seed.ws, "other-list")
    runs = [other.submit(seed.pipeline, tags={"n": str(n)}) for n in range(2)]
    assert [run.id for run in other.get_runs()] == [runs[1].id, runs[0].id]
    assert other.get_runs()[0].tags == {"n": "1"}
    assert seed.pipeline_run.id in [run.id for run in seed.experiment.get_runs()]


def test_only_a_pipeline_can_be_submitted(seed: SimpleNamespace) -> None:
    with pytest.raises(UserErrorException, match="cannot submit a AutoMLConfig"):
        seed.experiment.submit(seed.automl_config)
    with pytest.raises(UserErrorException, match="the pipeline has no parameters"):
        seed.experiment.submit(seed.pipeline, pipeline_parameters={"epochs": 3})
