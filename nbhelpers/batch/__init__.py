"""Chains of parameterised notebooks: their parameters, their run, its record and report page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbhelpers.batch.chain import run_batch
    from nbhelpers.batch.outputs import read_outputs, record_outputs
    from nbhelpers.batch.parameters import Parameter, check_parameters, read_parameters
    from nbhelpers.batch.record import Record, Stage

__all__ = [
    "Parameter",
    "Record",
    "Stage",
    "check_parameters",
    "read_outputs",
    "read_parameters",
    "record_outputs",
    "run_batch",
]

_MODULES = {
    "Parameter": "parameters",
    "Record": "record",
    "Stage": "record",
    "check_parameters": "parameters",
    "read_outputs": "outputs",
    "read_parameters": "parameters",
    "record_outputs": "outputs",
    "run_batch": "chain",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
