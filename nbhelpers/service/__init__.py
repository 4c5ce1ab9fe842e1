"""The workspace over HTTP: published pipelines are started and models asked by any program on the machine.

`serving` is loaded when it is first used, so that FastAPI is only loaded where there is a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbhelpers.service.starting import serving as serving

__all__ = ["serving"]


def __getattr__(name: str) -> Any:
    if name != "serving":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nbhelpers.service.starting import serving

    return serving
