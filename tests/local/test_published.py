from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import uuid
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from nbhelpers.errors import ConflictError, NotFoundError, UserErrorException
from nbhelpers.local import (
    AutoMLConfig,
    AutoMLStep,
    Dataset,
    DatasetConsumptionConfig,
    Pipeline,
    PipelineParameter,
    PipelineRun,
    PublishedPipeline,
    Run,
    Workspace,
)
from nbhelpers.local.cleaning import plan_removal, remove
from nbhelpers.local.endpoints import PREFIX, set_service_port
from nbhelpers.local.published import publish
from nbhelpers.local.store import datasets, now, open_store, runs

from .conftest import bank_like, run_seed_cells
from .rows import add_run
from .test_cleaning import aged

#: What a run keeps of a pipeline, in so far as publishing looks at it.
DEFINITION = {
    "description": "small",
    "continue_on_step_failure": False,
    "steps": [{"name": "automl", "data_digest": "0123456789abcdef" * 4}],
}


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A run of the seed's cells in a workspace of this file: what its tests train would change others' reuse."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("published")
        patch.setenv("NBHELPERS_HOME", str(folder / "home"))
        patch.chdir(folder)
        bank_like().to_csv("bank.csv", index=False)
        yield run_seed_cells()


@pytest.fixture
def published(seed: SimpleNamespace) -> PublishedPipeline:
    """The seed's pipeline, with the number of iterations and the data as parameters."""
    config = AutoMLConfig(
        "classification",
        compute_target=seed.compute_target,
        training_data=DatasetConsumptionConfig("training", PipelineParameter("data", seed.dataset)),
        label_column_name="y",
        **(seed.automl_settings | {"iterations": PipelineParameter("rounds", 4)}),
    )
    pipeline = Pipeline(seed.ws, AutoMLStep("automl_module", config, outputs=[seed.metrics_data, seed.model_data]))
    return pipeline.publish("Bank", "Bank marketing", "1.0")


def reason(run: PipelineRun) -> str:
    """Why a run reuses another, or does not; one that does not is cancelled."""
    run.cancel()
    return next(run.get_steps()).properties["nbhelpers.reuse"]


def test_a_run_is_published_with_the_sdks_attributes(seed: SimpleNamespace) -> None:
    made = seed.pipeline_run.publish_pipeline(name="Bank", description="Bank marketing", version="1.0")
    assert (made.name, made.description, made.version, made.status) == ("Bank", "Bank marketing", "1.0", "Active")
    assert (made.total_run_steps, made.get_step_names()) == (1, ["automl_module"])
    assert (made.continue_on_step_failure, made.parameters) == (False, {})
    assert str(uuid.UUID(made.id)) == made.id
    again = PublishedPipeline.get(seed.ws, made.id)
    assert vars(again) == vars(made) | {"workspace": seed.ws}
    other = seed.pipeline_run.publish_pipeline("Bank", "Bank marketing", "1.0")
    assert other.id != made.id, "every publishing makes a new one"


def test_names_of_its_own_are_not_needed(seed: SimpleNamespace) -> None:
    assert seed.pipeline.publish().name == "pipeline_with_automlstep"
    assert Pipeline(seed.ws, seed.automl_step).publish().name == "pipeline"


def test_it_is_shown_as_by_the_sdk(seed: SimpleNamespace) -> None:
    made = seed.pipeline_run.publish_pipeline("<b>Bank</b>", "", "1")
    set_service_port(seed.ws.store, 9876)
    url = f"http://127.0.0.1:9876{PREFIX}/PipelineRuns/PipelineSubmit/{made.id}"
    assert made.endpoint == url
    assert repr(made) == f"Pipeline(Name: <b>Bank</b>,\nId: {made.id},\nStatus: Active,\nEndpoint: {url})"
    page = made._repr_html_()
    assert re.findall("<th>(.*?)</th>", page) == ["Name", "Id", "Status", "Endpoint"]
    assert f'<a href="{url}" target="_blank" rel="noopener">REST Endpoint</a>' in page
    assert "<td>&lt;b&gt;Bank&lt;/b&gt;</td>" in page


def test_an_unchanged_one_is_reused_at_once_and_says_why(
    seed: SimpleNamespace, published: PublishedPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    for made in (published, seed.pipeline_run.publish_pipeline("Bank", "", "1")):
        run = made.submit(seed.ws, "published", tags={"a": "b"})
        assert run.get_status() == "Finished"
        assert run.tags == {"a": "b"}
        assert run.properties["azureml.pipelineid"] == made.id
        assert run.properties["azureml.runsource"] == "azureml.PipelineRun"
        assert next(run.get_steps()).properties["azureml.reusedrunid"] == seed.step.id
        created, why, submitted = capsys.readouterr().out.splitlines()
        assert "(This step is eligible to reuse a previous run's output)" in created
        assert why == (
            "Reuse of step automl_module: reused: settings, the data (400 rows), label, engine and package versions "
            f"are those of run {seed.pipeline_run.id}"
        )
        assert submitted == f"Submitted PipelineRun {run.id}"


def test_a_changed_setting_trains_anew_and_the_new_result_is_reused(
    seed: SimpleNamespace, published: PublishedPipeline
) -> None:
    run = published.submit(seed.ws, "published", {"rounds": "2"})
    assert run.wait_for_completion(show_output=False) == "Finished"
    (step,) = run.get_steps()
    changed = rf"new run: changed since run {seed.pipeline_run.id}: iterations 4 to 2"
    assert step.properties["nbhelpers.reuse"] == changed
    assert len(list(step.get_children())) == 2
    assert f"those of run {run.id}" in reason(published.submit(seed.ws, "published", {"rounds": 2}))
    again = run.publish_pipeline("two rounds", "", "1")
    assert again.parameters["rounds"]["default"] == 2
    assert f"those of run {run.id}" in reason(again.submit(seed.ws, "published"))


def test_other_data_trains_anew_and_the_reason_names_it(seed: SimpleNamespace, published: PublishedPipeline) -> None:
    frame = bank_like()
    Dataset.Tabular.from_pandas_dataframe(frame).register(seed.ws, "bank-published")
    version_2 = Dataset.Tabular.from_pandas_dataframe(frame.iloc[10:]).register(
        seed.ws, "bank-published", create_new_version=True
    )

    def submitted(reference: dict[str, Any]) -> str:
        return reason(published.submit(seed.ws, "published", {"data": reference}))

    same = submitted({"DataSetReference": {"Name": "bank-published", "Version": "1"}})
    assert same.startswith("reused"), "the content is the same"
    assert submitted({"DataSetReference": {"Name": "bank-published"}}).endswith("data (400 to 390 rows)")
    assert re.search(
        r"waits for run|data \(400 to 390 rows\)", submitted({"SavedDataSetReference": {"Id": version_2.id}})
    )


def test_a_disabled_one_is_refused_until_it_is_enabled(seed: SimpleNamespace, published: PublishedPipeline) -> None:
    def listed(**options: bool) -> list[str]:
        return [made.id for made in PublishedPipeline.list(seed.ws, **options)]

    assert listed()[0] == published.id, "the newest comes first"
    published.disable()
    assert published.status == PublishedPipeline.get(seed.ws, published.id).status == "Disabled"
    assert published.id not in listed()
    assert published.id in listed(active_only=False)
    for submit in (
        lambda: published.submit(seed.ws, "published"),
        lambda: seed.experiment.submit(published),
        lambda: published.start("published"),
    ):
        with pytest.raises(ConflictError, match=rf"'Bank' \({published.id}\) is disabled.\nTo mend it: Enable it"):
            submit()
    assert PipelineRun.get_pipeline_runs(seed.ws, published.id) == []
    published.enable()
    assert published.id in listed()
    assert published.submit(seed.ws, "published").get_status() == "Finished"


def test_an_experiment_submits_it_too_and_its_runs_are_found(
    seed: SimpleNamespace, published: PublishedPipeline
) -> None:
    first = seed.experiment.submit(published, tags={"a": "b"}, pipeline_parameters={"rounds": 4})
    second = published.submit(seed.ws, "published-elsewhere")
    found = PipelineRun.get_pipeline_runs(seed.ws, published.id)
    assert [(run.id, run.experiment.name) for run in found] == [
        (second.id, "published-elsewhere"),
        (first.id, seed.experiment.name),
    ]
    assert first.tags == {"a": "b"}


def test_a_request_may_name_and_describe_its_run_and_prints_nothing(
    published: PublishedPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    run = published.start(
        "published", properties={"who": "me"}, tags={"a": "b"}, description="Nightly", display_name="night"
    )
    assert capsys.readouterr().out == ""
    assert run.name == "night"
    assert run.properties["who"] == "me"
    assert run._row()["definition"]["description"] == "Nightly"
    for key in ("azureml.reusedpipeline", "nbhelpers.continues"):
        with pytest.raises(UserErrorException, match=rf"property '{key}' cannot be set"):
            published.start("published", properties={key: "x"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"experiment_name": "../x"},
        {"tags": {"a": 1}},
        {"tags": {"a": "\ud800"}},
        {"properties": ["a"]},
        {"description": 5},
        {"display_name": "\udfff"},
        {"continue_on_step_failure": "no"},
        {"regenerate_outputs": 1},
        {"pipeline_parameters": [1]},
        {"pipeline_parameters": {"epochs": 1}},
    ],
)
def test_wrong_arguments_start_nothing(published: PublishedPipeline, arguments: dict[str, Any]) -> None:
    with pytest.raises(UserErrorException):
        published.start(**({"experiment_name": "published"} | arguments))
    assert PipelineRun.get_pipeline_runs(published.workspace, published.id) == []


@pytest.mark.parametrize(
    "wrong", ["", "x", "../../etc/passwd", str(uuid.uuid4()), "{id}", "{id}\n", "'; --", "\ud800", "a" * 10**6, None, 5]
)
def test_what_is_no_id_of_one_is_no_published_pipeline(
    seed: SimpleNamespace, published: PublishedPipeline, wrong: str
) -> None:
    if wrong == "{id}":
        wrong = published.id.replace("-", "")
    elif wrong == "{id}\n":
        wrong = published.id + "\n"
    with pytest.raises(NotFoundError, match="The workspace has no published pipeline ") as caught:
        PublishedPipeline.get(seed.ws, wrong)
    assert len(str(caught.value)) < 500
    with pytest.raises(NotFoundError, match="The workspace has no published pipeline "):
        PipelineRun.get_pipeline_runs(seed.ws, wrong)


def test_one_of_another_workspace_is_not_there(published: PublishedPipeline, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=f"has no published pipeline '{published.id}'"):
        published.submit(Workspace(open_store(tmp_path / "other")), "published")


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": 5},
        {"name": "x" * 256},
        {"name": "a\nb"},
        {"description": 5},
        {"version": 1},
        {"continue_on_step_failure": "no"},
    ],
)
def test_what_cannot_be_published(seed: SimpleNamespace, arguments: dict[str, Any]) -> None:
    before = len(PublishedPipeline.list(seed.ws, active_only=False))
    for publishing in (seed.pipeline.publish, seed.pipeline_run.publish_pipeline):
        with pytest.raises(UserErrorException):
            publishing(**arguments)
    assert len(PublishedPipeline.list(seed.ws, active_only=False)) == before


@pytest.mark.parametrize("status", ["Failed", "Canceled"])
def test_a_run_that_ended_badly_is_not_published(workspace: Workspace, status: str) -> None:
    run_id, _ = add_run(workspace.store, status=status, definition=DEFINITION)
    run = Run.get(workspace, run_id)
    assert isinstance(run, PipelineRun)
    with pytest.raises(ConflictError, match=f"is {status}, so its pipeline is not published.*\n.*continue_run"):
        run.publish_pipeline("a", "b", "c")


def test_a_run_at_work_is_published(workspace: Workspace) -> None:
    run_id, _ = add_run(workspace.store, status="Running", definition=DEFINITION)
    run = Run.get(workspace, run_id)
    assert isinstance(run, PipelineRun)
    assert run.publish_pipeline("a", "b", "c").status == "Active"


def test_it_outlives_its_run_and_keeps_its_data(seed: SimpleNamespace, tmp_path: Path) -> None:
    shutil.copytree(seed.ws.store.home, tmp_path / "home")
    workspace = Workspace(open_store(tmp_path / "home"))
    store = workspace.store
    run = Run.get(workspace, seed.pipeline_run.id)
    assert isinstance(run, PipelineRun)
    made = run.publish_pipeline("Bank", "", "1")
    made.disable()  # for it may be enabled again
    with store.writing() as connection:
        connection.execute(datasets.delete())
        connection.execute(runs.update().values(status="Finished", ended=now()))
    for table in store.data_folder.iterdir():
        aged(table)
    remove(store, plan_removal(store, 0))
    assert store.all(sa.select(runs.c.id)) == []
    made = PublishedPipeline.get(workspace, made.id)
    made.enable()
    again = made.submit(workspace, "after")
    assert next(again.get_steps()).properties["nbhelpers.reuse"] == "new run: no earlier run has finished"
    assert again.wait_for_completion(show_output=False) == "Finished"
    assert next(again.get_steps()).properties["train_rows"] == "400"


def test_a_run_that_is_cleaned_away_in_the_meantime_is_not_published(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="Run gone was removed from the workspace"):
        publish(workspace, DEFINITION, None, None, None, run_id="gone")
    assert PublishedPipeline.list(workspace) == []


def _publish(home: Path, number: int, barrier: Barrier) -> None:
    workspace = Workspace(open_store(home))
    barrier.wait()
    for k in range(10):
        publish(workspace, DEFINITION, f"{number}-{k}", None, None)


def test_two_processes_publish_at_once(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [context.Process(target=_publish, args=(workspace.store.home, k, barrier)) for k in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    found = PublishedPipeline.list(workspace)
    assert sorted(made.name for made in found) == sorted(f"{number}-{k}" for number in range(2) for k in range(10))
    assert len({made.id for made in found}) == 20
    assert all(made._definition == json.loads(json.dumps(DEFINITION)) for made in found)
