"""More is tested in test_testing.py, through `TestReport.importance`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nbhelpers.results.models import BestModel
from nbhelpers.results.permutation import permutation_importance


class Twice:
    """A model that says twice the column `a`."""

    feature_names_in_ = ("a", "b")

    def predict(self, rows):
        return 2 * rows["a"].to_numpy()


@pytest.fixture
def model():
    return BestModel(None, None, Twice(), None)


def rows_of(n):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"b": rng.normal(size=n), "a": rng.normal(size=n)})


@pytest.mark.parametrize("metric", ["r2_score", "root_mean_squared_error"])
def test_a_score_falls_and_an_error_rises_when_a_column_that_counts_is_shuffled(model, metric):
    rows = rows_of(200)
    table = permutation_importance(model, rows, model.model.predict(rows), metric, 3, None, 0)
    assert table["feature"].tolist() == ["a", "b"]
    assert table.loc[0, "importance"] > 1
    assert table.loc[0, "std"] > 0
    assert table.loc[1, ["importance", "std"]].tolist() == [0, 0]


def test_the_rows_of_a_sample_are_drawn_by_the_seed_and_the_table_stays_as_it_is(model):
    rows = rows_of(300)
    before, truth = rows.copy(), model.model.predict(rows)
    one, same, other = (
        permutation_importance(model, rows, truth, "r2_score", 2, 50, seed)["importance"] for seed in (1, 1, 2)
    )
    assert one.equals(same)
    assert not one.equals(other)
    pd.testing.assert_frame_equal(rows, before)
