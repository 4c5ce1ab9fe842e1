from __future__ import annotations

import datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nbhelpers import results
from nbhelpers.errors import DataError, UserErrorException


def mixed():
    return pd.DataFrame(
        {
            "zone": ["b", "a", "b", None],
            "amount": [1000.5, 2.25, np.nan, np.nan],
            "count": [1, 2, 3, 4],
            "flag": [True, True, False, True],
            "day": [datetime.datetime(2020, 1, day) for day in (1, 2, 3, 4)],
            "nothing": [None] * 4,
            "kind": pd.Categorical(["x", "y", "y", "x"], ["x", "y", "z"]),
        }
    )


def statuses(frame, label="y", task="classification"):
    return results.data_checks(frame, label, task).set_index("code")["status"].to_dict()


def findings(frame, label="y", task="classification"):
    return results.data_checks(frame, label, task).set_index("code")["finding"].to_dict()


def clean(n=100):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.choice(["p", "q", "r"], n), "y": ["no", "yes"] * (n // 2)})


def test_profile_has_a_row_per_column_in_their_order():
    table = results.profile(mixed()).set_index("column")
    assert list(table.index) == list(mixed())
    assert table["type"].tolist() == ["text", "number", "integer", "boolean", "date", "text", "text"]
    assert table["missing"].tolist() == [1, 2, 0, 0, 0, 4, 0]
    assert table["missing_share"].tolist() == [0.25, 0.5, 0, 0, 0, 1, 0]
    assert table["distinct"].tolist() == [2, 2, 4, 2, 4, 0, 2]
    assert table["summary"].tolist() == [
        "most often b (66.7%)",
        "min 2.25, mean 501.375, max 1,000.5",
        "min 1, mean 2.5, max 4",
        "most often True (75.0%)",
        "2020-01-01 to 2020-01-04",
        "",
        "most often x (50.0%)",
    ]


def test_profile_takes_a_data_set_an_empty_table_and_nested_values():
    frame = pd.DataFrame({"a": [[1], [1], [2]]})
    table = results.profile(SimpleNamespace(to_pandas_dataframe=lambda: frame))
    assert table.loc[0, "summary"] == "most often [1] (66.7%)"
    assert results.profile(pd.DataFrame({"a": []})).loc[0, "missing_share"] == 0


def test_label_balance_has_the_largest_class_first_and_missing_rows_last():
    frame = pd.DataFrame({"y": ["yes", "no", "no", None, None, None, "maybe"]})
    balance = results.label_balance(frame, "y")
    assert balance["rows"].to_dict() == {"no": 2, "maybe": 1, "yes": 1, "(missing)": 3}
    assert balance["share"].sum() == pytest.approx(1, abs=1e-3)


def test_label_balance_of_many_numbers_is_in_ranges():
    balance = results.label_balance(pd.DataFrame({"y": np.arange(100.0)}), "y")
    assert balance["rows"].tolist() == [10] * 10
    assert balance.index[0] == "0 to 9"


def test_label_balance_of_few_numbers_is_by_number():
    assert results.label_balance(pd.DataFrame({"y": [1, 0, 1]}), "y")["rows"].to_dict() == {1: 2, 0: 1}


def test_label_balance_of_true_and_false_has_both():
    frame = pd.DataFrame({"y": [True, False, False]})
    assert results.label_balance(frame, "y")["rows"].to_dict() == {False: 2, True: 1}
    assert results.label_balance(frame[1:], "y")["rows"].to_dict() == {False: 2}
    gaps = pd.DataFrame({"y": [True, False, False, None]})
    assert results.label_balance(gaps, "y").index.tolist() == ["False", "True", "(missing)"]


def test_a_misspelt_label_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="Did you mean 'amount'"):
        results.label_balance(mixed(), "amonut")


def test_plot_label_shows_rows_and_share():
    figure = results.plot_label(pd.DataFrame({"y": ["no"] * 3 + ["yes"]}), "y")
    assert [text.get_text() for text in figure.axes[0].texts] == ["3 (75.0%)", "1 (25.0%)"]
    with pytest.raises(DataError, match="no rows"):
        results.plot_label(pd.DataFrame({"y": []}), "y")


def test_clean_data_passes_every_check():
    assert set(statuses(clean()).values()) == {"passed"}
    assert sorted(statuses(clean())) == [f"NB10{k}" for k in range(1, 10)]


def test_regression_has_no_checks_of_classes():
    checks = statuses(clean().assign(y=np.arange(100.0)), task="regression")
    assert {"NB102", "NB103"}.isdisjoint(checks)
    assert set(checks.values()) == {"passed"}


@pytest.mark.parametrize(
    ("code", "change", "words"),
    [
        ("NB101", {"y": [None] + ["no", "yes"] * 49 + ["no"]}, "1 of 100 rows have no label"),
        ("NB102", {"y": ["yes"] * 16 + ["no"] * 84}, "yes, has 16 rows: 19.0% of the largest, no"),
        ("NB102", {"y": ["no"] * 100}, "Only one class occurs: no"),
        (
            "NB103",
            {"y": ["rare"] * 9 + ["no", "yes"] * 45 + ["no"]},
            "1 class with fewer than 10 rows, too few to learn and to judge: rare",
        ),
        ("NB104", {"b": "same"}, "one value only, or none: b"),
        ("NB105", {"a": [None] * 41 + list(range(59))}, "more than 40% of the values missing: a"),
        ("NB106", {"c": range(100)}, "another value in almost every row: c"),
        ("NB106", {"c": [f"customer {k}" for k in range(100)]}, "another value in almost every row: c"),
        ("NB107", {"a": [1.0] * 4 + list(range(2, 98)), "b": "p", "y": "no"}, "3 of 100 rows repeat an earlier row"),
        ("NB108", {"c": [0, 1] * 50}, "1 column with values that decide the label in every row: c"),
        ("NB109", {"y": [1, 2, 3, 4, 5] * 20}, "5 different values, taken as classes. If they are quantities, set"),
    ],
)
def test_each_check_notices_what_it_is_for(code, change, words):
    frame = clean().assign(**change)
    assert statuses(frame)[code] == "noticed"
    assert words in findings(frame)[code]


def test_few_numbers_as_quantities_are_noticed():
    frame = clean().assign(y=[1, 2, 3, 4.5, 5] * 20)
    assert statuses(frame, task="regression")["NB109"] == "noticed"
    assert "If they are classes, set task='classification'." in findings(frame, task="regression")["NB109"]


def test_numbers_that_are_classes_are_not_cut_into_ranges():
    frame = pd.DataFrame({"y": [*range(26)] * 2})
    assert results.label_balance(frame, "y", "classification")["rows"].to_dict() == dict.fromkeys(range(26), 2)
    assert len(results.label_balance(frame, "y", "regression")) < 26


def test_equal_classes_are_said_to_be_equal():
    frame = clean().assign(y=["no", "yes"] * 50)
    assert findings(frame)["NB102"] == "Each of the 2 classes has 50 rows."


def test_a_class_of_one_row_is_said_to_have_one():
    frame = clean().assign(y=["no"] * 99 + ["yes"])
    assert findings(frame)["NB102"].startswith("The smallest class, yes, has 1 row: 1.0% of")


def test_checks_stay_quiet_just_above_their_limits():
    frame = clean().assign(y=["yes"] * 17 + ["no"] * 83, a=[None] * 40 + list(range(60)))
    checks = statuses(frame)
    assert checks["NB102"] == "passed"
    assert checks["NB105"] == "passed"


def test_an_unknown_task_and_an_empty_table_are_refused():
    with pytest.raises(UserErrorException, match="forecasting"):
        results.data_checks(clean(), "y", "forecasting")
    with pytest.raises(DataError, match="no rows"):
        results.data_checks(clean().head(0), "y", "classification")


def test_whole_labels_with_gaps_are_shown_whole_and_blank_ones_as_missing():
    gaps = pd.DataFrame({"x": range(5), "y": [0, 1, 1, 1, None]})
    assert results.label_balance(gaps, "y").index.tolist() == [1, 0, "(missing)"]
    blank = pd.DataFrame({"x": range(5), "y": ["a", "b", "b", " ", None]})
    assert results.label_balance(blank, "y")["rows"].to_dict() == {"b": 2, "a": 1, "(missing)": 2}
    checks = results.data_checks(blank, "y", "classification").set_index("code")["finding"]
    assert checks["NB101"].startswith("2 of 5")
    assert checks["NB102"].startswith("The smallest class, a,")


def test_an_infinite_label_is_refused():
    with pytest.raises(DataError, match="'y' holds an infinite value"):
        results.label_balance(pd.DataFrame({"y": [*range(30), np.inf]}), "y")


def quantity(**columns):
    target = np.random.default_rng(1).normal(size=200)
    return pd.DataFrame({"x": np.random.default_rng(2).normal(size=200), "y": target, **columns})


def test_far_outliers_of_a_quantity_are_counted_together_and_the_ranges_are_those_of_the_others():
    frame = quantity()
    frame.loc[[0, 1], "y"] = [-900.0, 1e6]
    frame.loc[2, "y"] = 1e7
    balance = results.label_balance(frame, "y")
    assert len(balance) == 12
    assert (balance["rows"].iloc[0], balance["rows"].iloc[-1]) == (1, 2)
    assert balance.index[0].startswith("below -")
    assert balance.index[-1].startswith("above ")
    assert balance["rows"].sum() == 200
    assert balance["rows"].iloc[1:-1].max() < 100


def test_ranges_of_whole_numbers_are_whole_and_as_wide():
    balance = results.label_balance(pd.DataFrame({"y": list(range(29)) * 2}), "y")
    assert list(balance.index[[0, 1, -1]]) == ["0 to 2", "3 to 5", "27 to 28"]
    assert balance["rows"].tolist() == [6] * 9 + [4]


def test_a_column_that_grows_with_a_quantity_tells_it_and_one_that_nearly_does_not():
    frame = quantity()
    frame["cents"] = -100 * frame["y"] + 3
    frame["noisy"] = frame["y"] + 0.01 * frame["x"]
    assert findings(frame, task="regression")["NB108"].endswith("in every row: cents.")


def test_profile_shows_the_summary_of_small_numbers_in_full():
    table = results.profile(quantity().assign(y=np.linspace(-1.23456e-9, 7.65432e-9, 200)))
    assert table.loc[1, "summary"] in table._repr_html_()


def test_statistics_are_pandas_own_in_numbers_of_a_readable_length():
    frame = pd.DataFrame({"small": [1e-9, 3e-9], "large": [1.0, 32950.0], "word": ["a", "b"]})
    table = results.describe(frame)
    pd.testing.assert_frame_equal(pd.DataFrame(table), frame.describe())
    assert "2e-09" in repr(table)
    assert "32,950 " in f"{table} "
