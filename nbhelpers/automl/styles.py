"""How texts are written that stand for numbers or points in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

#: Words that stand for a missing value among numbers and dates, in lower case; among other texts they are categories.
GAPS = frozenset({"", "-", "--", "?", "#n/a", "<na>", "n/a", "na", "nan", "nat", "none", "null"})

#: Units that a number may have before or after it, if all of a column have the same.
_UNITS = "%$€£¥"
#: Numbers with groups of three digits, by the mark between the groups; the other mark is the decimal one.
_GROUPED = {
    ",": re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?"),
    ".": re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?"),
}
#: Whole numbers of so many digits are ids, which floats cannot tell apart.
_LONG = re.compile(r"[+-]?\d{16,}")
#: Times of day and durations, as ``10:30``, ``36:15:00`` or ``2 days 03:00:00``.
_DURATION = re.compile(r"(-?\d+ days?,? )?\+?(\d{1,3}:\d{2}(:\d{2}(\.\d+)?)?)")

_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([ T].*)?)?")
_DATE = re.compile(
    r"\d{1,4}[./-]\d{1,2}[./-]\d{2,4}\b|\d{1,2}[ -][a-z]{3,9}[ -]\d{4}\b|[a-z]{3,9} \d{1,2}, \d{4}", re.I
)
_DATES = (
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
_CLOCK = re.compile(r" \d{1,2}:\d{2}(?P<seconds>:\d{2}(?P<fraction>\.\d+)?)?(?P<half> ?[ap]m)?$", re.I)
_YEAR = re.compile(r"\d{4}")
ISO, _DURATION_STYLE = "ISO8601", "duration"
#: Texts that are tried before all are.
_FIRST = 100


def style_of(texts: Sequence[str], *, dates: bool = True) -> tuple[str, str]:
    """What texts stand for, and how they are written.

    Parameters
    ----------
    texts : sequence of str
    dates : bool
        Whether points in time count; otherwise a style of numbers is looked for.

    Returns
    -------
    kind : "number", "datetime" or "string"
        "string" if not all texts, apart from `GAPS`, can be read in one and the same style, or dates in several
        styles that disagree, as 01/02/2024 with the day or the month first.
    style : str
        What `numbers` or `times` need to read more of them.
    """
    texts = _present(texts)
    if not texts:
        return "string", ""
    if _number_style(texts[:_FIRST]) is not None:
        style = None if any(_LONG.fullmatch(text) for text in texts) else _number_style(texts)
        return ("string", "") if style is None else ("number", style)
    found = _date_styles(texts) if dates else []
    return ("datetime", found[0]) if found and _agree(texts, found) else ("string", "")


def date_style(texts: Sequence[str]) -> str | None:
    """The style of texts that are known to be dates: with the month first where the day could be first as well."""
    present = _present(texts)
    found = _date_styles(present) if present else []
    return found[0] if found else None


def numbers(texts: Sequence[str], style: str) -> npt.NDArray[np.float64]:
    """The numbers that texts stand for; NaN for others."""
    if style == _DURATION_STYLE:
        found = [_DURATION.fullmatch(text.strip()) for text in texts]
        spans = [_full_clock(match) if match else None for match in found]
        read: Any = pd.to_timedelta(pd.Series(spans, dtype=object), errors="coerce")
        return np.asarray(read.dt.total_seconds(), dtype=float)
    mark = style[-1:] if style[-1:] in _GROUPED else ""
    unit = style.removesuffix(mark)
    if unit:
        texts = [_without_unit(text, unit) for text in texts]
    if mark:
        texts = [_ungrouped(text.strip(), mark) for text in texts]
    values = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce")
    return values.to_numpy(dtype=float)


def times(texts: Sequence[str], style: str) -> npt.NDArray[np.datetime64]:
    """The points in time that texts stand for, in UTC where they have a zone; NaT for others.

    ISO 8601 is read in any style.
    """
    texts = [text.strip() for text in texts]
    iso = np.array([bool(_ISO.fullmatch(text)) for text in texts], dtype=bool)
    if style != ISO and iso.any():
        values = _times(texts, style)
        values[iso] = _times(list(compress(texts, iso)), ISO)
        return values
    return _times(
        [text if like else "" for text, like in zip(texts, iso, strict=True)] if style == ISO else texts, style
    )


def _times(texts: list[str], style: str) -> npt.NDArray[np.datetime64]:
    read = pd.to_datetime(pd.Series(texts, dtype=object), errors="coerce", format=style, utc=True)
    values = read.dt.tz_localize(None).to_numpy(dtype="datetime64[us]").copy()
    # pandas' nanoseconds end in 2262, and 9999-12-31 is a common word for "never".
    for position in np.flatnonzero(np.isnat(values)):
        year = _YEAR.search(texts[position])
        if year and not 1678 <= int(year[0]) <= 2261:
            values[position] = _far_time(texts[position], style)
    return values


def _present(texts: Sequence[str]) -> list[str]:
    return [text.strip() for text in texts if text.strip().lower() not in GAPS]


def _number_style(texts: Sequence[str]) -> str | None:
    units = [unit for unit in _UNITS if all(text.startswith(unit) or text.endswith(unit) for text in texts)]
    for mark in ("", *_GROUPED):
        style = "".join([*units[:1], mark])
        if not np.isnan(numbers(texts, style)).any():
            return style
    if all(_DURATION.fullmatch(text) for text in texts):
        return _DURATION_STYLE
    return None


def _date_styles(texts: Sequence[str]) -> list[str]:
    """The styles in which all texts are points in time."""
    few = texts[:_FIRST]
    candidates: list[str] = []
    if all(_ISO.fullmatch(text) for text in few):
        candidates = [ISO]
    elif all(re.fullmatch(r"\d{8}", text) for text in few):  # only where they are known not to be numbers
        candidates = ["%Y%m%d"]
    elif all(_DATE.match(text) for text in few):
        candidates = [date + _clock_style(few[0]) for date in _DATES]
    for some in (few, texts):
        candidates = [style for style in candidates if not np.isnat(times(some, style)).any()]
    return candidates


def _clock_style(text: str) -> str:
    """The time of day of a date, as for ``strptime``."""
    clock = _CLOCK.search(text)
    if not clock:
        return ""
    seconds = (":%S" if clock["seconds"] else "") + (".%f" if clock["fraction"] else "")
    if not clock["half"]:
        return f" %H:%M{seconds}"
    return f" %I:%M{seconds}{' ' if clock['half'].startswith(' ') else ''}%p"


def _agree(texts: Sequence[str], styles: Sequence[str]) -> bool:
    """Whether texts are the same points in time in all styles."""
    first = times(texts, styles[0]) if len(styles) > 1 else None
    return all((times(texts, style) == first).all() for style in styles[1:])


def _without_unit(text: str, unit: str) -> str:
    return text.strip().removeprefix(unit).removesuffix(unit).strip()


def _ungrouped(text: str, mark: str) -> str:
    if not _GROUPED[mark].fullmatch(text):
        return ""
    return text.replace(",", "") if mark == "," else text.replace(".", "").replace(",", ".")


def _full_clock(match: re.Match[str]) -> str:
    """A duration as pandas reads it: with seconds."""
    return f"{(match[1] or '').replace(',', '')}{match[2]}{'' if match[3] else ':00'}"


def _far_time(text: str, style: str) -> np.datetime64:
    try:
        time = datetime.fromisoformat(text) if style == ISO else datetime.strptime(text, style)
    except ValueError:
        return np.datetime64("NaT", "us")
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time, "us")
