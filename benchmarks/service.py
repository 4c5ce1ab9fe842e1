"""Measure the service: submitting a published pipeline and reading states, with many runs in the workspace.

    python benchmarks/service.py --runs 1000

Everything is made in a temporary folder, which is removed. Prints Markdown. Submissions reuse one finished run, so that
what is measured is the service and not the start of a training. The processor's time is that of the service and the
client together, which are one process; it depends less on other work of the machine.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import httpx
from store import make_runs

from nbhelpers.local.endpoints import PREFIX, SUBMIT_PATH
from nbhelpers.local.tokens import create_token
from nbhelpers.service.app import create_app
from nbhelpers.service.limits import Limits
from nbhelpers.service.server import listen, make_server

SUBMISSIONS = 100
READS = 500


def row(what: str, ask: Callable[[], object], count: int) -> None:
    """Print the median and the 99th percentile in milliseconds, how many there are in a second, and the processor's."""
    seconds, processor = [], time.process_time()
    for _ in range(count):
        start = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - start)
    processor = (time.process_time() - processor) / count
    median, last = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    print(f"| {what} | {1000 * median:.1f} | {1000 * last:.1f} | {count / sum(seconds):.0f} | {1000 * processor:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="how many runs the workspace has")
    count = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        os.environ["NBHELPERS_HOME"] = home
        workspace, run = make_runs(count)
        published = run.publish_pipeline("benchmark", None, "1")
        token = create_token(workspace.store, "benchmark", ("submit", "read"), timedelta(hours=1))
        server = make_server(create_app(workspace, Limits(requests_per_second=10**6, burst=10**6)))
        logging.getLogger("nbhelpers.service").setLevel(logging.WARNING)  # its lines would be among the results
        listener = listen("127.0.0.1", 0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:

            def submit() -> None:
                path = SUBMIT_PATH.format(id=published.id)
                client.post(path, json={"ExperimentName": "benchmark"}).raise_for_status()

            def read() -> None:
                client.get(f"{PREFIX}/PipelineRuns/{run.id}").raise_for_status()

            for _ in range(5):  # what is imported on first use is not measured
                submit()
            print(f"{count} runs in the workspace\n")
            print("| one client | ms, median | ms, 99th percentile | in a second | ms of processor |")
            print("|---|---|---|---|---|")
            row("submit, reused", submit, SUBMISSIONS)
            row("read a state", read, READS)
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
