"""What the client needs while many sandboxes sleep at the same time."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.command import Command
from benchmarks.graphs import Graph
from dockersched.model import QuotaConfig

_SAMPLE_S = 0.05
_THREADS_TARGET = 40
_HEAD = ("sandboxes", "most at once", "threads", "open files", "peak MB", "CPU s", "seconds")


@dataclass
class _Peaks:
    threads: int = 0
    files: int = 0
    memory_mb: float = 0.0
    cpu_s: float = 0.0

    def sample(self, pid: int) -> None:
        """Looks at a process, which may have ended."""
        with suppress(OSError, ValueError):
            status = Path(f"/proc/{pid}/status").read_text("ascii")
            self.threads = max(self.threads, _field(status, "Threads:"))
            self.memory_mb = max(self.memory_mb, _field(status, "VmHWM:") / 1_024)
            self.files = max(self.files, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))
            # Fields 14 and 15 of the line; the second one holds the program's name and may hold spaces.
            times = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[11:13]
            self.cpu_s = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def run(sandboxes: int, sleep_s: int) -> None:
    """Runs so many sandboxes at once, their output followed, and prints a table and targets."""
    print(f"\n## many: {sandboxes} times `sleep {sleep_s}` at the same time, output followed\n")
    quota = QuotaConfig(cpus=0.5, memory="8m", pids=8)
    graph = Graph("many", ((),) * sandboxes, ("sleep", str(sleep_s)), max_parallel=sandboxes, quota=quota)
    peaks = _Peaks()
    with tempfile.TemporaryDirectory(prefix="dockersched-bench-") as folder:
        began = time.monotonic()
        with Command(graph.write_epic(Path(folder)), Path(folder) / "state", quiet=False) as command:
            while command.is_running:
                peaks.sample(command.pid)
                time.sleep(_SAMPLE_S)
            seconds = time.monotonic() - began
            tasks = command.result()["tasks"].values()
    at_once = _most_at_once(tasks)
    figures = (sandboxes, at_once, peaks.threads, peaks.files)
    measures = (f"{peaks.memory_mb:.0f}", f"{peaks.cpu_s:.1f}", f"{seconds:.0f}")
    print(report.table(_HEAD, [(*map(str, figures), *measures)]))
    noisy = "" if at_once == sandboxes else f"only {at_once} ran at once: use --sleep with more seconds"
    # "Under" a whole number is at most the one before.
    print(report.target("threads of the client", peaks.threads, _THREADS_TARGET - 1, digits=0, noisy=noisy))
    print(report.target("open files of the client", peaks.files, 2 * sandboxes + 39, digits=0, noisy=noisy))


def _most_at_once(tasks: Iterable[dict[str, Any]]) -> int:
    """The most tasks whose processes were alive at the same moment."""
    changes = []
    for task in tasks:
        changes += [(datetime.fromisoformat(task["started_at"]), 1), (datetime.fromisoformat(task["finished_at"]), -1)]
    alive = most = 0
    for _, change in sorted(changes):
        alive += change
        most = max(most, alive)
    return most


def _field(status: str, name: str) -> int:
    return int(status.partition(name)[2].split()[0])
