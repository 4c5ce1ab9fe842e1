"""Compute figures.json, the aggregated figures of the twin, from the original table.

`python -m nbhelpers.bundled.bank_marketing_twin.figures [CSV]` writes figures.json beside this file. CSV is
bankmarketing_train.csv, by default the file in the environment variable BANK_MARKETING_CSV. PROVENANCE.md says where
the original can be had, and generate.py what the figures mean.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from scipy.optimize import brentq

from nbhelpers.bundled.bank_marketing_twin.generate import ALL, HERE, band, features, keys, logit
from nbhelpers.errors import DataError

FLOOR = 10
"""No published cell stands for fewer rows of the original."""

PER_VALUE = 10
"""Least rows, for each value of the next wider table, of a table of two or more given columns: in a smaller one only
common values pass the floor, so it would favour them."""

SEED = 2014

SLOPE = 1.1
"""Steepness of the label's model against the fitted one, set by hand: the fitted one is smoother than the truth, and a
model that learns from the twin loses a little more. So LightGBM reaches on the twin what it reaches on the original."""

NOMINAL = {"default": {"yes": 0.0002}, "education": {"illiterate": 0.0004}}
"""Shares, set by hand, of categories that the original's description names but that are too rare for the tables."""

FIXES = {"cons.price.idx": ["emp.var.rate", "cons.conf.idx", "nr.employed", "month"], "history": ["poutcome"]}
"""Columns that follow from another: the consumer price index is different in every month of the survey, so it names
the period."""

BANDS = {
    "age": [17, *range(19, 61), *range(62, 80, 2), 80, 83, 86, 96],
    "duration": [
        *(0, *range(5, 40, 5), *range(40, 200, 10), *range(200, 400, 20), *range(400, 800, 40)),
        *(*range(800, 1500, 100), 1500, 1650, 1850, 2100, 2500, 4000),
    ],
    "campaign": [*range(1, 15), 17, 18, 20, 22, 25, 30, 45],
    "pdays": [*range(16), 17, 22, 28, 999, 1000],
    "previous": [*range(6), 8],
}
"""Lower ends of the bands, and the end of the last, in which each column is counted: set by hand, wider where data are
few. Values above the end are counted in the last band, so that no extreme value is published."""

COARSE = {
    "age_band": ("age", [17, 25, 30, 35, 40, 45, 50, 55, 60, 96]),
    "duration_band": ("duration", [0, 40, 80, 120, 160, 210, 270, 350, 450, 600, 900, 4000]),
    "campaign_band": ("campaign", [1, 2, 3, 4, 6, 10, 45]),
}
"""Columns that only steer others: the column that each is made from, and its bands."""

STEPS = {
    "cons.price.idx": [],
    "euribor3m": ["cons.price.idx"],
    "day_of_week": ["cons.price.idx", "euribor3m"],
    "contact": ["cons.price.idx", "euribor3m", "day_of_week"],
    "history": ["cons.price.idx", "contact", "euribor3m"],
    "pdays": ["history", "cons.price.idx"],
    "previous": ["history", "cons.price.idx"],
    "age_band": ["cons.price.idx", "history", "contact", "euribor3m"],
    "age": ["age_band", "cons.price.idx"],
    "job": ["age_band", "nr.employed", "cons.price.idx"],
    "education": ["job", "age_band", "nr.employed", "cons.price.idx"],
    "marital": ["age_band", "job", "education"],
    "default": ["cons.price.idx", "education", "age_band"],
    "housing": ["cons.price.idx", "euribor3m"],
    "loan": ["housing", "cons.price.idx"],
    "campaign_band": ["cons.price.idx", "contact", "day_of_week"],
    "campaign": ["campaign_band", "cons.price.idx"],
    "duration_band": ["cons.price.idx", "history", "campaign_band", "contact"],
    "duration": ["duration_band", "cons.price.idx"],
}
"""The columns in the order in which they are drawn, each with the columns that it is given, the most telling first."""

TREES: dict[str, Any] = {"n_estimators": 400, "max_depth": 3, "min_child_samples": 50}
"""Size of the label's model: each tree is a term in at most three columns."""


def coded(original: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as strings, numbers as the lower ends of their bands, with the columns that steer others."""
    frame = original.astype(str)
    for column, edges in BANDS.items():
        frame[column] = band(original[column], edges)
    for column, (source, edges) in COARSE.items():
        frame[column] = band(original[source], edges)
    recent = np.where(original["pdays"] < 999, "recent ", "")
    frame["history"] = recent + original["poutcome"]
    frame["euribor3m"] = merged_rates(original)
    return frame


def merged_rates(original: pd.DataFrame) -> pd.Series:
    """Return the interest rate (n,) as a string; neighbours within a period are merged until they have FLOOR rows."""
    merged = pd.Series("", index=original.index)
    for _, rates in original.groupby("cons.price.idx")["euribor3m"]:
        counts = rates.value_counts().sort_index()
        names: dict[float, str] = {}
        bunch: list[float] = []
        for rate in counts.index:
            bunch.append(rate)
            if counts[bunch].sum() >= FLOOR and counts[counts.index > rate].sum() not in range(1, FLOOR):
                names |= dict.fromkeys(bunch, str(counts[bunch].idxmax()))
                bunch = []
        merged[rates.index] = rates.map(names)
    return merged


def counted(frame: pd.DataFrame, column: str, given: list[str]) -> dict[str, dict[str, int]]:
    """Return the tables of a step: a column's counts by all given columns, by all but the last, and so on to none."""
    values = frame[column].value_counts()
    frame = frame[frame[column].isin(values.index[values >= FLOOR])]
    tables: dict[str, dict[str, int]] = {}
    for depth in range(len(given) + 1):
        for key, drawn in frame.groupby(keys(frame, given[:depth]))[column]:
            counts = drawn.value_counts().sort_index()
            listed = {str(value): int(count) for value, count in counts[counts >= FLOOR].items()}
            wider = tables.get(str(key).rpartition("|")[0], {})
            if listed and (depth < 2 or len(drawn) >= PER_VALUE * len(wider) > 0):
                # The first given column bounds a banded one (no age outside its band), so nothing is shared out there.
                complete = len(listed) == len(counts) or (depth == 1 and column in BANDS)
                tables[str(key)] = listed | ({} if complete else {ALL: int(round(counts.sum(), -1))})
    return tables


def label_model(frame: pd.DataFrame, label: pd.Series) -> list[dict[str, Any]]:
    """Fit the label's model to the typed features (n, 20) and return its trees in the form of `exported`."""
    frame = frame.astype(dict.fromkeys(frame.select_dtypes(object), "category"))
    model = LGBMClassifier(**TREES, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True)
    content = model.fit(frame, label == "yes").booster_.dump_model()
    names = {str(column): list(values.cat.categories) for column, values in frame.select_dtypes("category").items()}
    return [exported(tree["tree_structure"], frame, content["feature_names"], names) for tree in content["tree_info"]]


def exported(
    node: dict[str, Any], frame: pd.DataFrame, columns: list[str], names: dict[str, list[str]]
) -> dict[str, Any]:
    """Return a node of a tree, down to the leaves with their rows (of `frame`) and values.

    LightGBM only estimates the rows of a leaf, so they are counted here, and a split that parts off fewer than FLOOR
    rows is left out.
    """
    if "leaf_value" in node:
        return {"rows": len(frame), "value": round(node["leaf_value"], 4)}
    column = columns[node["split_feature"]]
    if column in names:
        values = [names[column][int(code)] for code in node["threshold"].split("||")]
        split: dict[str, Any] = {"column": column, "in": values}
        inside = frame[column].isin(values)
    else:
        split = {"column": column, "up to": round(node["threshold"], 4)}
        inside = frame[column] <= split["up to"]
    sides = {"yes": frame[inside], "no": frame[~inside]}
    children = {"yes": node["left_child"], "no": node["right_child"]}
    large = max(sides, key=lambda side: len(sides[side]))
    if min(len(side) for side in sides.values()) < FLOOR:
        return exported(children[large], sides[large], columns, names)
    return split | {side: exported(children[side], sides[side], columns, names) for side in sides}


def figures(original: pd.DataFrame) -> dict[str, Any]:
    """Compute the content of figures.json from the original table (n rows, its 21 columns)."""
    original = original[original.groupby("cons.price.idx")["y"].transform("size") >= FLOOR]
    frame = coded(original)
    steps: list[dict[str, Any]] = []
    for column, given in STEPS.items():
        steps.append({"column": column, "given": given, "tables": counted(frame, column, given)})
        if column in NOMINAL:
            steps[-1]["nominal"] = NOMINAL[column]
        if column in FIXES:
            steps[-1]["fixes"] = frame.drop_duplicates(column).set_index(column)[FIXES[column]].sort_index().to_dict()
    result: dict[str, Any] = {
        "seed": SEED,
        "rows": {"train": 32950, "test": 8238},
        "types": {str(column): str(kind) for column, kind in original.dtypes.items()},
        "bands": BANDS,
        "steps": steps,
    }
    types = {column: kind for column, kind in result["types"].items() if column != "y"}
    share = round(float((original["y"] == "yes").mean()), 4)
    label = {"share": share, "slope": SLOPE, "trees": label_model(frame[list(types)].astype(types), original["y"])}
    logits = logit(label, features(result, np.random.default_rng(SEED)).astype(types))
    label["intercept"] = round(brentq(lambda a: (1 / (1 + np.exp(-a - logits))).mean() - share, -30, 30), 4)
    return result | {"label": label}


def main(arguments: list[str]) -> None:
    """Write figures.json beside this file."""
    csv = Path(arguments[0] if arguments else os.environ.get("BANK_MARKETING_CSV", "bankmarketing_train.csv"))
    if not csv.is_file():
        raise DataError(
            f"there is no file {str(csv)!r}", "name bankmarketing_train.csv, or set BANK_MARKETING_CSV to it"
        )
    content = json.dumps(figures(pd.read_csv(csv, keep_default_na=False)), indent=1)
    (HERE / "figures.json").write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
