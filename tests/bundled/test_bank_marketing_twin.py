from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.metrics import roc_auc_score

from nbhelpers.bundled import bundled_data
from nbhelpers.bundled.bank_marketing_twin import figures as figures_module
from nbhelpers.bundled.bank_marketing_twin.generate import ALL, HERE, distribution, generate, main
from nbhelpers.errors import DataError

CATEGORIES = {
    "job": "admin. blue-collar entrepreneur housemaid management retired self-employed services student technician"
    " unemployed unknown",
    "marital": "divorced married single unknown",
    "education": "basic.4y basic.6y basic.9y high.school illiterate professional.course university.degree unknown",
    "default": "no unknown yes",
    "housing": "no unknown yes",
    "loan": "no unknown yes",
    "contact": "cellular telephone",
    "month": "apr aug dec jul jun mar may nov oct sep",
    "day_of_week": "fri mon thu tue wed",
    "poutcome": "failure nonexistent success",
    "y": "no yes",
}
FLOATS = ["emp.var.rate", "cons.price.idx", "cons.conf.idx", "euribor3m", "nr.employed"]
COLUMNS = [
    *("age", "job", "marital", "education", "default", "housing", "loan", "contact", "month", "day_of_week"),
    *("duration", "campaign", "pdays", "previous", "poutcome"),
    *FLOATS,
    "y",
]


@pytest.fixture(scope="module")
def twin() -> dict[str, pd.DataFrame]:
    bundle = bundled_data("bank-marketing-twin")
    return {"train": pd.read_parquet(bundle.train), "test": pd.read_parquet(bundle.test)}


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / "figures.json").read_text())
    return content


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    if "BANK_MARKETING_CSV" not in os.environ:
        pytest.skip("BANK_MARKETING_CSV does not name the original table")
    return pd.read_csv(os.environ["BANK_MARKETING_CSV"], keep_default_na=False)


def leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "value" in node:
        yield node
    else:
        yield from leaves(node["yes"])
        yield from leaves(node["no"])


# The committed tables


def test_committed_tables_are_those_that_the_figures_make(tmp_path: Path, twin: dict[str, pd.DataFrame]) -> None:
    main(tmp_path)
    for name, table in twin.items():
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), table)


def test_tables_have_the_rows_columns_and_types_of_the_original(twin: dict[str, pd.DataFrame]) -> None:
    types = {
        column: "object" if column in CATEGORIES else "float64" if column in FLOATS else "int64" for column in COLUMNS
    }
    assert len(twin["train"]) == 32950
    assert len(twin["test"]) == 8238
    for table in twin.values():
        assert table.dtypes.astype(str).to_dict() == types
        assert list(table.columns) == COLUMNS
        assert not table.isna().any().any()


@pytest.mark.parametrize(("column", "values"), CATEGORIES.items())
def test_training_rows_have_every_category(twin: dict[str, pd.DataFrame], column: str, values: str) -> None:
    assert sorted(twin["train"][column].unique()) == values.split()
    assert set(twin["test"][column]) <= set(values.split())


def test_share_of_yes_is_that_of_the_original(twin: dict[str, pd.DataFrame]) -> None:
    for table in twin.values():
        assert (table["y"] == "yes").mean() == pytest.approx(0.112, abs=0.006)


def test_clients_never_called_before_have_no_outcome_and_no_days(twin: dict[str, pd.DataFrame]) -> None:
    table = twin["train"]
    new = table["poutcome"] == "nonexistent"
    assert (table.loc[new, ["pdays", "previous"]] == [999, 0]).all(axis=None)
    assert (table.loc[~new, "previous"] > 0).all()
    assert (table.loc[table["poutcome"] == "success", "pdays"] < 999).all()
    assert ((table["poutcome"] == "failure") & (table["pdays"] < 999)).any()
    assert (table["pdays"] == 0).any()


def test_a_month_of_the_survey_has_one_state_of_the_economy(twin: dict[str, pd.DataFrame]) -> None:
    months = (
        twin["train"].groupby("cons.price.idx")[["emp.var.rate", "cons.conf.idx", "nr.employed", "month"]].nunique()
    )
    assert len(months) == 25
    assert (months == 1).all(axis=None)


def test_no_row_occurs_in_training_and_test(twin: dict[str, pd.DataFrame]) -> None:
    assert len(twin["train"].merge(twin["test"].drop_duplicates())) <= 1


# What a model finds


@pytest.fixture(scope="module")
def model(twin: dict[str, pd.DataFrame]) -> LGBMClassifier:
    return fitted(twin["train"])


def inputs(table: pd.DataFrame) -> pd.DataFrame:
    kinds = {column: pd.CategoricalDtype(values.split()) for column, values in CATEGORIES.items() if column != "y"}
    return table.drop(columns="y").astype(kinds)


def fitted(table: pd.DataFrame) -> LGBMClassifier:
    return LGBMClassifier(n_jobs=1, verbose=-1).fit(inputs(table), table["y"] == "yes")


def auc(model: LGBMClassifier, table: pd.DataFrame) -> float:
    return float(roc_auc_score(table["y"] == "yes", model.predict_proba(inputs(table))[:, 1]))


def test_lightgbm_reaches_what_it_reaches_on_the_original(model: LGBMClassifier, twin: dict[str, pd.DataFrame]) -> None:
    assert 0.941 <= auc(model, twin["test"]) <= 0.961


def test_gain_ranks_the_columns_as_on_the_original(model: LGBMClassifier) -> None:
    gain = pd.Series(model.booster_.feature_importance("gain"), COLUMNS[:-1]).sort_values(ascending=False)
    assert list(gain.index[:4]) == ["duration", "nr.employed", "euribor3m", "month"]


def test_permutation_ranks_the_columns_as_on_the_original(model: LGBMClassifier, twin: dict[str, pd.DataFrame]) -> None:
    table = twin["test"]
    order = np.random.default_rng(0).permutation(len(table))
    loss = {
        column: auc(model, table) - auc(model, table.assign(**{column: table[column].to_numpy()[order]}))
        for column in COLUMNS[:-1]
    }
    ranked = sorted(loss, key=lambda column: -loss[column])
    assert ranked[0] == "duration"
    assert set(ranked[1:5]) == {"emp.var.rate", "euribor3m", "nr.employed", "month"}


# The figures


def test_no_published_cell_stands_for_fewer_than_ten_rows(figures: dict[str, Any]) -> None:
    cells = [n for step in figures["steps"] for table in step["tables"].values() for n in table.values()]
    cells += [leaf["rows"] for tree in figures["label"]["trees"] for leaf in leaves(tree)]
    assert len(cells) > 5000
    assert min(cells) >= 10


def test_numbers_of_all_rows_do_not_give_held_back_counts_away(figures: dict[str, Any]) -> None:
    totals = [table[ALL] for step in figures["steps"] for table in step["tables"].values() if ALL in table]
    assert totals
    assert all(total % 10 == 0 for total in totals)


def test_what_a_table_does_not_list_is_shared_out_as_in_the_wider_table() -> None:
    tables = {"": {"a": 60.0, "b": 30.0, "c": 10.0}, "x": {"a": 20.0, ALL: 60.0}, "x|y": {"b": 15.0}}
    assert distribution(tables, "x") == {"a": 20.0, "b": 30.0, "c": 10.0}
    assert distribution(tables, "z|y") == tables[""]
    assert {value: weight for value, weight in distribution(tables, "x|y").items() if weight} == {"b": 15.0}


def test_another_seed_draws_other_rows_from_the_same_figures(
    figures: dict[str, Any], twin: dict[str, pd.DataFrame]
) -> None:
    other = generate(figures | {"seed": 1})["train"]
    assert not other.equals(twin["train"])
    assert other["age"].mean() == pytest.approx(twin["train"]["age"].mean(), abs=0.5)


def test_missing_original_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="BANK_MARKETING_CSV"):
        figures_module.main([str(tmp_path / "none.csv")])


# Against the original


def test_twin_repeats_rows_of_the_original_no_more_than_chance(
    original: pd.DataFrame, twin: dict[str, pd.DataFrame]
) -> None:
    # Chance: two different rows of the original that are equal. For one row of the original to meet an equal one there
    # is as likely as for a row of an independent sample of the same clients; a copying generator repeats thousands.
    rows = pd.concat(twin.values())
    met = rows.merge(original.drop_duplicates(), on=COLUMNS)
    by_chance = original.duplicated(keep=False).mean() * len(rows)
    assert len(met) <= by_chance


def test_marginals_are_those_of_the_original(original: pd.DataFrame, twin: dict[str, pd.DataFrame]) -> None:
    for column in COLUMNS:
        real, drawn = original[column], twin["train"][column]
        if column in CATEGORIES:
            shares = real.value_counts(normalize=True).sub(drawn.value_counts(normalize=True), fill_value=0)
            assert shares.abs().sum() / 2 <= 0.025, f"total variation distance of {column}"
        else:
            grid = np.unique(real)
            below = [np.searchsorted(np.sort(values), grid, side="right") / len(values) for values in (real, drawn)]
            assert np.abs(below[0] - below[1]).max() <= 0.015, f"Kolmogorov-Smirnov distance of {column}"
            assert abs(drawn.mean() - real.mean()) <= 0.03 * real.std(), f"mean of {column}"
            assert drawn.std() == pytest.approx(real.std(), rel=0.05), f"standard deviation of {column}"


def test_numbers_move_together_as_in_the_original(original: pd.DataFrame, twin: dict[str, pd.DataFrame]) -> None:
    numbers = [column for column in COLUMNS if column not in CATEGORIES]
    difference = twin["train"][numbers].corr("spearman") - original[numbers].corr("spearman")
    assert difference.abs().max(axis=None) <= 0.08


def test_model_of_the_twin_serves_the_original_and_the_reverse(
    original: pd.DataFrame, twin: dict[str, pd.DataFrame], model: LGBMClassifier
) -> None:
    assert auc(model, original) >= 0.94
    assert auc(fitted(original), twin["test"]) >= 0.94


def test_figures_are_those_of_the_original(original: pd.DataFrame, figures: dict[str, Any]) -> None:
    tables = figures_module.counted(
        figures_module.coded(original[original["cons.price.idx"] != 92.756]), "loan", ["housing", "cons.price.idx"]
    )
    assert tables == next(step["tables"] for step in figures["steps"] if step["column"] == "loan")
