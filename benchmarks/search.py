"""Measure the search of the AutoML engine, run in a process of its own through the local workspace.

    python benchmarks/search.py rate       # child runs a minute, with two slots and with one
    python benchmarks/search.py first      # what a model is worth that has to be there after 20 seconds
    python benchmarks/search.py million    # a million rows by 20 columns, in 5 minutes

`rate` and `first` take the file that BANK_MARKETING_CSV names, or else the bundled twin, a fifth of it held out. Prints
Markdown; memory is that of all processes together (Linux).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from automl import Record, Table, markdown, number, of_file, run
from measure import machine

from nbhelpers.bundled import bundled_data

TEST_ROWS = 20_000


def bank() -> Table:
    if file := os.environ.get("BANK_MARKETING_CSV"):
        return of_file(Path(file), "y", "bank_marketing")
    twin = bundled_data("bank-marketing-twin")
    return of_file(twin.train, twin.label, "bank_marketing_twin")


def made(rows: int, seed: int) -> pd.DataFrame:
    """19 columns of numbers, counts, texts and truth values, with gaps, and a label ``y`` with a share of 20 %."""
    generator = np.random.default_rng(seed)
    columns: dict[str, object] = {f"number_{i}": generator.normal(size=rows).round(4) for i in range(8)}
    columns |= {f"amount_{i}": generator.lognormal(size=rows).round(2) for i in range(2)}
    columns |= {f"count_{i}": generator.poisson(3 * i + 1, rows) for i in range(3)}
    for i, values in enumerate((2, 5, 12, 50, 300)):
        columns[f"text_{i}"] = np.array([f"value {value}" for value in range(values)])[
            generator.integers(values, size=rows)
        ]
    columns["flag"] = generator.random(rows) < 0.3
    frame = pd.DataFrame(columns)
    signal = (
        frame["number_0"]
        + frame["number_1"] * frame["flag"]
        + np.sin(2 * frame["number_2"])
        + 0.3 * frame["count_1"]
        + (frame["text_2"].str[6:].astype(int) % 3)
        + generator.logistic(size=rows)
    )
    frame.loc[generator.random(rows) < 0.1, "amount_0"] = np.nan
    frame["y"] = np.where(signal > signal.quantile(0.8), "yes", "no")
    return frame


def measure(train: Path, test: Path, seconds: int, seed: int, **settings: object) -> Record:
    """One search; `seconds` is 0 for no limit."""
    job = {"system": "nbhelpers", "train": str(train), "test": str(test), "label": "y", "task": "classification"}
    record = run(job | {"seconds": seconds, "seed": seed, "settings": settings}, Path(sys.executable))
    if record["error"]:
        raise SystemExit(f"The search failed: {record['error']}")
    return record


def line(name: str, record: Record) -> list[str]:
    info, scores = record["info"], record["metrics"]
    return [
        name,
        str(info["n_models"]),
        number(record["train_s"], 1),
        number(60 * info["n_models"] / record["train_s"], 1),
        number(record["cpu_s"], 0),
        info["best"],
        number(scores["AUC_weighted"]),
        number(scores["log_loss"]),
        number(record["peak_pss_mb"], 0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rate", "first", "million"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=40, help="of rate (default: 40)")
    parser.add_argument("--seconds", type=int, help="of first (default: 20) or of million (default: 300)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of million")
    arguments = parser.parse_args()
    what, seed = arguments.what, arguments.seed
    print(machine() + "\n")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        if what == "million":
            train, test = Path(folder) / "train.csv", Path(folder) / "test.csv"
            frame = made(arguments.rows + TEST_ROWS, seed)
            frame.head(arguments.rows).to_csv(train, index=False)
            frame.tail(TEST_ROWS).to_csv(test, index=False)
            del frame
            rows = [line(f"{arguments.rows:,} rows", measure(train, test, arguments.seconds or 300, seed))]
        else:
            table = bank()
            train, test = table.parts(seed, Path(folder))
            if what == "first":
                rows = [line(table.name, measure(train, test, arguments.seconds or 20, seed))]
            else:
                settings = {"iterations": arguments.iterations, "enable_early_stopping": False}
                rows = [
                    line(f"{slots} slot(s)", measure(train, test, 0, seed, max_concurrent_iterations=slots, **settings))
                    for slots in (2, 1)
                ]
    header = ["", "child runs", "seconds", "child runs/min", "CPU s", "best", "AUC_weighted", "log_loss", "PSS MiB"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
