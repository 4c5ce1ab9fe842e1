"""Looking things up by name, with the nearest name in the answer when there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from nbhelpers.errors import UserErrorException, nearest

T = TypeVar("T")


class MissingNameError(UserErrorException, KeyError):
    """A name is not in a mapping of the workspace; a KeyError, too, as in the SDK."""


class WrongValueError(UserErrorException, ValueError):
    """An argument has a wrong value where the SDK raises a ValueError, which this is, too."""


class NameMapping(Mapping[str, T]):
    """What a workspace holds of one kind, by name; looked up afresh at each use.

    Parameters
    ----------
    kind : str
        What the values are called in messages.
    names : callable
        Gives the names there are.
    get : callable
        Gives the thing with a name.
    """

    def __init__(self, kind: str, names: Callable[[], list[str]], get: Callable[[str], T]) -> None:
        self._kind = kind
        self._names = names
        self._get = get

    def __getitem__(self, name: str) -> T:
        if name not in (names := self._names()):
            near = nearest(name, names)
            raise MissingNameError(
                f"The workspace has no {self._kind} {name!r}; it has: {', '.join(names) or 'none yet'}.",
                f"use {near!r}" if near else "use one of these names, or create it first",
            )
        return self._get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return repr(dict(self))
