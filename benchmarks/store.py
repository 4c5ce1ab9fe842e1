"""Measure the workspace: opened with many runs in it, a large table registered and read, child runs kept.

    python benchmarks/store.py runs --runs 1000
    python benchmarks/store.py table --gigabytes 2

Everything is made in temporary folders, which are removed. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Those that the package imports only where it uses them are imported here, so that none is measured.
import duckdb  # noqa: F401
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import sqlalchemy as sa

import nbhelpers.local.delimited
import nbhelpers.local.views  # noqa: F401
from nbhelpers import connect
from nbhelpers.bundled import bundled_data
from nbhelpers.local import (
    AmlCompute,
    AutoMLConfig,
    AutoMLStep,
    ComputeTarget,
    Dataset,
    Experiment,
    Pipeline,
    PipelineRun,
    Workspace,
)
from nbhelpers.local.children import ChildKeeper, finished_children
from nbhelpers.local.store import Store, runs
from nbhelpers.local.worker import Heart
from nbhelpers.results import find_run

BANK = bundled_data("bank-marketing-twin")
EXPERIMENT = "many-runs"
TIMES = 5

Row = tuple[str, ...]


def seconds(do: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def in_new_process(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a process of its own, which has imported everything but done nothing yet."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_megabytes() -> float:
    """The most memory that this process has had (Linux)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


# --- a workspace with many runs ---------------------------------------------------------------------------------------


def pipeline(workspace: Workspace, **settings: object) -> Pipeline:
    """A pipeline on 500 rows of the bundled data, with 22 child runs."""
    config = AutoMLConfig(
        "classification",
        compute_target=workspace.compute_targets["cpu"],
        training_data=workspace.datasets["bank"],
        label_column_name=BANK.label,
        primary_metric="AUC_weighted",
        n_cross_validations=2,
        **({"iterations": 22, "enable_early_stopping": False} | settings),
    )
    return Pipeline(workspace, AutoMLStep("automl", config))


def make_runs(count: int) -> tuple[Workspace, PipelineRun]:
    """A workspace with one real run, and copies of its rows under other ids and fingerprints, all of them older."""
    workspace = Workspace.from_config()
    ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))
    rows = pd.read_parquet(BANK.train).head(500)
    Dataset.Tabular.register_pandas_dataframe(rows, workspace.get_default_datastore(), "bank")
    run = pipeline(workspace).submit(EXPERIMENT)
    run.wait_for_completion(show_output=False)
    step = next(run.get_steps())
    real = [dict(row) for row in workspace.store.all(sa.select(runs).order_by(runs.c.created))]
    with workspace.store.writing() as connection:
        for number in range(1, count):
            ids = {run.id: str(uuid.uuid4()), step.id: str(uuid.uuid4())}
            text = json.dumps(real)
            for old, new in ids.items():
                text = text.replace(old, new)
            copies = json.loads(text)
            for copy in copies:
                copy["created"] = f"2000-01-01T00:00:00.{number:06d}+00:00"
                copy["fingerprint"] = copy["fingerprint"] and f"{number:064d}"
            connection.execute(runs.insert(), copies)
    return workspace, run


def open_workspace() -> dict[str, float]:
    """Seconds of each look into the workspace."""
    ml = connect("local")
    found: dict[str, Any] = {}

    def get(name: str, look: Callable[[], object]) -> float:
        return seconds(lambda: found.update({name: look()}))

    return {
        "Workspace.from_config()": get("ws", Workspace.from_config),
        "list(ws.experiments)": get("names", lambda: list(found["ws"].experiments)),
        'find_run(ml, experiment, "latest")': get(
            "run", lambda: find_run(ml, Experiment(found["ws"], EXPERIMENT), "latest")
        ),
        "list(ws.datasets)": get("datasets", lambda: list(found["ws"].datasets)),
        "list(ws.compute_targets)": get("targets", lambda: list(found["ws"].compute_targets)),
        "list(experiment.get_runs())": get("runs", lambda: list(Experiment(found["ws"], EXPERIMENT).get_runs())),
    }


def open_twice() -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each look, the first time in a process and the second."""
    return open_workspace(), open_workspace()


def opening() -> list[Row]:
    """How long it takes to look into the workspace; medians over processes."""
    measured = [in_new_process(open_twice) for _ in range(TIMES)]
    table = []
    for name in measured[0][0]:
        first, again = ([times[turn][name] for times in measured] for turn in (0, 1))
        table.append((name, f"{statistics.median(first):.4f}", f"{statistics.median(again):.4f}"))
    opened = [sum(float(row[column]) for row in table[:3]) for column in (1, 2)]
    return [
        ("", "seconds, first in a process", "seconds, again"),
        *table,
        ("the first three", *map("{:.4f}".format, opened)),
    ]


def submitting(workspace: Workspace, run: PipelineRun) -> list[Row]:
    """How long it takes to submit a pipeline; medians."""

    def new_settings(minutes: int) -> float:
        # Another limit makes another fingerprint: each of these begins to run, and is cancelled.
        made = pipeline(workspace, experiment_timeout_minutes=minutes)
        submitted: list[PipelineRun] = []
        taken = seconds(lambda: submitted.append(made.submit("submitted")))
        submitted[0].cancel()
        submitted[0].wait_for_completion(show_output=False, raise_on_error=False)
        return taken

    def same_settings(created: str) -> float:
        with workspace.store.writing() as connection:
            connection.execute(runs.update().where(runs.c.parent_id == run.id).values(created=created))
        made = pipeline(workspace)
        return seconds(lambda: made.submit("submitted"))

    new_settings(100)  # imports what a first submit imports
    table = {
        "nothing can be reused": [new_settings(minutes) for minutes in range(1, 1 + TIMES)],
        "the newest run is reused": [same_settings("2999-01-01T00:00:00+00:00") for _ in range(TIMES)],
        "the oldest run is reused": [same_settings("1999-01-01T00:00:00+00:00") for _ in range(TIMES)],
    }
    return [
        ("pipeline.submit", "seconds"),
        *((name, f"{statistics.median(times):.3f}") for name, times in table.items()),
    ]


def keeping(store: Store, run: PipelineRun, count: int = 300) -> list[Row]:
    """How long it takes to keep a child run with the predictions of 33,000 rows, and to say that a run is alive."""
    (step,) = store.all(sa.select(runs).where(runs.c.parent_id == run.id))
    real = next(child for child in finished_children(store, step["id"]).values() if not child.weights)
    predictions = np.random.default_rng(0).random((33_000, 2))
    keeper = ChildKeeper(store, step, "AUC_weighted")
    times: dict[str, list[float]] = {"ChildKeeper.start": [], "ChildKeeper.keep": [], "one heartbeat": []}
    for number in range(1_000, 1_000 + count):
        child = replace(real, iteration=number, predictions=predictions)
        start = seconds(lambda: keeper.start(child.iteration, child.algorithm, child.preprocessor))  # noqa: B023
        times["ChildKeeper.start"].append(start)
        times["ChildKeeper.keep"].append(seconds(lambda: keeper.keep(child)))  # noqa: B023
    with store.writing() as connection:
        connection.execute(runs.update().where(runs.c.id == run.id).values(status="Running"))
    heart = Heart(store, run.id)
    times["one heartbeat"] = [seconds(heart._beat) for _ in range(count)]
    head = ("", "milliseconds, median", "99th percentile")
    return [
        head,
        *(
            (name, f"{1000 * np.median(values):.1f}", f"{1000 * np.quantile(values, 0.99):.1f}")
            for name, values in times.items()
        ),
    ]


def many_runs(count: int) -> None:
    with redirect_stdout(None):
        workspace, run = make_runs(count)
    rows = workspace.store.all(sa.select(sa.func.count().label("rows")).select_from(runs))[0]["rows"]
    size = (workspace.store.home / "workspace.db").stat().st_size
    show(f"{count:,} runs, {rows:,} rows, {size / 1e6:.0f} MB", opening())
    with redirect_stdout(None):
        submitted = submitting(workspace, run)
        kept = keeping(workspace.store, run)
    show("Submitting", submitted)
    show("Each child run", kept)


# --- a large table ----------------------------------------------------------------------------------------------------


def write_csv(path: Path, gigabytes: float) -> int:
    """Write a table like that of the bundled data: its values drawn at random, a number, an amount and a date.

    Returns
    -------
    int
        The number of rows.
    """
    rng = np.random.default_rng(0)
    bank = pq.read_table(BANK.train).combine_chunks()
    rows, block = 0, 500_000
    with path.open("wb") as file:
        writer = None
        while file.tell() < gigabytes * 1e9:
            columns: dict[str, Any] = {
                "customer": np.arange(rows, rows + block),
                "balance": rng.lognormal(7, 1.5, block).round(2),
                "since": np.datetime64("2000-01-01") + rng.integers(0, 9000, block).astype("timedelta64[D]"),
            }
            for name in bank.column_names:
                columns[name] = bank[name].take(rng.integers(0, len(bank), block))
            table = pa.table(columns)
            writer = writer or pyarrow.csv.CSVWriter(file, table.schema)
            writer.write(table)
            rows += block
        assert writer is not None
        writer.close()
    return rows


def register(path: Path) -> tuple[float, float]:
    """Register a table: seconds, and peak memory in MB."""
    workspace = Workspace.from_config()
    taken = seconds(lambda: Dataset.Tabular.from_delimited_files(path).register(workspace, "large"))
    return taken, peak_megabytes()


def take() -> tuple[float, float, float]:
    """Look at the first rows: seconds of the first time and the second, and peak memory in MB."""
    workspace = Workspace.from_config()
    first, again = (seconds(lambda: workspace.datasets["large"].take(5).to_pandas_dataframe()) for _ in range(2))
    return first, again, peak_megabytes()


def large_table(gigabytes: float, folder: Path) -> None:
    path = folder / "large.csv"
    rows = write_csv(path, gigabytes)
    size = path.stat().st_size
    idle = in_new_process(peak_megabytes)
    registered, registering = in_new_process(register, path)
    path.unlink()
    measured = [in_new_process(take) for _ in range(TIMES)]
    first, again, taking = (statistics.median(values) for values in zip(*measured, strict=True))
    show(
        f"{size / 1e9:.2f} GB of CSV, {rows:,} rows",
        [
            ("", "seconds", "peak memory, MB"),
            ("imports alone", "", f"{idle:.0f}"),
            ("from_delimited_files(…).register(…)", f"{registered:.1f}", f"{registering:.0f}"),
            ("take(5).to_pandas_dataframe(), first in a process", f"{first:.3f}", ""),
            ("the same again", f"{again:.3f}", f"{taking:.0f}"),
        ],
    )


# --- the command line -------------------------------------------------------------------------------------------------


def show(title: str, table: list[Row]) -> None:
    head, *rows = table
    print(f"\n{title}:\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["runs", "table"])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nbhelpers-") as folder:
        os.environ["NBHELPERS_HOME"] = str(Path(folder) / "home")
        if arguments.part == "runs":
            many_runs(arguments.runs)
        else:
            large_table(arguments.gigabytes, Path(folder))


if __name__ == "__main__":
    main()
