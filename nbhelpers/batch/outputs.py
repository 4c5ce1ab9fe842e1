"""What a stage hands on: values that its last cell shows, read back from the executed notebook."""

from __future__ import annotations

import html
import json
import math
from pathlib import Path
from typing import Any

from nbhelpers.batch import notebook
from nbhelpers.batch.parameters import holds_secret, looks_secret
from nbhelpers.errors import BatchError

#: The media type under which outputs are stored in a notebook.
MEDIA_TYPE = "application/vnd.nbhelpers.outputs+json"


def record_outputs(**outputs: object) -> None:
    """Record the outputs of a notebook, and show them as a small table.

    Stages that come later in a batch get those that they declare as parameters. A second call in a notebook adds to
    the first.

    Parameters
    ----------
    **outputs
        Values that JSON can hold: None, bool, int, float, str, lists and dicts of these. NumPy scalars are converted;
        a float that is not finite is stored as None, because JSON has no such number.

    Raises
    ------
    BatchError
        A value cannot be stored, or looks like a secret by its name or as a URL.
    """
    from IPython.display import display

    for name, value in outputs.items():
        if looks_secret(name) or holds_secret(value):
            raise BatchError(
                f"The output {name!r} looks like a secret, and outputs are stored in clear.",
                "Record the NAME of the environment variable that holds it; or, if only its name is wrong, rename it.",
            )
    values = {name: _plain(value, name) for name, value in outputs.items()}
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(_shown(value))}</td></tr>"
        for name, value in values.items()
    )
    width = max(map(len, values), default=0)
    lines = [f"{name:{width}}  {_shown(value)}" for name, value in values.items()]
    bundle = {MEDIA_TYPE: values, "text/html": f"<table>{rows}</table>", "text/plain": "\n".join(lines)}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def read_outputs(path: Path) -> dict[str, Any]:
    """Read the recorded outputs of an executed notebook; empty where there are none."""
    found: dict[str, Any] = {}
    for cell in notebook.read_cells(path):
        for output in cell.get("outputs", []):
            found |= output.get("data", {}).get(MEDIA_TYPE, {})
    return found


def _plain(value: object, name: str) -> object:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    raise BatchError(
        f"The output {name} is a {type(value).__name__}, which cannot be stored as JSON.",
        "Record text, numbers, or lists and dicts (with text keys) of them: for an object its id, for a path its str.",
    )


def _shown(value: object) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 200 else f"{shown[:199]}…"
