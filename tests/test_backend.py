from __future__ import annotations

import importlib.util
import re

import pytest

from nbhelpers import connect
from nbhelpers.errors import BackendError

HAS_SDK = importlib.util.find_spec("azureml") is not None


def test_both_backends_have_the_same_vocabulary() -> None:
    local, azure = set(dir(connect("local"))), set(dir(connect("azure")))
    assert local <= azure


@pytest.mark.parametrize("backend", ["gcp", "", None, ["local"]])
def test_unknown_backend_names_the_known_ones(backend: object) -> None:
    with pytest.raises(BackendError, match=rf"{re.escape(repr(backend))}[\s\S]*'local', 'azure'"):
        connect(backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(BackendError, match="whole number"):
        connect("local", seed=seed)  # type: ignore[arg-type]


def test_seed_is_refused_on_azure() -> None:
    with pytest.raises(BackendError, match="takes no seed"):
        connect("azure", seed=1)


def test_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="'Workspace'"):
        _ = connect("local").Workspce


@pytest.mark.skipif(HAS_SDK, reason="the SDK is installed here")
def test_azure_without_the_sdk_says_how_to_get_it() -> None:
    with pytest.raises(BackendError, match="make install-azure"):
        _ = connect("azure").Workspace


@pytest.mark.skipif(not HAS_SDK, reason="needs the azure environment: make install-azure")
def test_azure_gives_the_sdks_own_classes() -> None:
    azure = connect("azure")
    classes = {name: getattr(azure, name) for name in dir(azure) if name != "name"}
    assert all(value.__module__.startswith("azureml.") for value in classes.values())
