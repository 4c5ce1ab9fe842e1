"""One look for all pictures: sizes, colours, and a canvas that reads the same in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import cycle

import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#222222"
MUTED = "#8a8a8a"
BLUE = "#0072b2"
ORANGE = "#d55e00"
BARS = "#56b4e9"

#: Colours that colour-blind readers can tell apart (Okabe and Ito, 2008), each with a marker of its own.
_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", BARS, "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_FALLBACK_FONTS = {
    "Arial Unicode MS",
    "Hiragino Sans",
    "Malgun Gothic",
    "Microsoft YaHei",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "Yu Gothic",
}

_STYLE = {
    # An opaque white page: a transparent one would put dark ink on a dark theme.
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    # Names of columns and classes are text: a pair of $ in them is no formula.
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@cache
def _fallback_fonts() -> list[str]:
    """Fonts of this machine for the letters that matplotlib's own lacks, such as Chinese and Japanese ones."""
    return sorted(_FALLBACK_FONTS & set(font_manager.get_font_names()))


@contextmanager
def canvas(columns: int = 1, width: float = 7.0, height: float = 4.2) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with a row of axes to draw on, whatever style the reader has set.

    Parameters
    ----------
    columns : int
        Number of axes.
    width, height : float
        Size of one of them, in inches.

    Yields
    ------
    tuple of Figure and list of Axes
    """
    with plt.style.context(["default", _STYLE, {"font.family": ["DejaVu Sans", *_fallback_fonts()]}]):
        figure, axes = plt.subplots(1, columns, figsize=(width * columns, height), layout="constrained", squeeze=False)
        # pyplot forgets the figure, so that a notebook shows it once: as the value of the cell.
        plt.close(figure)
        yield figure, list(axes.flat)
        # Ticks take their colours from the style when they are first laid out: while it holds.
        figure.draw_without_rendering()


def looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, the same for the same set of names."""
    return dict(zip(sorted(set(names)), cycle(zip(_COLOURS, _MARKERS, strict=True))))
