"""Compare the AutoML engine with LightGBM's defaults and, where they are installed, FLAML, AutoGluon and mljar.

    make peers                                              # their environments, once
    python benchmarks/automl.py --seconds 60 --results runs/automl.json
    python benchmarks/automl.py --suite DIR --peers-results DIR/peers.json
    python benchmarks/automl.py --suite DIR --rows 750
    BANK_MARKETING_CSV=FILE python benchmarks/automl.py --tables bank_marketing --seeds 0 1 2

A suite is a folder with suite.json, a list of {"name", "label", "task"}, and NAME_train.csv and NAME_test.csv of each.
Without one, the tables are those of scikit-learn and the bundled twin; the file that BANK_MARKETING_CSV names and those
of --table are added. Of a table that is not split yet, a fifth is held out at random for each seed. With --rows,
so many rows of a training file are drawn for each seed to train on, and the others are tested on.

Each system runs alone, in a process of its own, the project's engine through its local workspace with two slots. What
has been measured is kept in --results, with the predictions in a folder beside it, and is not measured again. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import machine, watch
from scores import RANKING, SCORES, Truth
from sklearn import datasets
from systems import SYSTEMS

from nbhelpers.automl import infer_task, stratified_split
from nbhelpers.bundled import bundled_data

HERE = Path(__file__).parent
OURS = "nbhelpers"
#: Those that are in the project's own environment, and those without a budget.
AT_HOME, UNLIMITED = (OURS, "lightgbm"), ("lightgbm",)
BUNDLED = ("breast_cancer", "digits", "wine", "diabetes", "iris")
#: A system is ended after so many times its budget, or that of one without, and so many seconds more.
OVERTIME, NO_BUDGET, GRACE = 4, 900, 600

Record = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table: either in two files, or whole, to be split by a seed: a fifth is held out, or all but some rows."""

    name: str
    label: str
    task: str
    files: tuple[Path, Path] | None = None
    frame: pd.DataFrame | None = None
    rows: int | None = None

    def parts(self, seed: int, folder: Path) -> tuple[Path, Path]:
        """The training and the test file."""
        if self.files:
            return self.files
        assert self.frame is not None
        train, test = folder / "train.csv", folder / "test.csv"
        held_out = 1 - self.rows / len(self.frame) if self.rows else 0.2
        parts = stratified_split(self.frame, self.label, held_out, seed, self.task)
        for part, file in zip(parts, (train, test), strict=True):
            part.to_csv(file, index=False)
        return train, test


def of_file(file: Path, label: str, name: str) -> Table:
    frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    if label not in frame:
        raise SystemExit(f"{file.name} has no column {label!r}: name the column to predict with --label")
    return Table(name, label, infer_task(frame[label]), frame=frame)


def find_tables(arguments: argparse.Namespace) -> list[Table]:
    tables = []
    if suite := arguments.suite:
        for row in json.loads((suite / "suite.json").read_text()):
            files = suite / f"{row['name']}_train.csv", suite / f"{row['name']}_test.csv"
            tables.append(Table(row["name"], row["label"], row["task"], files))
    else:
        for name in BUNDLED:
            task = "regression" if name == "diabetes" else "classification"
            tables.append(Table(name, "target", task, frame=getattr(datasets, f"load_{name}")(as_frame=True).frame))
        twin = bundled_data("bank-marketing-twin")
        tables.append(of_file(twin.train, twin.label, "bank_marketing_twin"))
    if bank := os.environ.get("BANK_MARKETING_CSV"):
        tables.append(of_file(Path(bank), "y", "bank_marketing"))
    tables += [of_file(file, arguments.label, file.stem) for file in arguments.table]
    if unknown := set(arguments.tables or ()) - {table.name for table in tables}:
        raise SystemExit(f"--tables {' '.join(unknown)}: not among {', '.join(table.name for table in tables)}")
    tables = [table for table in tables if not arguments.tables or table.name in arguments.tables]
    return [with_rows(table, arguments.rows) for table in tables] if arguments.rows else tables


def with_rows(table: Table, rows: int) -> Table:
    """A table of which few rows are trained on, so that many are left to tell systems apart."""
    frame = pd.read_csv(table.files[0]) if table.files else table.frame
    assert frame is not None
    if rows >= len(frame):
        raise SystemExit(f"--rows {rows}: {table.name} has {len(frame)}, and some must be left to test on")
    return Table(f"{table.name}_{rows}", table.label, table.task, frame=frame, rows=rows)


def python_of(system: str, peers: Path) -> Path:
    return Path(sys.executable) if system in AT_HOME else peers / system / "bin" / "python"


def run(job: Record, python: Path, predictions: Path | None = None) -> Record:
    """Run one system on one table.

    Parameters
    ----------
    job : dict
        As `systems.py` describes it, without ``folder``.
    python : Path
        Of the environment that has the system.
    predictions : Path, optional
        Where to keep the predictions.

    Returns
    -------
    dict
        One result in the form of the results' file: ``metrics`` is None and ``error`` says why if there are none.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job | {"folder": name}))
        command = [str(python), str(HERE / "systems.py"), str(folder / "job.json")]
        watched = watch(command, folder / "log.txt", OVERTIME * (job["seconds"] or NO_BUDGET) + GRACE)
        record: Record = {"metrics": None, "error": None, "budget_s": job["seconds"]}
        record |= {key: value for key, value in asdict(watched).items() if key != "exit_code"}
        if watched.exit_code == 0:
            truth = Truth(Path(job["train"]), Path(job["test"]), job["label"], job["task"])
            record |= json.loads((folder / "result.json").read_text())
            predicted = np.load(folder / "predictions.npz")
            try:
                record["metrics"] = truth.scores(predicted)
            except ValueError as error:
                record["error"] = str(error)
            if predictions:
                predictions.parent.mkdir(parents=True, exist_ok=True)
                predictions.write_bytes((folder / "predictions.npz").read_bytes())
        else:
            lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
            last = [*takewhile(lambda line: not line.startswith(" "), reversed(lines))][::-1]  # after the traceback
            end = "ended as it took too long" if watched.exit_code is None else f"exit code {watched.exit_code}"
            record["error"] = f"{end}: {' '.join(last)[:500]}"
    return record


class Results:
    """Results in a file, and predictions in a folder beside it."""

    def __init__(self, file: Path, settings: Record) -> None:
        self.file, self.settings = file, settings
        kept = json.loads(file.read_text()) if file.exists() else {"settings": settings, "results": []}
        if kept["settings"] != settings:
            raise SystemExit(f"{file} was measured with --settings '{json.dumps(kept['settings'])}': name another file")
        self.rows: list[Record] = kept["results"]

    def find(self, **key: Any) -> Record | None:
        return next((row for row in self.rows if key.items() <= row.items()), None)

    def add(self, row: Record, **key: Any) -> None:
        """Add a result, in place of an earlier one, and write them all."""
        self.rows = [old for old in self.rows if not key.items() <= old.items()] + [key | row]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        kept = {"machine": machine(), "settings": self.settings, "results": self.rows}
        new.write_text(json.dumps(kept, indent=1))
        new.replace(self.file)

    def predictions(self, row: Record) -> Path:
        name = f"{row['data']}_{row['seed']}_{row['system']}_{row['budget_s']}.npz"
        return self.file.with_name(f"{self.file.stem}_predictions") / name


# --- what is printed --------------------------------------------------------------------------------------------------


def number(value: float | None, digits: int = 4) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def table_of(rows: Sequence[Record], task: str) -> str:
    """Scores, times and memory of each system on one table."""
    columns = {"fit s": ("train_s", 1), "CPU s": ("cpu_s", 1), "predict s": ("predict_s", 3)}
    columns |= {"PSS MiB": ("peak_pss_mb", 0), "RSS MiB": ("peak_rss_mb", 0)}
    lines = []
    for row in rows:
        scores = row["metrics"] or {}
        lines.append(
            [
                row["system"],
                f"{row['budget_s']}" if row["budget_s"] else "",
                *(number(scores.get(name)) for name in SCORES[task]),
                *(number(row.get(key), digits) for key, digits in columns.values()),
            ]
        )
    return markdown(["system", "budget s", *SCORES[task], *columns], lines)


def differences(rows: Sequence[Record], truth: Truth, results: Results) -> list[list[str]]:
    """Our scores minus those of each system whose predictions are there."""
    measured = {row["system"]: row["metrics"] for row in rows if row["metrics"] and results.predictions(row).exists()}
    kept = {row["system"]: np.load(results.predictions(row)) for row in rows if row["system"] in measured}
    lines = []
    for system in kept if OURS in kept else ():
        if system == OURS:
            continue
        for name, (low, high) in truth.intervals(kept[OURS], kept[system]).items():
            ahead = low > 0 if name == "AUC_weighted" else high < 0
            verdict = "tie" if low <= 0 <= high else "ahead" if ahead else "behind"
            difference = measured[OURS][name] - measured[system][name]
            lines.append([system, name, f"{difference:+.4f}", f"[{low:+.4f}, {high:+.4f}]", verdict])
    return lines


def mean_ranks(groups: Sequence[tuple[str, Sequence[Record]]]) -> str:
    """Mean rank of each system over the tables on which all were tried; those that failed share the last ranks."""
    systems = list(dict.fromkeys(row["system"] for _, rows in groups for row in rows))
    losses = [
        {row["system"]: row["metrics"][RANKING[task]] if row["metrics"] else math.inf for row in rows}
        for task, rows in groups
    ]
    common = pd.DataFrame([loss for loss in losses if len(loss) == len(systems)], columns=systems, dtype=float)
    ranks, failed = common.rank(axis=1).mean(), np.isinf(common).sum()
    lines = [[system, number(ranks[system], 2), str(failed[system])] for system in ranks.sort_values().index]
    title = f"Mean rank by log loss or normalized RMSE over {len(common)} of {len(groups)} tables and seeds"
    return f"{title} (those on which all systems were tried)\n\n" + markdown(["system", "mean rank", "failed"], lines)


def earlier(file: Path, table: str, measured: Sequence[str]) -> list[Record]:
    """Results of a table from before, of other systems than those measured now; autogluon_best is autogluon here."""
    rows = [row | {"system": row["system"].partition("_")[0]} for row in json.loads(file.read_text())["results"]]
    return [
        row | {"system": f"{row['system']} †"} for row in rows if row["data"] == table and row["system"] not in measured
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, help="folder of tables that are split already")
    parser.add_argument("--table", type=Path, nargs="+", default=[], help="further CSV or Parquet files")
    parser.add_argument("--label", default="y", help="the label of --table (default: y)")
    parser.add_argument("--tables", nargs="+", help="only these, by name")
    parser.add_argument("--rows", type=int, help="train on so many rows of each training file, test on its others")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), help="only these (default: what is installed)")
    parser.add_argument("--seconds", type=int, default=60, help="budget of each system (default: 60)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the split and of the systems")
    parser.add_argument("--settings", type=json.loads, default={}, help="more settings of our engine, as JSON")
    parser.add_argument("--results", type=Path, default=Path("runs/automl.json"), help="default: runs/automl.json")
    parser.add_argument("--again", action="store_true", help="measure again what is in --results")
    parser.add_argument("--peers", type=Path, default=HERE / ".peers", help="folder with the peers' environments")
    parser.add_argument("--peers-results", type=Path, help="results from before, shown with a †")
    arguments = parser.parse_args()
    systems = arguments.systems or [name for name in SYSTEMS if python_of(name, arguments.peers).exists()]
    if missing := [name for name in systems if not python_of(name, arguments.peers).exists()]:
        raise SystemExit(f"{', '.join(missing)}: not installed in {arguments.peers}; `make peers` does it")
    results = Results(arguments.results, arguments.settings)
    groups: list[tuple[str, Sequence[Record]]] = []
    print(machine())
    for table in find_tables(arguments):
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                train, test = table.parts(seed, Path(folder))
                truth = Truth(train, test, table.label, table.task)
                shown = []
                for system in systems:
                    seconds = 0 if system in UNLIMITED else arguments.seconds
                    key = {"data": table.name, "seed": seed, "system": system, "budget_s": seconds}
                    if arguments.again or not results.find(**key):
                        job = {"system": system, "train": str(train), "test": str(test), "label": table.label}
                        job |= {"task": table.task, "seconds": seconds, "seed": seed, "settings": arguments.settings}
                        python = python_of(system, arguments.peers)
                        print(f"{table.name}, seed {seed}: {system} …", file=sys.stderr)
                        results.add(run(job, python, results.predictions(key)), **key)
                    shown.append(results.find(**key) or {})
            others = earlier(arguments.peers_results, table.name, systems) if arguments.peers_results else []
            groups.append((table.task, [*shown, *others]))
            print(f"\n### {table.name}, seed {seed}\n\n{table_of([*shown, *others], table.task)}")
            for row in [*shown, *others]:
                if row["error"]:
                    print(f"{row['system']} failed: {row['error']}\n")
            if lines := differences(shown, truth, results):
                print(markdown(["nbhelpers minus", "score", "difference", "95 % interval", ""], lines))
    print(mean_ranks(groups))
    if arguments.peers_results:
        print(f"† measured before: from {arguments.peers_results.name}, on its split and machine.")


if __name__ == "__main__":
    main()
