"""Checks of single values of settings."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from numbers import Integral, Real
from typing import Any

#: A check returns what is wrong with a value, to follow the words "<name>=<value> ", or None.
Check = Callable[[Any], str | None]


def whole(low: int, high: int, *others: int) -> Check:
    """A whole number from `low` to `high`, or one of others."""
    more = "".join(f", or {other}" for other in others)

    def check(value: Any) -> str | None:
        right = (
            isinstance(value, Integral)
            and not isinstance(value, bool)
            and (low <= int(value) <= high or value in others)
        )
        return None if right else f"must be a whole number from {low:,} to {high:,}{more}"

    return check


def minutes(high: int) -> Check:
    """A number above 0 and at most `high`."""

    def check(value: Any) -> str | None:
        right = isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) <= high
        return None if right else f"must be a number above 0 and at most {high:,}"

    return check


def number(value: Any) -> str | None:
    """A finite number."""
    right = isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)
    return None if right else "must be a number"


def flag(value: Any) -> str | None:
    """A truth value."""
    return None if isinstance(value, bool) else "must be True or False"


def folds(value: Any) -> str | None:
    """A number of folds, or "auto"."""
    wrong = whole(2, 1000)(value)
    return f"{wrong}, or 'auto'" if wrong and value != "auto" else None


def share(*others: float) -> Check:
    """A number between 0 and 1, or one of others."""

    def check(value: Any) -> str | None:
        right = isinstance(value, Real) and not isinstance(value, bool) and (0 < float(value) < 1 or value in others)
        return None if right else "must be a share between 0 and 1"

    return check


def column(value: Any) -> str | None:
    """A name."""
    return None if isinstance(value, str) and value else "must be the name of a column"


def columns(value: Any) -> str | None:
    """One name or more, all different."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) and name for name in value):
        return "must be a list of names of columns"
    return None if len({*map(str.lower, value)}) == len(value) else "names a column twice"


def label(value: Any) -> str | None:
    """A value that a label column can hold."""
    right = isinstance(value, str | bool) or number(value) is None
    return None if right else "must be a label: a text, a number, True or False"
