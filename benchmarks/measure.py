"""What the benchmarks measure of processes, and say about the machine. Only Python's own modules: peers import it, too.

Processor time and memory are read from /proc, so they are None where there is none (Linux has it).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PROC = Path("/proc")
#: Seconds between two looks at the memory.
INTERVAL = 0.5
PACKAGES = ("nbhelpers", "scikit-learn", "lightgbm", "numpy", "pandas")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; empty if the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def family(pid: int) -> list[int]:
    """A process and all its descendants; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*"):
        if fields := _stat(int(path.name)):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    members = [pid] if children else []
    for member in members:  # grows while it is read
        members += children.get(member, [])
    return members


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that their processor time is still found."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def cpu_seconds(pid: int) -> float | None:
    """Processor time so far of a process, its descendants, and those that they have waited for."""
    ticks = [sum(map(int, fields[11:15])) for member in family(pid) if (fields := _stat(member))]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def _megabytes(path: Path, key: str) -> float:
    """A line such as ``Pss:  1234 kB`` of a file in /proc; 0 if the process is gone."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    return 0.0


@dataclass
class Watched:
    """What a command used.

    Attributes
    ----------
    exit_code : int or None
        None if it was ended as it took too long.
    wall_s : float
    peak_pss_mb : float or None
        The most memory of all its processes together, in MiB; pages that several share count once (proportional set
        size). Looked at every 0.5 s.
    peak_rss_mb : float or None
        The most that any one process had, shared pages included.
    """

    exit_code: int | None
    wall_s: float
    peak_pss_mb: float | None
    peak_rss_mb: float | None


def watch(command: Sequence[str], log: Path, seconds: float, environment: Mapping[str, str] | None = None) -> Watched:
    """Run a command to its end, or for so many seconds, with its output in a file."""
    start, pss, rss = time.monotonic(), 0.0, 0.0
    exit_code: int | None = None
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | (environment or {}))
    try:
        while (exit_code := process.poll()) is None and time.monotonic() - start < seconds:
            members = family(process.pid)
            pss = max(pss, sum(_megabytes(PROC / str(member) / "smaps_rollup", "Pss:") for member in members))
            rss = max([rss, *(_megabytes(PROC / str(member) / "status", "VmHWM:") for member in members)])
            time.sleep(INTERVAL)
    finally:
        for member in {process.pid, *family(process.pid)} if exit_code is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        process.wait()
    return Watched(exit_code, time.monotonic() - start, pss or None, rss or None)


def machine() -> str:
    """The machine, the versions and the command, as a line of Markdown."""
    model, memory = platform.processor() or platform.machine(), ""
    with contextlib.suppress(OSError, StopIteration):
        lines = (PROC / "cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    if total := _megabytes(PROC / "meminfo", "MemTotal:"):
        memory = f", {total / 1024:.0f} GiB of memory"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    return (
        f"{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} cores{memory}{load}; "
        f"Python {platform.python_version()}, {versions}; `python {shlex.join(sys.argv)}`"
    )
