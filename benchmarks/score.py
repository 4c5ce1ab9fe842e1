"""Measure scoring: a deployed model over HTTP on this machine, beside plain `model.predict_proba`.

    python benchmarks/score.py --iterations 22

Trains on the bundled data in a temporary workspace, which is removed. The service is a process of its own, as
`nbhelpers.serving` starts it. Prints Markdown. The processor's time is that of the service, without the client; it
depends less on other work of the machine (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from nbhelpers.bundled import bundled_data
from nbhelpers.local import (
    AmlCompute,
    AutoMLConfig,
    AutoMLStep,
    ComputeTarget,
    Dataset,
    Model,
    Pipeline,
    Webservice,
    Workspace,
)
from nbhelpers.local.tokens import create_token
from nbhelpers.service import serving
from nbhelpers.service.server import record_file

BANK = bundled_data("bank-marketing-twin")
CLIENTS = 8
UNCOUNTED = 2


def deploy(iterations: int) -> Webservice:
    """Train on the bundled data, and deploy the best model."""
    workspace = Workspace.from_config()
    target = ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))
    config = AutoMLConfig(
        "classification",
        compute_target=target,
        training_data=Dataset.Tabular.from_parquet_files(BANK.train),
        label_column_name=BANK.label,
        primary_metric="AUC_weighted",
        n_cross_validations=3,
        iterations=iterations,
    )
    run = Pipeline(workspace, AutoMLStep("automl", config)).submit("score")
    run.wait_for_completion(show_output=False)
    return Model.deploy(workspace, "bank", [next(run.get_steps()).register_model("bank")])


def times(ask: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each of some calls, after those that are not counted."""
    for _ in range(UNCOUNTED):
        ask()
    measured = []
    for _ in range(count):
        start = time.perf_counter()
        ask()
        measured.append(1000 * (time.perf_counter() - start))
    return measured


def processor(pid: int) -> float:
    """Milliseconds that a process has had of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def over_http(service: Webservice, body: bytes, clients: int, count: int) -> tuple[list[float], float, float]:
    """Milliseconds of each request of some clients at once, each with its own token; requests per second; processor."""
    pid = json.loads(record_file(service.workspace.store).read_bytes())["pid"]

    def client(number: int) -> list[float]:
        token = create_token(service.workspace.store, f"client {number}", ["score"], timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with httpx.Client(headers=headers, trust_env=False, timeout=120) as session:

            def ask() -> None:
                session.post(service.scoring_uri, content=body).raise_for_status()

            return times(ask, count)

    start, before = time.perf_counter(), processor(pid)
    with ThreadPoolExecutor(clients) as pool:
        measured = [value for values in pool.map(client, range(clients)) for value in values]
    asked = len(measured) + clients * UNCOUNTED
    return measured, asked / (time.perf_counter() - start), (processor(pid) - before) / asked


def row(name: str, rows: int, measured: list[float], requests: float, work: float) -> str:
    median, late = np.median(measured), np.quantile(measured, 0.99)
    return f"| {name} | {rows:,} | {median:.1f} | {late:.1f} | {requests:.1f} | {rows * requests:,.0f} | {work:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=22)
    parser.add_argument(
        "--requests", type=int, default=200, help="of one row for each client; a tenth of them of 1,000"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nbhelpers-") as folder:
        os.environ["NBHELPERS_HOME"] = folder
        with redirect_stdout(None):
            service = deploy(arguments.iterations)
        model = service.models[0].load()
        steps = getattr(model[-1], "estimators", [("", model)])
        print(f"{len(steps)} member(s): {', '.join(estimator[-1].__class__.__name__ for _, estimator in steps)}\n")
        print("| | rows | ms, median | ms, 99th percentile | requests/s | rows/s | ms of processor |")
        print("|---|---|---|---|---|---|---|")
        frame = pd.read_parquet(BANK.test).drop(columns=BANK.label)
        with serving(service.workspace):
            for rows, count in ((1, arguments.requests), (1000, arguments.requests // 10)):
                some = frame.head(rows)
                before = processor(os.getpid())
                plain = times(lambda: model.predict_proba(some), count)  # noqa: B023
                work = (processor(os.getpid()) - before) / (count + UNCOUNTED)
                print(row("model.predict_proba", rows, plain, 1000 / float(np.mean(plain)), work))
                body = json.dumps({"data": json.loads(some.to_json(orient="records"))}).encode()
                for clients in (1, CLIENTS):
                    name = f"HTTP, {clients} client{'s' if clients > 1 else ''}"
                    print(row(name, rows, *over_http(service, body, clients, count)))


if __name__ == "__main__":
    main()
