"""Published pipelines, in Python and over REST."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from nbhelpers import results

from .runs import Seen, outputs, pipeline_of

pytestmark = pytest.mark.usefixtures("service")


def post(endpoint: str, header: dict[str, str], **body: Any) -> requests.Response:
    return requests.post(endpoint, headers=header, json={"ExperimentName": "rest", **body}, timeout=60)


def test_a_published_pipeline_is_found(ml: Any, ws: Any, published: Any) -> None:
    assert (published.name, published.description, published.version) == ("bank", "of the tests", "1.0")
    assert published.status == "Active"
    assert published.endpoint.endswith(f"/PipelineRuns/PipelineSubmit/{published.id}")
    found = ml.PublishedPipeline.get(ws, published.id)
    assert (found.id, found.name, found.endpoint) == (published.id, published.name, published.endpoint)
    assert published.id in [listed.id for listed in ml.PublishedPipeline.list(ws)]
    assert results.find_published(ml, ws, published.id).id == published.id


def test_an_unknown_pipeline_is_not_found(ml: Any, ws: Any, published: Any, header: dict[str, str]) -> None:
    unknown = "00000000-0000-4000-a000-00000000ffff"
    with pytest.raises(Exception, match=unknown):
        ml.PublishedPipeline.get(ws, unknown)
    assert post(published.endpoint.replace(published.id, unknown), header).status_code == 404


def test_a_request_starts_a_run_that_reuses(
    ml: Any, ws: Any, published: Any, header: dict[str, str], seen: Seen
) -> None:
    answer = post(published.endpoint, header)
    answer.raise_for_status()
    run = ml.PipelineRun(ws.experiments["rest"], answer.json()["Id"])
    assert run.wait_for_completion(show_output=False) == "Finished"
    step = results.automl_step(run)
    assert step.get_properties()["azureml.reusedrunid"] == results.automl_step(seen.run).id
    assert run.id in [made.id for made in ml.PipelineRun.get_pipeline_runs(ws, published.id)]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer a.b.c"}])
def test_a_wrong_token_is_refused(published: Any, header: dict[str, str]) -> None:
    assert post(published.endpoint, header).status_code == 401


def test_a_disabled_pipeline_starts_nothing(ml: Any, ws: Any, seen: Seen, header: dict[str, str]) -> None:
    published = seen.run.publish_pipeline("switched", "off and on", "1.0")
    published.disable()
    assert ml.PublishedPipeline.get(ws, published.id).status == "Disabled"
    assert published.id not in [listed.id for listed in ml.PublishedPipeline.list(ws)]
    assert published.id in [listed.id for listed in ml.PublishedPipeline.list(ws, active_only=False)]
    assert 400 <= post(published.endpoint, header).status_code < 500
    published.enable()
    assert ml.PublishedPipeline.get(ws, published.id).status == "Active"
    assert post(published.endpoint, header).status_code == 200


def test_a_pipeline_is_published_without_a_run(
    ml: Any, ws: Any, target: Any, dataset: Any, header: dict[str, str], seen: Seen
) -> None:
    pipeline = pipeline_of(ml, target, training_data=dataset, outputs=outputs(ml, ws))
    published = pipeline.publish("not run", "published as it is", "2.0")
    assert (published.name, published.version, published.status) == ("not run", "2.0", "Active")
    answer = post(published.endpoint, header)
    answer.raise_for_status()
    run = ml.PipelineRun(ws.experiments["rest"], answer.json()["Id"])
    assert run.wait_for_completion(show_output=False) == "Finished"
    facts = results.automl_step(run).get_properties()
    assert facts["azureml.reusedrunid"] == results.automl_step(seen.run).id  # it is the plan of that run


def test_a_published_pipeline_is_submitted_in_python(ws: Any, published: Any) -> None:
    run = published.submit(ws, "from-python")
    assert run.wait_for_completion(show_output=False) == "Finished"


def test_a_request_may_change_the_data_of_a_local_pipeline(
    ml: Any, ws: Any, target: Any, dataset: Any, header: dict[str, str], url: str, backend: str
) -> None:
    data = ml.DatasetConsumptionConfig("training", ml.PipelineParameter("data", dataset))
    if backend == "azure":  # the SDK's AutoMLStep takes no parameter
        with pytest.raises(ValueError, match="DatasetConsumptionConfig for training_data must be constructed with"):
            pipeline_of(ml, target, training_data=data)
        return
    other = ml.Dataset.Tabular.from_delimited_files(f"{url}/narrow.csv").register(ws, "other")
    published = pipeline_of(ml, target, training_data=data, iterations=1).publish("changeable", "its data is", "1.0")
    change = {"data": {"DataSetReference": {"Name": "other", "Version": "1"}}}
    answer = post(published.endpoint, header, DataSetDefinitionValueAssignments=change)
    answer.raise_for_status()
    run = ml.PipelineRun(ws.experiments["rest"], answer.json()["Id"])
    assert run.wait_for_completion(show_output=False) == "Finished"
    _, model = results.automl_step(run).get_output()
    assert len(model.predict(other.to_pandas_dataframe()[["age"]])) == 300  # it was trained on age alone


@pytest.mark.parametrize(
    "change",
    [
        {"ParameterAssignments": {"missing": 1}},
        {"DataSetDefinitionValueAssignments": {"missing": {"DataSetReference": {"Name": "bank"}}}},
    ],
)
def test_a_parameter_that_the_pipeline_does_not_have_is_refused(
    published: Any, header: dict[str, str], change: dict[str, Any]
) -> None:
    answer = post(published.endpoint, header, **change)
    assert answer.status_code == 400
    assert "missing" in answer.text


def test_a_request_without_an_experiment_is_refused(published: Any, header: dict[str, str]) -> None:
    answer = requests.post(published.endpoint, headers=header, json={}, timeout=60)
    assert answer.status_code == 400
