"""Reading notebook files: plain JSON, so that no Jupyter package needs to be imported for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nbhelpers.errors import BatchError


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Read the cells of a notebook file.

    Raises
    ------
    BatchError
        The file cannot be read, or is not a notebook of format 4.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [cell for cell in cells if cell["cell_type"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BatchError(
            f"{path} cannot be read as a notebook ({type(error).__name__}: {error}).",
            "Open and save it in JupyterLab, or take it from version control again.",
        ) from error


def text(value: str | list[str]) -> str:
    """Join what the notebook format keeps either as one text or as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def tags(cell: dict[str, Any]) -> list[str]:
    """The tags of a cell."""
    return list(cell.get("metadata", {}).get("tags", []))
