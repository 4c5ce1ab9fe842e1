from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone

from nbhelpers.automl import TRUSTED_TYPES, featurize
from nbhelpers.automl.columns import USED
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


def test_columns_of_one_name_are_told_apart_by_their_order():
    frame = pd.DataFrame({"a": np.arange(30.0), "b": np.arange(30.0) % 7, "a.1": np.arange(30.0) ** 2})
    twice = frame.set_axis(["a", "b", "a"], axis=1)
    model = DataTransformer()
    matrix = model.fit_transform(twice)
    assert model.feature_names_in_.tolist() == model.get_feature_names_out().tolist() == ["a", "b", "a.1"]
    assert (
        matrix.tolist() == model.transform(twice).tolist() == model.transform(frame).tolist() == frame.values.tolist()
    )


def test_names_of_the_output_are_unique():
    frame = pd.DataFrame({"day_year": np.arange(30.0), "day": pd.date_range("2020", periods=30, freq="YS")})
    assert DataTransformer().fit(frame).get_feature_names_out().tolist()[:2] == ["day_year", "day_year.1"]


def test_an_order_of_categories_is_kept_and_unused_ones_are_not():
    sizes = pd.Categorical(["low", "high", "mid"] * 30, categories=["none", "low", "mid", "high"], ordered=True)
    model = DataTransformer()
    assert model.fit_transform(pd.DataFrame({"size": sizes}))[:3].ravel().tolist() == [0, 2, 1]
    assert model.columns_[0].categories == ["low", "mid", "high"]
    assert model.transform(pd.DataFrame({"size": ["high"]})).item() == 2


N = 240
DAYS = pd.date_range("2024-01-01", periods=N)
COLUMNS: dict[str, Any] = {
    "floats": np.arange(N) / 7,
    "infinite": [np.inf, 1.0, 2.5] * 80,
    "sparse": pd.arrays.SparseArray([0.0, 0.5, 0.0] * 80),
    "nullable": pd.array([True, None, False] * 80, dtype="boolean"),
    "decimals": [Decimal(i) / 4 for i in range(N)],
    "texts": ["a", " ", "c", None] * 60,
    "ids among categories": pd.Categorical([f"v{i % 150}" for i in range(N)]),
    "mixed": ["a", 1, 2.5, None, True, b"x"] * 40,
    "prices": [f"${i * 1000:,}" for i in range(N)],
    "shares": [f"{i} %" for i in range(N)],
    "gaps": ["?", *map(str, range(N - 1))],
    "times": [time(i % 24, i % 60) for i in range(N)],
    "clock": [f"{i % 24}:30" for i in range(N)],
    "spans": DAYS - DAYS[0],
    "days": DAYS,
    "zoned": DAYS.tz_localize("Asia/Tokyo"),
    "months": pd.period_range("2000-01", periods=N, freq="M"),
    "objects": [*DAYS.date[:-1], date(9999, 12, 31)],
    "iso": DAYS.strftime("%Y-%m-%d"),
    "american": DAYS.strftime("%m/%d/%Y %I:%M %p"),
    "intervals": pd.arrays.IntervalArray.from_breaks(range(N + 1)),
    "ranges": pd.cut(np.arange(N), 5),
    "notes": [f"the {i} quick brown {i * 7} foxes" for i in range(N)],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_any_column_is_numbers_and_the_same_in_many_rows_and_in_one(name):
    frame = pd.DataFrame({name: COLUMNS[name]})
    model = DataTransformer()
    matrix = model.fit_transform(frame)
    assert model.columns_[0].purpose in USED
    assert not np.isinf(matrix).any()
    assert (matrix != matrix[0]).any()
    np.testing.assert_array_equal(model.transform(frame), matrix)
    rows = np.vstack([model.transform(frame.iloc[[row]]) for row in range(0, N, 17)])
    np.testing.assert_allclose(rows, matrix[::17], rtol=1e-12)


@pytest.mark.parametrize("value", [[1], {"a": 1}, (1, 2), 1j])
def test_every_column_that_cannot_be_read_is_named_at_once(value):
    frame = pd.DataFrame({"x": np.arange(20.0), "bad": [value] * 20, "worse": [[]] * 20})
    with pytest.raises(DataError, match=r"(?s)'bad'.*'worse'"):
        DataTransformer().fit(frame)
    assert DataTransformer({"drop_columns": ["bad", "worse"]}).fit_transform(frame).shape == (20, 1)


def test_a_table_without_rows_is_refused():
    with pytest.raises(DataError, match="no rows"):
        DataTransformer().fit(pd.DataFrame({"x": []}))


def test_two_thousand_columns_and_ten_rows_are_no_trouble():
    frame = pd.DataFrame(np.arange(20_000.0).reshape(10, 2000))
    assert DataTransformer().fit_transform(frame).tolist() == frame.to_numpy().tolist()


def test_texts_too_short_for_n_grams_are_decomposed_without_a_warning(recwarn):
    config = {"column_purposes": {"text": "Text"}}
    DataTransformer(config).fit(pd.DataFrame({"text": ["a", "b"] * 10}))
    assert not recwarn.list


def test_a_decomposition_of_many_texts_is_that_of_a_sample(monkeypatch):
    frame = pd.DataFrame({"notes": COLUMNS["notes"]})
    monkeypatch.setattr(featurize, "_MOST_TEXTS", 100)
    model = DataTransformer()
    matrix = model.fit_transform(frame)
    monkeypatch.setattr(featurize, "_MOST_TEXTS", 1000)
    np.testing.assert_allclose(model.transform(frame), matrix)
    assert not np.allclose(DataTransformer().fit_transform(frame), matrix)


def purposes(config, frame):
    return [column.purpose for column in DataTransformer(config).fit(frame).columns_]


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "size": [1.5, 2.0, None, 4.5, 2.0] * 20,
            "code": [3, 4] * 50,
            "job": ["a", "b", "b", None] * 25,
            "day": ["05/03/2024", "06/04/2024", None, "05/03/2025"] * 25,
            "note": ["good one", "bad one"] * 50,
        }
    )


def test_purposes_are_as_asked_for(frame):
    assert purposes("auto", frame) == ["Numeric", "Categorical", "Categorical", "Categorical", "Categorical"]
    asked = {"size": "CategoricalHash", "code": "Numeric", "job": "Ignore", "day": "DateTime", "note": "Text"}
    assert purposes({"column_purposes": asked}, frame) == list(asked.values())
    model = DataTransformer({"column_purposes": asked})
    matrix = model.fit_transform(frame)
    names = model.get_feature_names_out().tolist()
    assert names[:4] == ["size", "code", "day_year", "day_month"]
    assert matrix[0, :4].tolist() == [1.5, 3, 2024, 5]
    assert [names[i] for i in model.categorical_] == ["size"]
    np.testing.assert_array_equal(model.transform(frame), matrix)


def test_dates_may_be_asked_for_as_categories_and_digits_as_dates():
    frame = pd.DataFrame({"a": ["2024-01-05", "2024-02-06"] * 20, "b": [20240105, 20240206] * 20})
    model = DataTransformer({"column_purposes": {"a": "Categorical", "b": "DateTime"}}).fit(frame)
    assert model.columns_[0].categories == ["2024-01-05", "2024-02-06"]
    assert model.columns_[1].parts[:2] == ["month", "day"]
    assert model.transform(frame)[1, :3].tolist() == [1, 2, 6]


def test_columns_are_left_out_as_asked_for(frame):
    config = {"drop_columns": ["size"], "column_purposes": {"code": "Hashes"}, "blocked_transformers": ["TfIdf"]}
    assert purposes(config, frame)[:3] == ["Ignore", "Hashes", "Categorical"]
    config = {"column_purposes": {"note": "Text", "day": "DateTime", "job": "CategoricalHash"}}
    blocked = ["TfIdf", "DateTimeTransformer", "HashOneHotEncoder", "LabelEncoder"]
    assert purposes(config | {"blocked_transformers": blocked}, frame)[2:] == ["Ignore"] * 3
    assert purposes({"column_purposes": {"gone": "Numeric"}}, frame.assign(gone=np.nan))[-1] == "AllNan"


def test_all_that_does_not_fit_the_table_is_refused_at_once(frame):
    asked = {"sise": "Numeric", "job": "Numeric", "note": "DateTime", "weather": "Text"}
    with pytest.raises(DataError) as caught:
        DataTransformer({"column_purposes": asked}).fit(frame)
    for part in ("'sise' (did you mean 'size'?), 'weather'", "'job': 'a' is not a number", "'note': 'good one' is not"):
        assert part in str(caught.value)


def imputed(frame, columns, **params):
    model = DataTransformer({"transformer_params": {"Imputer": [[columns, params]]}})
    matrix = pd.DataFrame(model.fit_transform(frame), columns=model.get_feature_names_out())
    np.testing.assert_array_equal(model.transform(frame), matrix)
    return matrix


@pytest.mark.parametrize(
    ("column", "params", "value"),
    [
        ("size", {"strategy": "mean"}, 2.5),
        ("size", {"strategy": "median"}, 2),
        ("size", {"strategy": "most_frequent"}, 2),
        ("size", {"strategy": "constant", "fill_value": -1}, -1),
        ("job", {"strategy": "most_frequent"}, 1),
        ("job", {"strategy": "constant", "fill_value": "a"}, 0),
        ("job", {"strategy": "constant", "fill_value": "none"}, 2),
    ],
)
def test_missing_values_are_replaced_as_asked_for(frame, column, params, value):
    matrix = imputed(frame, [column], **params)
    assert set(matrix[column][frame[column].isna()]) == {value}
    before = DataTransformer().fit_transform(frame)[:, list(frame.columns).index(column)]
    assert matrix[column][frame[column].notna()].tolist() == before[frame[column].notna()].tolist()


def test_missing_dates_are_replaced_as_asked_for():
    frame = pd.DataFrame({"day": pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-03"] * 10)})
    for params, day in (("mean", 2), ("median", 3), ("most_frequent", 3)):
        assert imputed(frame, ["day"], strategy=params)["day_day"][1] == day
    assert imputed(frame, ["day"], strategy="constant", fill_value="2024-01-02")["day_day"][1] == 2


def test_an_imputer_for_all_columns_is_for_those_it_fits(frame):
    matrix = imputed(frame, [], strategy="mean")
    assert matrix["size"].notna().all()
    assert matrix["job"].isna().any()
    entries = [[[], {"strategy": "mean"}], [["size"], {"strategy": "constant", "fill_value": 9}]]
    model = DataTransformer({"transformer_params": {"Imputer": entries}}).fit(frame)
    assert [column.imputer for column in model.columns_] == ["constant", "mean", "", "", ""]
    assert model.transform(frame)[2, 0] == 9


@pytest.mark.parametrize(
    ("column", "params"),
    [
        ("job", {"strategy": "mean"}),
        ("size", {"strategy": "constant", "fill_value": "x"}),
        ("when", {"strategy": "constant", "fill_value": "soon"}),
        ("size", {"strategy": "constant", "fill_value": 10**31}),
        ("words", {"strategy": "most_frequent"}),
    ],
)
def test_an_imputer_that_does_not_fit_its_column_is_refused(frame, column, params):
    frame = frame.assign(when=pd.date_range("2024", periods=100), words=[f"one two three {i}" for i in range(100)])
    with pytest.raises(DataError, match=f"'{column}'.*{params.get('fill_value', params['strategy'])}"):
        imputed(frame, [column], **params)


def test_an_empty_configuration_is_auto(frame):
    np.testing.assert_array_equal(DataTransformer({}).fit_transform(frame), DataTransformer().fit_transform(frame))


def test_a_configured_transformer_survives_storing(frame):
    config = {
        "column_purposes": {"note": "Text", "day": "DateTime"},
        "transformer_params": {"Imputer": [[["size"], {"strategy": "median"}]]},
    }
    model = DataTransformer(config).fit(frame)
    loaded = skops.io.loads(skops.io.dumps(model), trusted=list(TRUSTED_TYPES))
    assert loaded.featurization == config
    np.testing.assert_array_equal(loaded.transform(frame), model.transform(frame))
