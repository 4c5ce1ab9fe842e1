from __future__ import annotations

import re
import subprocess
import sys

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import nbhelpers
from nbhelpers.local import PublishedPipeline, Workspace
from nbhelpers.local.endpoints import PREFIX, workspace_id
from nbhelpers.service.app import create_app
from nbhelpers.service.limits import Limits

from .conftest import Headers


def test_healthz_takes_no_token_and_names_the_workspace(client: httpx.Client, workspace: Workspace) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "workspace": workspace_id(workspace.store),
        "version": nbhelpers.__version__,
    }


def test_the_page_of_the_api_asks_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert not re.findall(r"https?://[^\s\"']+", page.text)
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(files) == 3
    for file in files:
        assert client.get(file).status_code == 200
    assert client.get("/static-offline-docs/../__init__.py").status_code == 404
    assert client.get("/static-offline-docs/%2e%2e/core.py").status_code == 404


def test_the_document_names_each_answer_and_the_token(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {
        "HTTPBearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the workspace: `nbhelpers token create`",
        }
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert path == "/healthz" or {"401", "403", "429"} <= operation["responses"].keys()


def test_each_reference_in_the_document_leads_to_a_schema(client: httpx.Client) -> None:
    found = client.get("/openapi.json")
    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', found.text))
    assert found.text.count('"$ref"') == found.text.count('"$ref":"#/components/schemas/')
    assert references <= found.json()["components"]["schemas"].keys()
    assert "Submission" in references


def test_answers_are_not_kept_by_browsers(client: httpx.Client) -> None:
    for path in ("/healthz", "/nowhere"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_importing_the_package_does_not_load_the_service() -> None:
    code = "import sys, nbhelpers.cli, nbhelpers.service; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"fastapi", "uvicorn", "pydantic", "sqlalchemy", "pandas"} & set(loaded)


@pytest.mark.parametrize("limits", [Limits(requests_per_second=10**6, burst=10**6, unfinished_runs=0)])
def test_whatever_is_sent_is_answered_as_the_document_says(
    client: httpx.Client, workspace: Workspace, published: PublishedPipeline, headers: Headers
) -> None:
    """Requests that the document allows and forbids, made by schemathesis; no run is started, the queue has no room."""
    document = create_app(workspace).openapi()
    sent = headers("submit", "read", "score")
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = str(client.base_url).rstrip("/")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 12
    bounded = settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for operation in operations:
        cases = [
            operation.as_strategy(generation_mode=mode)
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
        ]

        @bounded
        @given(st.one_of(cases))
        def check(case: schemathesis.Case) -> None:
            answer = case.call(headers=sent, timeout=60)
            documented = operation.definition.raw["responses"].keys()  # noqa: B023 - called in this turn of the loop
            assert str(answer.status_code) in documented | {"404", "405"}, f"{case.as_curl_command()}\n{answer.text}"
            assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.text}"
            assert "x-ms-request-id" in answer.headers
            if answer.status_code >= 400:
                assert answer.json()["Error"]["Code"]

        check()
    assert published.status in ("Active", "Disabled")
    assert client.get(f"{PREFIX}/Pipelines?activeOnly=false", headers=sent).status_code == 200
