"""Services for tests: in a thread, for what is asked and answered, and in a process, for what befalls processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from nbhelpers.local import Workspace
from nbhelpers.service.app import create_app
from nbhelpers.service.limits import Limits
from nbhelpers.service.server import listen, make_server

from ..local.faults import DEADLINE, wait_until


@contextmanager
def served(workspace: Workspace, limits: Limits | None = None) -> Iterator[str]:
    """The URL of a service of this process, on a port of its own."""
    with in_thread(make_server(create_app(workspace, limits))) as url:
        yield url


@contextmanager
def in_thread(server: uvicorn.Server) -> Iterator[str]:
    """The URL of a server that runs in a thread, on a port of its own."""
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Process:
    """A service in a process of its own: ``nbhelpers serve``.

    Attributes
    ----------
    url : str
    process : Popen
    log : Path
    """

    def __init__(self, home: Path, *arguments: str) -> None:
        self.log = home.with_name(f"{home.name}-{time.monotonic_ns()}.log")
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nbhelpers", "serve", *(arguments or ("--port", "0"))],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NBHELPERS_HOME": str(home)},
            )
        wait_until(lambda: self._url() or self.process.poll() is not None)
        if self.process.poll() is not None:
            pytest.fail(f"the service has ended: {self.log.read_text()}")
        self.url = self._url()

    def _url(self) -> str:
        return next((line["url"] for line in self.lines() if line["message"] == "serving"), "")

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged; every line is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def end(self, number: int) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@contextmanager
def processes() -> Iterator[list[Process]]:
    """Services that are ended with the block."""
    started: list[Process] = []
    try:
        yield started
    finally:
        for service in started:
            service.process.kill()
            service.process.wait()


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = {**os.environ, "NBHELPERS_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "nbhelpers", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=60,
    )


def get(url: str, **arguments: Any) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=60, **arguments)


def post(url: str, **arguments: Any) -> httpx.Response:
    return httpx.post(url, trust_env=False, timeout=60, **arguments)
