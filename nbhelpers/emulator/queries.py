"""The filters, orders and pages that the SDK asks of listings, such as ``(Status eq Failed)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nbhelpers.emulator.errors import CloudError

#: So many documents are in a page that does not say how many it wants.
PAGE = 500
_TEST = re.compile(r"""([A-Za-z0-9]+(?:/[^()]+?)?) (eq|ne|gt|ge|lt|le) ("[^"]*"|[^()]+?)(?= (?:and|or) |\)|$)""")
_TOKEN = re.compile(rf"\s*(?:(\(|\)|and\b|or\b)|{_TEST.pattern})")
_MISSING = object()

Document = Mapping[str, Any]
Test = Callable[[Document], bool]


def select(
    documents: Sequence[Document],
    filter: str | None = None,
    order: str | None = None,
    top: Any = None,
    token: Any = None,
) -> dict[str, Any]:
    """One page of those documents that pass a filter.

    Parameters
    ----------
    documents : sequence of mapping
    filter : str, optional
        Comparisons of a member with a value, joined with ``and`` and ``or``.
    order : str, optional
        A member, and ``desc`` for falling values; by default the order is kept.
    top : int, optional
        The size of the page.
    token : str, optional
        The ``continuationToken`` of the page before.

    Raises
    ------
    CloudError
        400: an argument cannot be read.
    """
    passes = parse(filter)
    found = [document for document in documents if passes(document)]
    if order:
        name, _, direction = order.strip().partition(" ")
        known = [document for document in found if _value(document, name) not in (None, _MISSING)]
        known.sort(key=lambda document: str(_value(document, name)), reverse=direction.strip().lower() == "desc")
        found = known + [document for document in found if document not in known]
    try:
        start, size = int(token or 0), int(top or PAGE)
    except ValueError:
        raise CloudError(400, "UserError", f"The page ({top!r}, {token!r}) is not given by numbers.") from None
    more = start + size < len(found)
    return {"value": found[start : start + size], "continuationToken": str(start + size) if more else None}


def parse(filter: str | None) -> Test:
    """A filter as a function of a document.

    Raises
    ------
    CloudError
        400: the filter is in no form that the SDK writes.
    """
    if not filter:
        return lambda _document: True
    parts, position = [], 0
    while position < len(filter.rstrip()):
        token = _TOKEN.match(filter, position)
        if token is None:
            raise CloudError(400, "UserError", f"The filter {filter!r} cannot be read from {filter[position:]!r} on.")
        parts.append(token)
        position = token.end()
    test, rest = _any_of(parts, filter)
    if rest:
        raise CloudError(400, "UserError", f"The filter {filter!r} has a bracket too many.")
    return test


def _any_of(parts: list[re.Match[str]], filter: str) -> tuple[Test, list[re.Match[str]]]:
    tests, joint = [], "or"
    while joint == "or":
        test, parts = _all_of(parts, filter)
        tests.append(test)
        joint = (parts[0][1] or "") if parts else ""
        parts = parts[joint == "or" :]
    return lambda document: any(test(document) for test in tests), parts


def _all_of(parts: list[re.Match[str]], filter: str) -> tuple[Test, list[re.Match[str]]]:
    tests, joint = [], "and"
    while joint == "and":
        if not parts or parts[0][1] not in ("(", None):
            raise CloudError(400, "UserError", f"The filter {filter!r} lacks a comparison.")
        first, *parts = parts
        if first[1]:
            test, parts = _any_of(parts, filter)
            if not parts or parts[0][1] != ")":
                raise CloudError(400, "UserError", f"The filter {filter!r} lacks a bracket.")
            parts = parts[1:]
        else:
            test = _comparison(first[2], first[3], first[4].strip().strip('"'))
        tests.append(test)
        joint = (parts[0][1] or "") if parts else ""
        parts = parts[joint == "and" :]
    return lambda document: all(test(document) for test in tests), parts


def _comparison(name: str, operator: str, wanted: str) -> Test:
    def test(document: Document) -> bool:
        value = _value(document, name)
        if value is _MISSING:  # so that "ne null or eq null" asks whether there is a tag of the name
            return False
        if wanted == "null" or value is None:
            return ((value is None) == (wanted == "null")) == (operator == "eq")
        one, other = _comparable(str(value)), _comparable(wanted)
        if operator in ("eq", "ne"):
            return (one == other) == (operator == "eq")
        if type(one) is not type(other):
            return False
        return bool({"gt": one > other, "ge": one >= other, "lt": one < other, "le": one <= other}[operator])  # type: ignore[operator]

    return test


def _value(document: Document, name: str) -> Any:
    """A member by its name in a filter: ``CreatedUtc``, or ``Tags/name`` for one inside another."""
    outer, _, inner = name.partition("/")
    value = document.get(outer[:1].lower() + outer[1:], _MISSING if inner else None)
    return value.get(inner, _MISSING) if inner and isinstance(value, Mapping) else value


def _comparable(text: str) -> str | datetime:
    """A time as a time, other text as it is."""
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
