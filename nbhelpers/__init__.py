"""The Azure ML AutoML workflow as parameterised notebooks that run offline, and on Azure ML.

`connect` gives the SDK's names on a backend, `results` the functions that show a run; the rest prepares data and
runs the notebooks as a batch. Everything is loaded when it is first used, so importing this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbhelpers import errors as errors
    from nbhelpers import results as results
    from nbhelpers.backend import Backend as Backend
    from nbhelpers.backend import announce_cost as announce_cost
    from nbhelpers.backend import connect as connect
    from nbhelpers.batch import read_parameters as read_parameters
    from nbhelpers.batch import record_outputs as record_outputs
    from nbhelpers.batch import run_batch as run_batch
    from nbhelpers.bundled import bundled_data as bundled_data
    from nbhelpers.errors import NbhelpersError as NbhelpersError
    from nbhelpers.preparation import PreparedData as PreparedData
    from nbhelpers.preparation import find_dataset as find_dataset
    from nbhelpers.preparation import find_test_dataset as find_test_dataset
    from nbhelpers.preparation import prepare_data as prepare_data
    from nbhelpers.service import serving as serving

#: The module that each public name comes from; a module is its own value.
_SOURCES = {
    "Backend": "nbhelpers.backend",
    "NbhelpersError": "nbhelpers.errors",
    "PreparedData": "nbhelpers.preparation",
    "announce_cost": "nbhelpers.backend",
    "bundled_data": "nbhelpers.bundled",
    "connect": "nbhelpers.backend",
    "errors": "nbhelpers.errors",
    "find_dataset": "nbhelpers.preparation",
    "find_test_dataset": "nbhelpers.preparation",
    "prepare_data": "nbhelpers.preparation",
    "read_parameters": "nbhelpers.batch",
    "record_outputs": "nbhelpers.batch",
    "results": "nbhelpers.results",
    "run_batch": "nbhelpers.batch",
    "serving": "nbhelpers.service",
}

__all__ = sorted(_SOURCES)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_SOURCES[name])
    value = module if _SOURCES[name] == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
