from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import uvicorn
from fastapi.openapi.models import OpenAPI
from fastapi.testclient import TestClient

from nbhelpers.errors import WebserviceException
from nbhelpers.local import Dataset, Model, Webservice, Workspace
from nbhelpers.local.endpoints import set_service_port
from nbhelpers.local.models import model_file
from nbhelpers.service import scoring
from nbhelpers.service.app import create_app
from nbhelpers.service.limits import Limits

from ..local.conftest import bank_like
from ..local.deployed import deploy, features, mixed, register_model
from .conftest import Headers

URL = "/api/v1/service/bank/score"


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as a client would send them."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
    return [{str(k): v.isoformat() if isinstance(v, pd.Timestamp) else v for k, v in row.items()} for row in rows]


def as_stored(workspace: Workspace, frame: pd.DataFrame) -> pd.DataFrame:
    """The table as a notebook reads it."""
    return Dataset.Tabular.register_pandas_dataframe(
        frame, workspace.get_default_datastore(), "new", show_progress=False
    ).to_pandas_dataframe()


def unseen() -> pd.DataFrame:
    """Rows that training did not see, some with a category or values that it did not see either."""
    frame = features(mixed(60, seed=1))
    frame.loc[:4, "job"] = "astronaut"
    frame.loc[5:9, ["amount", "share"]] = [1e12, -1e12]
    frame.loc[10, "note"] = None
    return frame


def deploy_mixed(workspace: Workspace, label: str, **settings: Any) -> Webservice:
    frame = mixed()
    return deploy(workspace, features(frame).assign(**{label: frame[label]}), label, **settings)


@pytest.fixture
def bank(workspace: Workspace) -> Webservice:
    return deploy(workspace, bank_like(), "y", iterations=1)


@pytest.fixture
def score(client: TestClient, headers: Headers) -> Any:
    """Post to the service ``bank``: gives the answer, whatever its status."""
    mine = headers("score")
    return lambda body, **options: client.post(URL, **{"json": body, "headers": mine} | options)


@pytest.mark.parametrize("label", ["text", "truth", "whole", "fraction", "many"])
def test_a_classification_is_answered_as_the_model_does(workspace: Workspace, score: Any, label: str) -> None:
    service = deploy_mixed(workspace, label)
    model, frame = service.models[0].load(), as_stored(workspace, unseen())
    expected = model.predict_proba(frame)
    answer = score({"data": rows_of(unseen())}).json()
    assert answer["result"] == model.predict(frame).tolist()
    assert {type(value) for value in answer["result"]} == {type(value) for value in service.classes or []}
    assert np.array_equal([list(row.values()) for row in answer["probabilities"]], expected)
    keys = [value if isinstance(value, str) else json.dumps(value) for value in service.classes or []]
    assert list(answer["probabilities"][0]) == keys
    answer = score({"data": rows_of(unseen()), "method": "predict_proba"}).json()
    assert answer["classes"] == service.classes
    assert np.array_equal(answer["result"], expected)


def test_a_regression_is_answered_as_the_model_does(workspace: Workspace, score: Any) -> None:
    service = deploy_mixed(workspace, "quantity")
    expected = service.models[0].load().predict(as_stored(workspace, unseen()))
    assert score({"data": rows_of(unseen())}).json() == {"result": expected.tolist()}
    refused = score({"data": rows_of(unseen()), "method": "predict_proba"})
    assert refused.status_code == 400
    assert "has no probabilities" in refused.json()["Error"]["Message"]


def test_a_row_gets_the_same_answer_alone_as_among_others(workspace: Workspace, score: Any) -> None:
    deploy_mixed(workspace, "text")
    rows = rows_of(unseen())[:12]
    together = score({"data": rows, "method": "predict_proba"}).json()["result"]
    alone = [score({"data": [row], "method": "predict_proba"}).json()["result"][0] for row in rows]
    np.testing.assert_allclose(alone, together, rtol=1e-12)


def test_a_row_without_any_value_is_answered(workspace: Workspace, score: Any) -> None:
    deploy_mixed(workspace, "text")
    row = dict.fromkeys(features(mixed()).columns)
    assert score({"data": [row]}).json()["result"][0] in ("no", "yes")


def test_a_text_that_was_a_number_in_training_must_be_one(workspace: Workspace, score: Any) -> None:
    service = deploy_mixed(workspace, "text", iterations=1)
    refused = score({"data": [service.example | {"code": "A-17"}]})
    assert refused.status_code == 400
    assert "Column 'code': 'A-17' is not a number" in refused.json()["Error"]["Message"]


@pytest.mark.usefixtures("bank")
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"data": [{"age": 30}]}, "data[0] lacks the column 'job'"),
        ({"data": [{"age": "x", "job": "a", "duration": 1}]}, "data[0] has \"x\" in column 'age'"),
        ({"data": [{"age": 1, "job": "a", "duratoin": 1}]}, "did you mean 'duration'?"),
        ({"data": [{"age": 1, "job": "a", "duration": 1, "y": "no"}]}, 'data[0] has "y", which is what is predicted'),
        ({"data": []}, "no list of rows"),
        ({"data": {"age": [1]}}, "no list of rows"),
        ({}, "not of the form"),
        ([], "not of the form"),
        ("text", "not of the form"),
        ({"data": [], "methd": "predict"}, "not of the form"),
        ({"data": [], "method": "fit"}, "neither predict nor predict_proba"),
        ({"data": [], "method": ["predict"]}, "neither predict nor predict_proba"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(score: Any, body: object, problem: str) -> None:
    refused = score(body)
    assert refused.status_code == 400
    assert problem in refused.json()["Error"]["Message"]


@pytest.mark.usefixtures("bank")
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000, '"\\ud800"', "[" * 100_000])
def test_what_json_or_a_column_cannot_hold_is_refused(score: Any, headers: Headers, value: str) -> None:
    content = f'{{"data": [{{"age": 1, "job": "student", "duration": {value}}}]}}'
    sent = headers("score") | {"Content-Type": "application/json"}
    assert score(None, json=None, content=content, headers=sent).status_code == 400


def test_more_rows_or_probabilities_than_allowed_are_refused(
    workspace: Workspace, bank: Webservice, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(workspace, Limits(score_rows=3, score_bytes=5_000))
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def status(rows: int) -> int:
            return client.post(URL, json={"data": [bank.example] * rows}, headers=headers("score")).status_code

        assert [status(rows) for rows in (3, 4, 1_000)] == [200, 413, 413]
        monkeypatch.setattr(scoring, "MOST_PROBABILITIES", 5)
        assert [status(rows) for rows in (2, 3)] == [200, 413]


def test_the_service_and_its_document_need_a_token_for_scoring(
    client: TestClient, bank: Webservice, headers: Headers
) -> None:
    for path in ("", "/swagger.json", "/score"):
        ask = client.post if path == "/score" else client.get
        assert ask(f"/api/v1/service/bank{path}").status_code == 401
        assert ask(f"/api/v1/service/bank{path}", headers=headers("read", "submit")).status_code == 403
    told = client.get("/api/v1/service/bank", headers=headers("score")).json()
    assert (told["name"], told["state"], told["model"]) == ("bank", "Healthy", "bank:1")
    assert told["scoring_uri"] == bank.scoring_uri


def test_a_service_that_is_not_there_is_404(client: TestClient, headers: Headers) -> None:
    for name in ("bank", "a-service"):
        assert client.get(f"/api/v1/service/{name}", headers=headers("score")).status_code == 404
    for name in ("BANK", "..%2fbank", "b" * 1000):
        assert client.get(f"/api/v1/service/{name}", headers=headers("score")).status_code in (400, 404)


def test_a_model_is_loaded_once_and_another_one_answers_after_an_update(
    workspace: Workspace, bank: Webservice, score: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    monkeypatch.setattr(
        scoring.models, "load", lambda file, *a, load=scoring.models.load: loaded.append(file) or load(file, *a)
    )
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(score, [{"data": [bank.example]}] * 8))
    assert [answer.status_code for answer in answers] == [200] * 8
    second = register_model(workspace, bank_like()[["age", "duration", "y"]], "y", iterations=1)
    bank.update(models=[second])
    assert score({"data": [{"age": 30, "duration": 5}]}).status_code == 200
    assert loaded == [
        model_file(workspace.store, model.run_id) for model in (Model(workspace, "bank", version=1), second)
    ]


def test_a_deleted_service_answers_no_more(bank: Webservice, score: Any) -> None:
    assert score({"data": [bank.example]}).status_code == 200
    bank.delete()
    assert score({"data": [bank.example]}).status_code == 404


@pytest.mark.parametrize("label", ["text", "truth", "quantity"])
def test_the_documents_are_openapi_and_describe_what_is_sent_and_answered(
    workspace: Workspace, client: TestClient, headers: Headers, score: Any, label: str
) -> None:
    service = deploy_mixed(workspace, label, iterations=1)
    own = client.get("/api/v1/service/bank/swagger.json", headers=headers("score")).json()
    whole = client.get("/openapi.json").json()
    for document in (own, whole):
        OpenAPI.model_validate(document)
        assert document["openapi"].startswith("3.1")
        operation = document["paths"][URL]["post"]
        sent = operation["requestBody"]["content"]["application/json"]
        assert sent["example"]["data"] == [service.example]
        answer = score(sent["example"])
        probabilities = {} if label == "quantity" else {"method": "predict_proba"}
        again = score(sent["example"] | probabilities)
        shown = operation["responses"]["200"]["content"]["application/json"]["schema"]
        for value, schema in [(sent["example"], sent["schema"]), (answer.json(), shown), (again.json(), shown)]:
            resolved = schema | {"components": document["components"]}
            jsonschema.Draft202012Validator.check_schema(resolved)
            jsonschema.validate(value, resolved)
        for row in ({}, service.example | {"new": 1}, service.example | {"age": "x"}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"data": [row]}, sent["schema"] | {"components": document["components"]})


@contextmanager
def running(workspace: Workspace) -> Iterator[None]:
    """The service of a workspace, listening on a port of its own."""
    config = uvicorn.Config(create_app(workspace), port=0, log_level="warning")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    set_service_port(workspace.store, listener.getsockname()[1])
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def test_a_notebook_asks_the_service_over_http(workspace: Workspace, bank: Webservice) -> None:
    with running(workspace):
        answer = bank.run(json.dumps({"data": [bank.example]}))
        assert answer == bank.run(json.dumps({"data": [bank.example]}).encode())
        assert answer["result"][0] in ("no", "yes")
        with pytest.raises(WebserviceException, match=r"answered 400: .*lacks the column 'job'.*\n.*service\.example"):
            bank.run(json.dumps({"data": [{"age": 1}]}))
