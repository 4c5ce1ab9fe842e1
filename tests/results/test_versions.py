from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

from nbhelpers.results.versions import ENVIRONMENT, VERSIONS, differences, remedy


def child_with(versions: dict[str, str]) -> SimpleNamespace:
    def download_file(name: str, path: str) -> None:
        assert name == VERSIONS
        Path(path).write_text(json.dumps(versions))

    return SimpleNamespace(id="step_3", download_file=download_file)


def test_packages_of_other_versions_and_missing_ones_are_named():
    needed = {
        "azureml-train-automl-runtime": "1.62.0",
        "numpy": metadata.version("numpy"),
        "scikit-learn": "0.22.1",
        "rich": "0.1",  # no part of a model
    }
    assert differences(child_with(needed)) == ["azureml-train-automl-runtime==1.62.0", "scikit-learn==0.22.1"]


def test_a_run_that_does_not_tell_its_versions_is_not_refused():
    assert differences(SimpleNamespace(id="step_3")) == []


def test_the_remedy_is_a_command_for_the_environment_of_the_run():
    said = remedy(child_with({}))
    assert f"'step_3').download_file('{ENVIRONMENT}')" in said
    assert "conda env create --name automl-model --file conda_env_v_1_0_0.yml" in said
