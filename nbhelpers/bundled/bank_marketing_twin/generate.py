"""Draw the synthetic data set `bank-marketing-twin` from figures.json, and from nothing else.

Method
------
1. **Columns one after another.** figures.json holds a chain of steps, for example `job` given `age_band` and
   `nr.employed`. A step draws a column for every row, from a table of counts for the row's values of the given
   columns. The first step draws the consumer price index, which fixes the other monthly figures, so they move together.
2. **Back-off.** Counts below the floor of 10 rows are not in the tables. A table that lacks some has the number of all
   its rows, rounded to tens, as `*`; what the listed counts leave of it is shared out as in the table with one given
   column fewer, among the values not listed. Where a combination of values has no table, that wider table is used.
3. **Bands.** `duration`, `age`, `campaign`, `pdays` and `previous` are counted in bands, named by their lower end; the
   whole number within the band is uniform. `age_band` and the like are coarser; they only steer other columns.
4. **Label.** `y` is drawn from a logistic model: an intercept plus terms, each a small tree over at most three columns,
   fitted to the original by gradient boosting. A leaf is a coefficient, which stands for at least 10 rows.
5. **Vocabulary.** A category that the original's description names but that is too rare for the tables gets a nominal
   share.

The seed is fixed and only `Generator.random` is used, so the same figures give the same table.

`python -m nbhelpers.bundled.bank_marketing_twin.generate [FOLDER]` writes train.parquet and test.parquet, by default
beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

HERE = Path(__file__).parent
ALL = "*"
"""The cell of a table that counts all its rows, where it does not list every value."""

Counts = dict[str, float]
Tables = dict[str, Counts]


def distribution(tables: Tables, key: str) -> Counts:
    """Return the weight of each value for rows whose given columns have the values in `key`.

    Parameters
    ----------
    tables : dict
        Counts by key: the values of the first few given columns, joined by `|`; "" is the table of all rows.
    key : str
        The values of all given columns of the rows to draw.
    """
    if not key:
        return tables[""]
    wider = distribution(tables, key.rpartition("|")[0])
    if key not in tables:
        return wider
    listed = {value: count for value, count in tables[key].items() if value != ALL}
    others = {value: weight for value, weight in wider.items() if value not in listed}
    rest = max(0.0, tables[key].get(ALL, 0.0) - sum(listed.values()))
    share = rest / (sum(others.values()) or 1.0)
    return listed | {value: weight * share for value, weight in others.items()}


def keys(frame: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Join the values (strings) of some columns of each row by `|`; without columns the key is ""."""
    if not columns:
        return pd.Series("", index=frame.index)
    return frame[columns[0]].str.cat(frame[columns[1:]], sep="|") if len(columns) > 1 else frame[columns[0]]


def band(values: npt.ArrayLike, edges: list[int]) -> npt.NDArray[Any]:
    """Return the lower end of each value's band, as a string; `edges` are the lower ends and the end of the last."""
    return np.array(edges[:-1]).astype(str)[np.searchsorted(edges[:-1], values, side="right") - 1]


def draw(step: dict[str, Any], frame: pd.DataFrame, uniform: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Draw one column (n,) of values, as strings, by inverting the cumulated weights at the numbers `uniform` (n,)."""
    drawn = np.empty(len(frame), dtype=object)
    given, members = np.unique(keys(frame, step["given"]).to_numpy(str), return_inverse=True)
    for number, key in enumerate(given):
        rows = np.flatnonzero(members == number)
        weights = distribution(step["tables"], str(key))
        total = sum(weights.values())
        weights = weights | {value: total * share for value, share in step.get("nominal", {}).items()}
        ends = np.cumsum(list(weights.values()))
        chosen = np.searchsorted(ends, uniform[rows] * ends[-1], side="right")
        drawn[rows] = np.array(list(weights), dtype=object)[chosen]
    return drawn


def features(figures: dict[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Draw all columns but the label, as strings; numbers in bands stand as the lower end of their band."""
    rows = sum(figures["rows"].values())
    frame = pd.DataFrame(index=range(rows))
    for step in figures["steps"]:
        frame[step["column"]] = draw(step, frame, rng.random(rows))
        for column, values in step.get("fixes", {}).items():
            frame[column] = frame[step["column"]].map(values)
    return frame


def add_tree(
    total: npt.NDArray[np.float64], node: dict[str, Any], frame: pd.DataFrame, rows: npt.NDArray[np.intp]
) -> None:
    """Add to `total` (n,), for the numbered `rows` of the typed features, the value of the leaf that each falls in."""
    if "value" in node:
        total[rows] += node["value"]
        return
    values = frame[node["column"]].to_numpy()[rows]
    inside = np.isin(values, node["in"]) if "in" in node else values <= node["up to"]
    add_tree(total, node["yes"], frame, rows[inside])
    add_tree(total, node["no"], frame, rows[~inside])


def logit(label: dict[str, Any], frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the logit of `yes` (n,), without the intercept, for rows of typed features."""
    total = np.zeros(len(frame))
    for tree in label["trees"]:
        add_tree(total, tree, frame, np.arange(len(frame)))
    total *= label["slope"]
    return total


def generate(figures: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Draw the tables `train` and `test`, with the columns, order and types of the original.

    Parameters
    ----------
    figures : dict
        The content of figures.json.
    """
    rng = np.random.default_rng(figures["seed"])
    types = figures["types"]
    frame = features(figures, rng)
    frame = frame.astype({column: kind for column, kind in types.items() if column in frame})
    probability = 1 / (1 + np.exp(-figures["label"]["intercept"] - logit(figures["label"], frame)))
    frame["y"] = np.where(rng.random(len(frame)) < probability, "yes", "no")
    for column, edges in figures["bands"].items():
        low = frame[column].to_numpy()
        high = np.array(edges[1:])[np.searchsorted(edges[:-1], low)]
        frame[column] = (low + rng.random(len(frame)) * (high - low)).astype(int)
    frame = frame[list(types)]
    split = figures["rows"]["train"]
    return {"train": frame[:split], "test": frame[split:].reset_index(drop=True)}


def main(folder: Path) -> None:
    """Write train.parquet and test.parquet into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.loads((HERE / "figures.json").read_text(encoding="utf-8"))
    for name, table in generate(figures).items():
        table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
