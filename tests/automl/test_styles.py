from __future__ import annotations

import numpy as np
import pytest

from nbhelpers.automl.styles import date_style, numbers, style_of, times


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["1", "-2.5", "1e3"], [1, -2.5, 1000]),
        (["1,234,567.5", "12"], [1234567.5, 12]),
        (["1.234.567,5", "12"], [1234567.5, 12]),
        (["0,5", "12"], [0.5, 12]),
        (["5%", "7 %"], [5, 7]),
        (["$1,234", "$5.5"], [1234, 5.5]),
        (["3 €", "4€"], [3, 4]),
        (["10:30", "36:15:01"], [37800, 130501]),
        (["2 days 03:00:00", "-1 days +10:00:00"], [183600, -50400]),
        (["?", "NA", "4"], [np.nan, np.nan, 4]),
        (["00123", "7"], [123, 7]),
    ],
)
def test_numbers_are_found_in_their_style(texts, found):
    kind, style = style_of(texts)
    assert kind == "number"
    assert numbers(texts, style) == pytest.approx(found, nan_ok=True)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["2024-03-05T10:00:00+02:00", "2024-03-05"], ["2024-03-05T08", "2024-03-05"]),
        (["2024-03", "2024-12"], ["2024-03-01", "2024-12-01"]),
        (["05.03.2024", "31.12.9999"], ["2024-03-05", "9999-12-31"]),
        (["05.03.2024", "2024-03-06"], ["2024-03-05", "2024-03-06"]),
        (["03/05/2024", "12/31/2024"], ["2024-03-05", "2024-12-31"]),
        (["05/03/2024", "31/12/2024"], ["2024-03-05", "2024-12-31"]),
        (["03/03/2024", "04/04/2024"], ["2024-03-03", "2024-04-04"]),  # the same either way
        (["2024/03/05"], ["2024-03-05"]),
        (["13/1/2024 10:30", "1/2/2024 9:05"], ["2024-01-13T10:30", "2024-02-01T09:05"]),
        (["3/31/2024 10:30:01 PM"], ["2024-03-31T22:30:01"]),
        (["5 May 2024", "6 June 2024"], ["2024-05-05", "2024-06-06"]),
        (["5-Mar-2024"], ["2024-03-05"]),
        (["March 5, 2024"], ["2024-03-05"]),
        (["none", "2024-03-05"], ["NaT", "2024-03-05"]),
    ],
)
def test_dates_are_found_in_their_style(texts, found):
    kind, style = style_of(texts)
    assert kind == "datetime"
    np.testing.assert_array_equal(times(texts, style), np.array(found, dtype="datetime64[us]"))


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["", "NA"],
        ["a", "1"],
        ["1,2,3", "4"],
        ["5%", "6"],
        ["$5", "6 €"],
        ["2024-13", "2024-01"],
        ["01/02/2024", "03/04/2024"],
        ["01/02/2024", "03.04.2024"],
        ["10.0.0.1", "192.168.1.1"],
        ["12345678901234567890", "1"],
        ["1"] * 200 + ["a"],
        ["2024-01-01"] * 200 + ["soon"],
    ],
)
def test_other_texts_are_neither(texts):
    assert style_of(texts) == ("string", "")


def test_the_style_is_that_of_all_texts_and_not_of_the_first():
    assert style_of([str(i) for i in range(200)] + ["1,234"]) == ("number", ",")
    assert style_of([f"{1 + i % 12:02}/01/2024" for i in range(200)] + ["01/13/2024"]) == ("datetime", "%m/%d/%Y")


def test_dates_that_are_asked_for_may_be_ambiguous_or_digits():
    assert date_style(["01/02/2024", "03/04/2024"]) == "%m/%d/%Y"
    assert times(["20240305"], date_style(["20240305"]) or "").tolist() == times(["2024-03-05"], "ISO8601").tolist()
    assert date_style(["soon"]) is None


def test_a_style_takes_no_number_of_another_for_its_own():
    assert np.isnan(numbers(["1,5", "12,34"], ",")).all()
    assert np.isnan(numbers(["1.5.2"], ".")).all()
    assert np.isnat(times(["03/31/2024", "5"], "%d/%m/%Y")).all()
