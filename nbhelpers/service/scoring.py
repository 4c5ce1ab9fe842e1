"""Deployed models: rows in, predictions out, and what a row must look like."""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from nbhelpers.errors import UserErrorException
from nbhelpers.local import models
from nbhelpers.local.endpoints import SCORE_PATH, SERVICE_PATH, SWAGGER_PATH, service_url
from nbhelpers.local.registry import Model
from nbhelpers.local.rows import frame_of
from nbhelpers.local.webservices import NAME, Webservice
from nbhelpers.local.workspace import Workspace
from nbhelpers.service.errors import RESPONSES, STATUSES, HTTPProblem
from nbhelpers.service.limits import read_json
from nbhelpers.service.security import authorised

if TYPE_CHECKING:
    import pandas as pd

#: So many probabilities are in one answer at most: about 20 MB.
MOST_PROBABILITIES = 1_000_000
METHODS = ("predict", "predict_proba")

_COMMON = (400, 401, 403, 404, 429, 500, 503)
_FOR_ROWS = (*_COMMON, 408, 413, 415)
_loading = threading.Lock()

router = APIRouter(
    tags=["Web services"],
    dependencies=[Depends(authorised("score"))],
    responses={status: RESPONSES[status] for status in _COMMON},
)
Name = Annotated[str, Path(pattern=NAME, description="The name of the web service")]


def _body_schema(row: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "array", "minItems": 1, "items": row}
    method = {"enum": list(METHODS), "default": METHODS[0]}
    return {
        "type": "object",
        "required": ["data"],
        "properties": {"data": data, "method": method},
        "additionalProperties": False,
    }


@router.post(
    SCORE_PATH,
    responses={status: RESPONSES[status] for status in _FOR_ROWS},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _body_schema({"type": "object", "minProperties": 1})}},
        }
    },
)
async def score(name: Name, request: Request) -> JSONResponse:
    """Predict for rows: `{"result": […]}`, for a classification also the probability of each class.

    With the method `predict_proba`, `result` has a list of probabilities for each row, in the order of `classes`.
    """
    limits = request.app.state.limits
    body = await read_json(request, limits.score_bytes)
    return await run_in_threadpool(_answer, request.app.state.workspace, name, body, limits.score_rows)


@router.get(SERVICE_PATH)
def describe(name: Name, request: Request) -> dict[str, Any]:
    """Tell what a web service is."""
    service = Webservice(request.app.state.workspace, name)
    return {
        "name": service.name,
        "state": service.state,
        "description": service.description,
        "created": service.created_time.isoformat(),
        "model": service.models[0].id,
        "scoring_uri": service.scoring_uri,
        "swagger_uri": service.swagger_uri,
    }


@router.get(SWAGGER_PATH)
def swagger(name: Name, request: Request) -> dict[str, Any]:
    """Give the OpenAPI document of one web service."""
    service = Webservice(request.app.state.workspace, name)
    return {
        "openapi": "3.1.0",
        "info": {"title": service.name, "version": service.models[0].id, "description": service.description or ""},
        "servers": [{"url": service_url(service.workspace.store)}],
        "paths": _paths(service),
        "components": {
            "schemas": _schemas(service),
            "securitySchemes": {"HTTPBearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def add_schemas(document: dict[str, Any], workspace: Workspace) -> None:
    """Add each deployed model to an OpenAPI document: the path of its rows, and what they must look like."""
    for service in Webservice.list(workspace):
        document["paths"] |= _paths(service)
        document["components"]["schemas"] |= _schemas(service)


def predict(pipeline: Any, frame: pd.DataFrame, method: str) -> dict[str, Any]:
    """What a model says of rows, as JSON has it.

    Raises
    ------
    UserErrorException
        Probabilities are asked of a regression.
    DataError
        A text in the rows cannot be read as the number or date that it was in training.
    """
    if not hasattr(pipeline, "classes_"):
        if method == "predict_proba":
            raise UserErrorException("The model predicts a quantity, which has no probabilities.", "use predict")
        return {"result": pipeline.predict(frame).tolist()}
    probabilities, classes = pipeline.predict_proba(frame), pipeline.classes_
    if method == "predict_proba":
        return {"result": probabilities.tolist(), "classes": classes.tolist()}
    names = [_key(label) for label in classes.tolist()]
    return {
        "result": classes[probabilities.argmax(axis=1)].tolist(),
        "probabilities": [dict(zip(names, row, strict=True)) for row in probabilities.tolist()],
    }


def _answer(workspace: Workspace, name: str, body: Any, most_rows: int) -> JSONResponse:
    service = Webservice(workspace, name)
    if not isinstance(body, dict) or "data" not in body or not body.keys() <= {"data", "method"}:
        raise HTTPProblem(400, "BadRequest", 'The body is not of the form {"data": […], "method": "predict"}.', "body")
    rows, method = body["data"], body.get("method", METHODS[0])
    if method not in METHODS:
        raise HTTPProblem(400, "BadRequest", f"The method is neither {' nor '.join(METHODS)}.", "method")
    most_rows = min(most_rows, MOST_PROBABILITIES // len(service.classes or [0]))
    if isinstance(rows, list) and len(rows) > most_rows:
        message = f"There are {len(rows):,} rows; send at most {most_rows:,} at once."
        raise HTTPProblem(413, "PayloadTooLarge", message, "data")
    frame = frame_of(rows, service.columns, service.label)
    # No answer with NaN in it leaves: JSONResponse refuses to write it.
    return JSONResponse(predict(_pipeline(service.models[0]), frame, method))


def _pipeline(model: Model) -> Any:
    """The fitted pipeline of a model, loaded once while it is in use."""
    with _loading:
        return _load(model.workspace, model.run_id)


@lru_cache(maxsize=4)
def _load(workspace: Workspace, run_id: str) -> Any:
    return models.load(models.model_file(workspace.store, run_id), workspace)


def _key(label: object) -> str:
    """A class as the key of its probability: a text as it is, others as JSON writes them."""
    return label if isinstance(label, str) else json.dumps(label)


def _paths(service: Webservice) -> dict[str, Any]:
    example = {"data": [service.example], "method": METHODS[0]}
    answers = {"200": {"description": "The predictions", "content": _content(service, "Answer")}}
    answers |= {str(status): {"description": STATUSES[status][1]} for status in _FOR_ROWS}
    operation = {
        "tags": ["Web services"],
        "summary": f"Predict {service.label}",
        "description": f"The model is {service.models[0].id}.",
        "operationId": f"score_{service.name}",
        "security": [{"HTTPBearer": []}],
        "requestBody": {"required": True, "content": _content(service, "Request", example=example)},
        "responses": answers,
    }
    return {SCORE_PATH.format(name=service.name): {"post": operation}}


def _content(service: Webservice, part: str, **more: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{service.name}.{part}"}, **more}}


def _schemas(service: Webservice) -> dict[str, Any]:
    columns = {column.name: column.json_schema for column in service.columns}
    row = {
        "type": "object",
        "required": list(columns),
        "properties": columns,
        "additionalProperties": False,
        "examples": [service.example],
    }
    number = {"type": "number"}
    if service.classes is None:
        answer: dict[str, Any] = {"result": {"type": "array", "items": number}}
    else:
        names = [_key(label) for label in service.classes]
        of_row = {"type": "object", "required": names, "properties": dict.fromkeys(names, number)}
        answer = {
            "result": {
                "type": "array",
                "items": {"anyOf": [{"enum": service.classes}, {"type": "array", "items": number}]},
            },
            "probabilities": {"type": "array", "items": of_row},
            "classes": {"const": service.classes},
        }
    return {
        f"{service.name}.Row": row,
        f"{service.name}.Request": _body_schema({"$ref": f"#/components/schemas/{service.name}.Row"}),
        f"{service.name}.Answer": {"type": "object", "required": ["result"], "properties": answer},
    }
