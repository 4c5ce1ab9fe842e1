"""The columns of a table one by one, by the values of the label."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from nbhelpers.errors import DataError
from nbhelpers.results.charts import MAX_CLASSES, far_note, near
from nbhelpers.results.frames import as_frame, has_value, plain, require_column
from nbhelpers.results.models import read_truth
from nbhelpers.results.style import BARS, BLUE, INK, canvas, looks, short

#: A number with more values than this is drawn along an axis; else each value has a row of its own.
_VALUES = 10
_OTHER = "(other)"
_MISSING = "(missing)"
#: Histograms of more classes than these hide each other: boxes take their place.
_HISTOGRAMS = 3
#: Points of a scatter plot: more hide each other.
_POINTS = 1000


def plot_columns(frame: Any, label: str, task: str, top: int = 9) -> Figure:
    """How the values of each column are distributed by class; for regression, the label by the values of each column.

    Parameters
    ----------
    frame : DataFrame or TabularDataset
        Rows without a label are left out.
    label : str
        The column to predict.
    task : {"classification", "regression"}
    top : int
        Number of columns to draw: those that, each by itself, tell most about the label, in this order.

    Raises
    ------
    DataError
        There is no such column, nothing to draw, or a label of a regression that is no number.
    """
    from sklearn.metrics import mutual_info_score

    table = as_frame(frame)
    require_column(table, label)
    table = table[has_value(table[label])].reset_index(drop=True)
    if table.empty or table.shape[1] < 2:
        raise DataError("The table has no labelled rows with other columns.", "give a table with rows and columns.")
    shown = np.ones(len(table), dtype=bool)
    if task == "regression":
        truth = pd.Series(read_truth(table[label], None))
        shown = near(truth)
        what = f"{label} by the values of"
    else:
        truth = plain(table[label]).map(str)
        classes = truth.unique()
        truth = truth.map(dict(zip(classes, short(classes), strict=True)))
        many = f" ({MAX_CLASSES} most frequent of {len(classes)})" if len(classes) > MAX_CLASSES else ""
        what = f"Distribution by class of {label}{many}:"
    codes = _codes(truth)
    features = {str(name): readable(column) for name, column in table.drop(columns=label).items()}
    told = {name: mutual_info_score(_codes(column), codes) for name, column in features.items()}
    names = sorted(told, key=lambda name: -told[name])[:top]
    which = "all columns" if len(names) == len(features) else f"{len(names)} of {len(features)} columns"
    title = f"{what} {which}, those that tell most about it first"
    title = "; ".join(filter(None, (title, far_note(shown))))
    columns = min(3, len(names))
    with canvas(f"{title}: {', '.join(names)}.", columns, -(-len(names) // columns), 4.2, 2.7) as (figure, panels):
        figure.suptitle(title, x=0.01, ha="left")
        for axes, name in zip(panels, names, strict=False):
            axes.set_title(short([name], 40)[0])
            if task == "regression":
                _draw_label(axes, features[name][shown], truth[shown], label)
            else:
                _draw_classes(axes, features[name], truth)
        for axes in panels[len(names) :]:
            axes.remove()
        if keys := next(filter(all, (axes.get_legend_handles_labels() for axes in panels)), None):
            # So many names of this length fit side by side, at a tenth of an inch a letter.
            ncols = int(4.2 * columns / (0.6 + 0.1 * max(map(len, keys[1]))))
            figure.legend(*keys, loc="outside lower left", ncols=max(1, ncols))
    return figure


def readable(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column as finite numbers if it has many of them (dates as years), else as text of few values, gaps included."""
    if is_datetime64_any_dtype(column):
        column = column.dt.year + column.dt.dayofyear / 366
    if is_numeric_dtype(column) and not is_bool_dtype(column) and column.nunique() > _VALUES:
        return column.astype(float).replace([np.inf, -np.inf], np.nan)
    values = plain(column)
    counts = values.value_counts()
    least = 1 if len(counts) <= _VALUES else 2  # of many values, those of a single row say nothing: free text, names
    kept = counts.sort_index().index if is_numeric_dtype(values) else counts.index[counts >= least][:_VALUES]
    texts = short((f"{value:.6g}" if isinstance(value, float) else value for value in kept), 18)
    names = dict(zip(kept, texts, strict=True))
    text = values.map(lambda value: names.get(value, _OTHER), na_action="ignore").astype(object).fillna(_MISSING)
    order = [*dict.fromkeys(names.values()), _OTHER, _MISSING]
    return text.astype(pd.CategoricalDtype(order)).cat.remove_unused_categories()


def _codes(column: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """Values as groups: numbers as tenths of the rows, where a frequent value at an end is a group of its own."""
    if not is_numeric_dtype(column):
        return np.asarray(pd.factorize(column)[0])
    values = column.to_numpy(dtype=float)
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, 11)))
    return np.asarray(np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right"))


def _draw_classes(axes: Axes, column: pd.Series[Any], truth: pd.Series[Any]) -> None:
    """The distribution of a column in each class."""
    classes = sorted(truth.value_counts().index[:MAX_CLASSES])
    styles = looks(classes)
    if not is_numeric_dtype(column):
        for name in classes:
            shares = column[truth == name].value_counts(normalize=True, sort=False)
            colour, marker = styles[name]
            axes.plot(shares, shares.index, marker, color=colour, alpha=0.7, label=name)
        axes.invert_yaxis()
        axes.set_xlabel("share of the class")
        return
    groups = {name: column[truth == name].dropna() for name in classes}
    if len(classes) > _HISTOGRAMS:
        _draw_boxes(axes, groups)
        return
    bins = _bins(column)
    for name, values in groups.items():
        weights = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(values, bins=bins, weights=weights, histtype="step", color=styles[name][0], label=name)
    axes.set_ylabel("share of the class")


def _draw_label(axes: Axes, column: pd.Series[Any], truth: pd.Series[Any], label: str) -> None:
    """The label of a regression by the values of a column."""
    if is_numeric_dtype(column):
        chosen = column.sample(min(_POINTS, len(column)), random_state=0).index
        axes.scatter(column[chosen], truth[chosen], s=8, color=BLUE, alpha=0.4)
        axes.ticklabel_format(axis="x", useOffset=False)  # 2024.3, and not 0.3 with 2024 in a corner
        axes.set_ylabel(label)
    else:
        _draw_boxes(axes, {name: truth[column == name] for name in column.cat.categories})
        axes.set_xlabel(label)


def _draw_boxes(axes: Axes, groups: dict[str, pd.Series[Any]]) -> None:
    """A box for each group: quartiles, and whiskers to the last value within one and a half of their distance."""
    axes.boxplot(
        list(groups.values()),
        orientation="horizontal",
        tick_labels=list(groups),
        patch_artist=True,
        boxprops={"facecolor": BARS},
        medianprops={"color": INK},
        flierprops={"markersize": 2},
    )
    axes.invert_yaxis()


def _bins(column: pd.Series[Any]) -> list[float]:
    """Edges of twenty or so bins without the last hundredth at either end; whole numbers get whole bins."""
    values = column.dropna()
    low, high = np.quantile(values, [0.01, 0.99])
    if low == high:
        low, high = values.min(), values.max()
    if (values % 1 == 0).all():
        width = -(-(high - low + 1) // 20)
        return list(np.arange(low - 0.5, high + width, width))
    return list(np.linspace(low, high, 21))
