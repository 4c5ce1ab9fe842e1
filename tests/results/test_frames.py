from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from nbhelpers.errors import DataError
from nbhelpers.results.frames import SentenceFrame, as_frame, require_column

SENTENCE = "A sentence of more than fifty letters, which pandas would cut short in a notebook."


def test_data_sets_and_frames_become_frames():
    frame = pd.DataFrame({"a": [1]})
    assert as_frame(frame) is frame
    assert as_frame(SimpleNamespace(to_pandas_dataframe=lambda: frame)) is frame
    with pytest.raises(DataError, match="str is neither"):
        as_frame("data.csv")


def test_a_column_name_is_checked_with_the_nearest_or_all():
    frame = pd.DataFrame({"duration": [1], "age": [2]})
    require_column(frame, "age")
    with pytest.raises(DataError, match="Did you mean 'duration'"):
        require_column(frame, "durration")
    with pytest.raises(DataError, match="duration, age"):
        require_column(frame, "zzz")
    with pytest.raises(DataError, match="2 columns named 'age'"):
        require_column(frame[["age", "age"]], "age")


def test_a_table_without_rows_says_why_in_their_place():
    frame = SentenceFrame.without_rows("Nothing <here>.", ["a"])
    assert list(frame.columns) == ["a"]
    assert repr(frame) == "Nothing <here>."
    assert frame._repr_html_() == "<p>Nothing &lt;here&gt;.</p>"


def test_a_note_stands_below_the_table():
    frame = SentenceFrame({"a": [1]})
    frame.note = "Look out."
    assert repr(frame).endswith("\nLook out.")
    assert frame._repr_html_().endswith("<p>Look out.</p>")


def test_sentences_are_shown_in_full_also_after_a_selection():
    frame = SentenceFrame({"code": ["A", "B"], "finding": [SENTENCE, "Short."]})
    for shown in (frame, frame[frame["code"] == "A"], frame.set_index("code")):
        assert SENTENCE in shown._repr_html_()
        assert SENTENCE in repr(shown)


def test_numbers_are_shown_by_their_size_and_kept_as_they_are():
    frame = SentenceFrame({"error": [3.16431e-9, 45223.0631], "rows": [240, 60]})
    for shown in (repr(frame), frame._repr_html_()):
        assert "3.16e-09" in shown
        assert "45,223.1" in shown
        assert "240" in shown
    assert frame["error"].tolist() == [3.16431e-9, 45223.0631]
