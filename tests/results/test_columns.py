from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nbhelpers import results
from nbhelpers.errors import DataError

from .small_runs import bank_rows, class_rows, house_rows


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes}


def shares(axes, name):
    """The share of each value in a class, as drawn."""
    line = next(line for line in axes.lines if line.get_label() == name)
    return dict(zip(line.get_ydata(), line.get_xdata(), strict=True))


def test_columns_come_by_what_they_tell_about_the_label_and_no_more_than_asked_for():
    rows = bank_rows(2000, 1)
    assert list(panels(results.plot_columns(rows, "y", "classification", top=2))) == ["duration", "poutcome"]
    figure = results.plot_columns(rows, "y", "classification")
    assert set(panels(figure)) == set(rows.columns) - {"y"}
    assert figure.get_suptitle() == "Distribution by class of y: all columns, those that tell most about it first"


def test_values_of_text_are_shares_of_each_class():
    rows = bank_rows(500, 1)
    axes = panels(results.plot_columns(rows, "y", "classification"))["poutcome"]
    expected = pd.crosstab(rows["poutcome"], rows["y"], normalize="columns")
    for name in ("no", "yes"):
        assert shares(axes, name) == pytest.approx(expected[name].to_dict())


def test_numbers_are_histograms_of_shares_of_each_class_without_the_last_hundredths():
    rows = pd.DataFrame({"x": [*np.linspace(0, 1, 398), 1e6, -1e6], "y": ["a", "b"] * 200})
    axes = results.plot_columns(rows, "y", "classification").axes[0]
    assert len(axes.patches) == 2
    assert axes.get_xlim()[1] < 2
    for patch in axes.patches:
        assert patch.get_xy()[:, 1].max() == pytest.approx(0.05, abs=0.01)


def test_more_classes_than_three_are_boxes():
    rows = class_rows(400, 1).assign(y=lambda rows: rows["y"] + rows["kind"])
    axes = panels(results.plot_columns(rows, "y", "classification"))["a"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == sorted(rows["y"].unique())
    assert len(axes.patches) == 6


def test_frequent_values_are_kept_and_gaps_are_a_value():
    values = [name for k in range(12) for name in [f"v{k:02d}"] * (20 - k)] + [None] * 5
    rows = pd.DataFrame({"x": values, "y": (["a", "b"] * len(values))[: len(values)]})
    drawn = shares(results.plot_columns(rows, "y", "classification").axes[0], "a")
    assert list(drawn) == [*(f"v{k:02d}" for k in range(10)), "(other)", "(missing)"]
    assert sum(drawn.values()) == pytest.approx(1)


def test_texts_of_a_single_row_each_are_other_texts():
    rows = pd.DataFrame({"x": [f"review {k}" for k in range(18)] + ["none"] * 2, "y": ["a", "b"] * 10})
    assert shares(results.plot_columns(rows, "y", "classification").axes[0], "a") == {"none": 0.1, "(other)": 0.9}


def test_a_regression_shows_the_label_by_the_values():
    rows = house_rows(300, 1).assign(kind=["s", "t", "u"] * 100)
    drawn = panels(results.plot_columns(rows, "y", "regression"))
    assert next(iter(drawn)) in ("size", "age")
    points = drawn["size"].collections[0].get_offsets()
    assert {tuple(point) for point in np.asarray(points)} == set(zip(rows["size"], rows["y"], strict=True))
    assert [tick.get_text() for tick in drawn["kind"].get_yticklabels()] == ["s", "t", "u"]


def test_dates_flags_constants_gaps_and_infinite_values_are_drawn():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "day": pd.date_range("2020-01-01", periods=200),
            "flag": rng.choice([True, False], 200),
            "same": 1.0,
            "empty": None,
            "gaps": np.where(rng.random(200) < 0.5, np.nan, rng.normal(size=200)),
            "huge": [np.inf, *range(199)],
            "list": [[1], [2]] * 100,
            "mostly": [0] * 190 + list(range(10)),
            "kind": pd.Categorical(["x", "y"] * 100, ["x", "y", "z"]),
        },
        index=[0] * 200,
    )
    for task, label in (("classification", ["no", "yes"] * 100), ("regression", range(200))):
        figure = results.plot_columns(rows.assign(y=label), "y", task)
        assert set(panels(figure)) == set(rows.columns)
        assert repr(figure).endswith(".")


def test_rows_without_a_label_are_left_out_and_none_is_refused():
    rows = pd.DataFrame({"x": ["p", "q", "q", "q"], "y": ["a", "b", None, " "]})
    assert shares(results.plot_columns(rows, "y", "classification").axes[0], "b") == {"p": 0, "q": 1}
    with pytest.raises(DataError, match="no labelled rows"):
        results.plot_columns(rows.assign(y=None), "y", "classification")
    with pytest.raises(DataError, match="no column 'z'"):
        results.plot_columns(rows, "z", "classification")
    with pytest.raises(DataError, match="no number"):
        results.plot_columns(rows, "y", "regression")


def test_far_outliers_of_the_label_of_a_regression_are_counted_and_not_drawn():
    rows = house_rows(300, 0)
    rows.loc[[3, 4], "y"] = [1e6, -1e6]
    figure = results.plot_columns(rows, "y", "regression")
    assert figure.get_suptitle().endswith("; 2 of 300 rows lie far outside and are not drawn")
    assert all(np.abs(axes.dataLim.intervaly).max() < 1e4 for axes in figure.axes if axes.collections)
    assert "far outside" not in results.plot_columns(house_rows(300, 0), "y", "regression").get_suptitle()
