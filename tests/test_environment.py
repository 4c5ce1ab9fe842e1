"""The locks, environment.yml and pyproject.toml agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
LOCKS = ["base", "dev", "azure"]
#: The packages that the project is fixed to have.
CARD = {"jupyter", "papermill", "nbval", "azureml-core", "azureml-pipeline", "azureml-widgets", "matplotlib"}


def locked(name: str) -> dict[str, str]:
    """Package to version, from a lock."""
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def asked_for(name: str) -> set[str]:
    """The packages that a list names itself or by including another."""
    packages: set[str] = set()
    for line in (REQUIREMENTS / f"{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            packages |= asked_for(line[3:].removesuffix(".in"))
        elif line and not line.startswith("#"):
            packages.add(re.split(r"[<>=~ \[]", line)[0])
    return packages


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_and_hashes_every_package_it_was_made_from(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (REQUIREMENTS / f"{name}.txt").read_text().strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    assert asked_for(name) <= locked(name).keys()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_names_no_index_path_or_command(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    assert not re.search(r"https?:|--(extra-)?index|--find-links|uv pip|file:|/home/|/tmp/", text)


@pytest.mark.parametrize("name", ["base", "dev"])
def test_lock_has_the_versions_of_the_azure_lock(name: str) -> None:
    assert locked(name).items() <= locked("azure").items()


def test_base_lock_goes_without_the_sdk() -> None:
    assert not [package for package in locked("base") if package.startswith(("azure", "msal", "msrest"))]


def test_environment_yml_installs_the_azure_lock_and_gives_a_reason_for_each_package() -> None:
    text = (ROOT / "environment.yml").read_text()
    dependencies = yaml.safe_load(text)["dependencies"]
    assert dependencies[:2] == ["python=3.11", "pip"]
    lock, *packages = dependencies[2]["pip"]
    assert lock == "--requirement requirements/azure.txt"
    versions = locked("azure")
    assert packages == [f"{name}=={versions[name]}" for name in (package.split("==")[0] for package in packages)]
    assert {package.split("==")[0] for package in packages} == asked_for("azure") >= CARD
    assert all(re.search(rf"- {re.escape(package)} +# \w", text) for package in packages)


def test_pyproject_names_what_the_lists_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=~ \[]", entry)[0] for entry in project["dependencies"]}
    extras = {
        extra: {re.split(r"[<>=~ \[]", entry)[0] for entry in entries}
        for extra, entries in project["optional-dependencies"].items()
    }
    assert names == asked_for("base") - {"setuptools"}
    assert extras == {"dev": asked_for("dev") - asked_for("base"), "azure": asked_for("azure") - asked_for("dev")}
