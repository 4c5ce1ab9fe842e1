"""One look for all pictures: sizes, colours, and a canvas that reads the same in light and dark themes."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from os.path import commonprefix
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#222222"
MUTED = "#8a8a8a"
BLUE = "#0072b2"
ORANGE = "#d55e00"
BARS = "#56b4e9"

#: Colours that colour-blind readers can tell apart (Okabe and Ito, 2008; grey in the place of yellow, which is too
#: light for lines on white), each with a marker of its own.
_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", BARS, "#000000", MUTED)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

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


class Picture(Figure):
    """A figure that says what it shows to those who do not see it.

    JupyterLab and nbconvert know no text for a PNG, but both show the HTML form of an output before its PNG.

    Attributes
    ----------
    alt : str
        What a reader takes from the picture, in a sentence or two; also its form as plain text.
    """

    alt = ""

    def draw(self, renderer: Any) -> None:
        """Draw it; a letter that no font of this machine has is a box, without a warning for each."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph", UserWarning)
            super().draw(renderer)

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self) -> str:
        png = io.BytesIO()
        self.savefig(png, format="png", facecolor="auto")
        source = base64.b64encode(png.getvalue()).decode()
        return f'<img alt="{html.escape(self.alt)}" style="max-width: 100%" src="data:image/png;base64,{source}">'


@contextmanager
def canvas(
    alt: str, columns: int = 1, rows: int = 1, width: float = 7.0, height: float = 4.2
) -> Iterator[tuple[Picture, list[Axes]]]:
    """A figure with axes to draw on, whatever style the reader has set.

    Parameters
    ----------
    alt : str
        What the picture shows, for those who do not see it.
    columns, rows : int
        Number of axes.
    width, height : float
        Size of one of them, in inches.

    Yields
    ------
    tuple of Picture and list of Axes
        The axes row by row.
    """
    with plt.style.context(["default", _STYLE, {"font.family": ["DejaVu Sans", *_fallback_fonts()]}]):
        size = (width * columns, height * rows)
        figure, axes = plt.subplots(
            rows, columns, figsize=size, layout="constrained", squeeze=False, FigureClass=Picture
        )
        assert isinstance(figure, Picture)  # noqa: S101 - it was asked for, and mypy has to know
        figure.alt = alt
        # pyplot forgets the figure, so that a notebook shows it once: as the value of the cell.
        plt.close(figure)
        yield figure, list(axes.flat)
        # Ticks take their colours from the style when they are first laid out: while it holds.
        figure.draw_without_rendering()


def short(names: Iterable[Any], length: int = 30) -> list[str]:
    """Names in one line that fit into a picture; those that become the same are numbered.

    Long ones lose the beginning that all names share, and their middle.
    """
    lines = [" ".join(str(name).split()) for name in names]
    different = set(lines)
    if len(different) > 1 and max(map(len, lines)) > length:
        # Letters, not folders: what the function is named after is not what it does.
        shared = len(commonprefix(list(different)))  # noqa: RUF071
        lines = [f"…{line[shared:]}" if shared > length / 2 else line for line in lines]
    half = length // 2
    cut = [line if len(line) <= length else f"{line[:half]}…{line[1 - half :]}" for line in lines]
    return cut if len(set(cut)) == len(different) else [f"{k}. {line}" for k, line in enumerate(cut, 1)]


def looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, the same for the same set of names; up to 64 names differ."""
    count = len(_COLOURS)
    return {
        name: (_COLOURS[k % count], _MARKERS[(k + k // count) % count]) for k, name in enumerate(sorted(set(names)))
    }
