from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from nbhelpers.automl.featurize import DataTransformer
from nbhelpers.errors import DataError

pytestmark = pytest.mark.filterwarnings("error")


def test_the_matrix_is_numbers_with_a_name_for_each_column(table):
    transformer = DataTransformer()
    matrix = transformer.fit_transform(table[0])
    names = transformer.get_feature_names_out().tolist()
    assert matrix.shape == (300, len(names))
    assert matrix.dtype == np.float64
    assert names[:4] == ["amount", "age", "job", "größe [{m}]"]
    assert {"day_year", "day_month", "day_day_of_week"} <= set(names)
    assert "day_hour" not in names  # always midnight
    assert [names[i] for i in transformer.categorical_] == ["job", "member"]


def test_columns_may_come_in_another_order_and_with_others(table):
    frame = table[0]
    transformer = DataTransformer().fit(frame)
    shuffled = frame[frame.columns[::-1]].assign(extra="x")
    np.testing.assert_array_equal(transformer.transform(shuffled), transformer.transform(frame))


def test_unknown_categories_and_new_gaps_are_treated(table):
    frame = table[0].assign(complete=["u", "v", "v"] * 100)
    transformer = DataTransformer().fit(frame)
    names = transformer.get_feature_names_out().tolist()
    odd = frame.head(3).assign(job="pilot", complete=["?", None, "u"], age=None)
    matrix = transformer.transform(odd)
    assert np.isnan(matrix[:, names.index("job")]).all()  # gaps occur in training, so models know them
    assert matrix[:, names.index("complete")].tolist() == [1, 1, 0]  # the most frequent one stands in
    assert matrix[:, names.index("age")] == pytest.approx(frame.age.mean())


def test_a_table_that_does_not_fit_is_refused_by_column(table):
    frame = table[0]
    transformer = DataTransformer().fit(frame)
    with pytest.raises(DataError, match="'amount', 'job'"):
        transformer.transform(frame.drop(columns=["amount", "job"]))
    with pytest.raises(DataError, match=r"'age'.*'old'"):
        transformer.transform(frame.assign(age="old"))
    with pytest.raises(DataError, match="no rows"):
        transformer.transform(frame.head(0))
    with pytest.raises(DataError, match="ndarray"):
        transformer.transform(frame.to_numpy())


def test_constants_empty_columns_and_keys_are_left_out():
    frame = pd.DataFrame({"one": 1, "none": None, "key": [f"k{i}" for i in range(100)], "x": np.arange(100.0)})
    transformer = DataTransformer().fit(frame)
    assert [column.purpose for column in transformer.columns_] == ["Ignore", "AllNan", "Hashes", "Numeric"]
    assert transformer.transform(frame[["x"]]).shape == (100, 1)
    with pytest.raises(DataError, match="No column"):
        DataTransformer().fit(frame[["one", "none", "key"]])


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(DataError, match="'x'"):
        DataTransformer().fit(pd.DataFrame([[1, 2]], columns=["x", "x"]))


def test_text_becomes_numbers_that_tell_texts_apart():
    rng = np.random.default_rng(0)
    topics = np.array([["goal", "match", "team"], ["bank", "loan", "rate"]])
    kinds = rng.integers(0, 2, 120)
    texts = [f"{' '.join(rng.choice(topics[kind], 6))} number {i}" for i, kind in enumerate(kinds)]
    transformer = DataTransformer()
    matrix = transformer.fit_transform(pd.DataFrame({"text": texts}))
    assert matrix.shape[1] == len(transformer.get_feature_names_out())
    means = np.array([matrix[kinds == kind].mean(axis=0) for kind in (0, 1)])
    nearest = ((matrix[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == kinds).mean() > 0.95
    assert np.isfinite(transformer.transform(pd.DataFrame({"text": [None, "", "goal"]}))).all()


def test_off_takes_numbers_as_they_are():
    frame = pd.DataFrame({"constant": 1, "flag": [True, False] * 10, "x": np.arange(20.0)})
    matrix = DataTransformer("off").fit_transform(frame)
    np.testing.assert_array_equal(matrix, frame.to_numpy(dtype=float))
    with pytest.raises(DataError, match=r"'s'.*featurization"):
        DataTransformer("off").fit(frame.assign(s="a"))


def test_it_is_a_scikit_learn_transformer():
    assert clone(DataTransformer("off")).get_params() == {"featurization": "off"}


def test_columns_of_several_levels_have_names_too():
    frame = pd.DataFrame({("a", 1): np.arange(30.0), ("a", 2): np.arange(30.0) % 7})
    model = DataTransformer()
    assert model.fit_transform(frame).tolist() == model.transform(frame[frame.columns[::-1]]).tolist()


def test_categories_are_known_in_a_column_that_gaps_made_one_of_floats():
    train = pd.DataFrame({"room": ["1", "2", "x", "2"] * 25})
    model = DataTransformer().fit(train)
    codes = model.transform(pd.DataFrame({"room": [1, 2, np.nan, 2]}))
    assert codes.ravel().tolist() == [0, 1, 1, 1]  # the most frequent category stands for the gap
