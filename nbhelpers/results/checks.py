"""Checks with a code, of this project: Azure ML has no like of them beside its guardrails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

import pandas as pd

from nbhelpers.errors import DataError
from nbhelpers.metrics import greater_is_better, number_text
from nbhelpers.results.frames import SentenceFrame

#: The smallest class is called rare up to this share of the largest (as in the guardrail for class balancing).
IMBALANCE = 0.2


@dataclass(frozen=True)
class Check:
    """One check: ``noticed`` is None where it could not be made, and ``finding`` is one sentence."""

    code: str
    check: str
    noticed: bool | None
    finding: str


def check_table(checks: Iterable[Check]) -> pd.DataFrame:
    """Checks as a table: code, check, status (passed, noticed, not checked) and finding."""
    words = {True: "noticed", False: "passed", None: "not checked"}
    table = SentenceFrame([astuple(check) for check in checks], columns=["code", "check", "status", "finding"])
    table["status"] = table["status"].map(words)
    return table


def imbalance(code: str, counts: Mapping[Any, int]) -> Check:
    """Noticed: the smallest class is at most 20 % of the largest."""
    present = {str(name): rows for name, rows in counts.items() if rows}
    if len(present) < 2:
        return Check(code, "class balance", True, f"Only one class occurs: {', '.join(present) or 'none'}.")
    small, large = min(present, key=lambda name: present[name]), max(present, key=lambda name: present[name])
    share = present[small] / present[large]
    if share == 1:
        return Check(code, "class balance", False, f"Each of the {len(present)} classes has {present[small]:,} rows.")
    rows = "1 row" if present[small] == 1 else f"{present[small]:,} rows"
    finding = f"The smallest class, {small}, has {rows}: {share:.1%} of the largest, {large}."
    if share <= IMBALANCE:
        finding += " Accuracy says little here; look at AUC, average precision and recall."
    return Check(code, "class balance", share <= IMBALANCE, finding)


def allowed_gap(metric: str, validation: float, fold_std: float) -> float:
    """By how much a test may be worse than validation.

    0.02 of a score; of an error, which has no scale of its own, a tenth of the value in validation; and if that is
    more, three standard deviations of the folds.
    """
    least = 0.02 if greater_is_better(metric) else 0.1 * validation
    return max(least, 3 * (0.0 if pd.isna(fold_std) else fold_std))


def overfit(code: str, metric: str, gap: float, allowed: float) -> Check:
    """Noticed: the test is worse than validation by more than is allowed, see `allowed_gap`."""
    title = "over-fit gap"
    if pd.isna(gap):
        return Check(code, title, None, f"{metric} is not known for both validation and test.")
    worse = f"{number_text(abs(gap))} {'worse' if gap > 0 else 'better'} than"
    finding = f"{metric} on the test set is {worse} in validation; up to {number_text(allowed)} worse passes."
    return Check(code, title, gap > allowed, finding)


def leakage(code: str, importance: pd.DataFrame) -> Check:
    """Noticed: one feature carries more than half of the importance, or the first one is known too late."""
    title = "leakage hint"
    gains = importance.set_index("feature")["importance"].clip(lower=0)
    if gains.isna().all():
        return Check(code, title, None, "The importance of the features is not known.")
    if not gains.sum() > 0:
        return Check(code, title, None, "No feature has any importance.")
    top, share = str(gains.index[0]), gains.iloc[0] / gains.sum()
    finding = f"{top} carries {share:.0%} of the importance"
    # The authors of the bank marketing data say so themselves: a call that has not been made has no duration.
    if top == "duration" and {"campaign", "pdays", "poutcome"} <= set(gains.index):
        finding += ", and it is known only after the call: leave it out of a model that decides whom to call."
        return Check(code, title, True, finding)
    noticed = bool(share > 0.5 and len(gains) > 1)
    finding += "; make sure that it is known at the time of predicting." if noticed else ", no more than half of it."
    return Check(code, title, noticed, finding)


def overlap(code: str, test: pd.DataFrame, train: pd.DataFrame | None) -> Check:
    """Noticed: more than 1 % of the test rows also occur in training, label included."""
    title = "test rows in training"
    if train is None:
        return Check(code, title, None, "The training rows are not at hand; give them as test_report(..., train=).")
    missing = [str(name) for name in test.columns if name not in train.columns]
    if missing:
        raise DataError(
            f"The training table lacks columns of the test table: {', '.join(missing)}.",
            "give the table that the model was trained on.",
        )
    again = row_keys(test).isin(row_keys(train[list(test.columns)]))
    rows = f"{again.sum():,} of {len(test):,} test rows ({again.mean():.1%})"
    return Check(code, title, bool(again.mean() > 0.01), f"{rows} occur in the training set with the same label.")


def baseline(code: str, name: str, model: float, simple: float) -> Check:
    """Noticed: the model is no better than the same answer for every row."""
    verb = "above" if model > simple else "not above"
    finding = f"{name} is {model:.4f}, {verb} the {simple:.4f} of giving every row the same answer."
    return Check(code, "better than one answer for all", bool(model <= simple), finding)


def labelled(code: str, missing: int, rows: int) -> Check:
    """Noticed: rows have no label."""
    finding = f"{missing:,} of {rows:,} rows have no label" + (" and are left out." if missing else ".")
    return Check(code, "rows without a label", missing > 0, finding)


def row_keys(frame: pd.DataFrame) -> pd.Series[int]:
    """A number for the content of each row: equal for equal rows, whether a number is kept as int or float."""
    alike = {
        str(name): column.astype(float) if pd.api.types.is_numeric_dtype(column) else column.astype(str)
        for name, column in frame.items()
    }
    return pd.util.hash_pandas_object(pd.DataFrame(alike, index=frame.index), index=False)
