from __future__ import annotations

import pytest

from nbhelpers.emulator.names import API, SCOPE

from .conftest import Ask

BASE = f"{API}/environment/v1.0{SCOPE}/environments"


@pytest.mark.parametrize("path", ["", "/versions/1", "/labels/prod"])
def test_the_curated_environment_has_the_text_that_the_sdk_searches(ask: Ask, path: str) -> None:
    found = ask("GET", f"{BASE}/AzureML-AutoML{path}").json()

    assert (found["name"], found["version"]) == ("AzureML-AutoML", "1")
    assert "scikit-learn==1.1.3" not in found["docker"]["baseDockerfile"]


@pytest.mark.parametrize("path", ["AutoML-Non-Prod", "AzureML-AutoML/versions/2", "AzureML-AutoML/labels/dev"])
def test_others_are_answered_with_the_word_that_the_sdk_goes_on_after(ask: Ask, path: str) -> None:
    answer = ask("GET", f"{BASE}/{path}")

    assert answer.status_code == 404
    assert "NotFound" in answer.text


def test_the_list_has_it_alone(ask: Ask) -> None:
    # The SDK asks with a slash at the end.
    assert [each["name"] for each in ask("GET", f"{BASE}/").json()["value"]] == ["AzureML-AutoML"]
