"""Checks of arguments that several classes take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbhelpers.errors import UserErrorException
from nbhelpers.local.store import Store


def check_workspace(workspace: object) -> None:
    """Refuse what is not a workspace of this backend."""
    if not isinstance(getattr(workspace, "store", None), Store):
        raise UserErrorException(
            f"workspace={workspace!r} is not a local workspace.", "Give the result of Workspace.from_config()."
        )


def check_tags(tags: object, argument: str = "tags") -> None:
    """Refuse tags that are not a mapping of texts to texts."""
    if not isinstance(tags, Mapping) or not all(_is_text(part) for pair in tags.items() for part in pair):
        raise UserErrorException(
            f"{argument}={tags!r} is not a dictionary of texts.",
            f"Write {argument} as in {{'label': 'y'}}, numbers as str.",
        )


def check_text(argument: str, value: object) -> None:
    """Refuse what is neither a text nor None."""
    if value is not None and not _is_text(value):
        raise UserErrorException(f"{argument}={value!r} is not a text.", "Give a str, or leave it out.")


def _is_text(value: object) -> bool:
    """Whether a value is a text that can be stored: one half of a surrogate pair, which JSON can hold, cannot."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def check_flags(flags: Mapping[str, Any]) -> None:
    """Refuse arguments that are neither True nor False."""
    for argument, value in flags.items():
        if not isinstance(value, bool):
            raise UserErrorException(f"{argument}={value!r} is neither True nor False.", "Give True or False.")


def path_of(argument: str, value: Any) -> Path:
    """A path given as text or Path."""
    if not isinstance(value, str | Path):
        raise UserErrorException(f"{argument}={value!r} is not a path.", "Give a str or a Path.")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise UserErrorException(f"{argument}={str(value)!r}: {error}", "Give the path without '~'.") from error
