"""How long an event takes from the moment it happened to whoever reads `--output jsonl`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from benchmarks.command import CommandFailedError, environment
from benchmarks.graphs import wide

_TARGET_MS = 20.0
_HEAD = ("events", "median ms", "p99 ms", "most ms")


def run(tasks: int) -> None:
    """Runs so many short tasks, reads the events as they come, and prints a table and a target."""
    print(f"\n## events: a reader of `--output jsonl`, {tasks} times `true`, 4 at once\n")
    with tempfile.TemporaryDirectory(prefix="dockersched-bench-") as folder:
        delays = sorted(_delays_ms(wide(tasks).write_epic(Path(folder)), Path(folder) / "state"))
    p99 = delays[int(len(delays) * 0.99)]
    figures = (f"{statistics.median(delays):.2f}", f"{p99:.2f}", f"{delays[-1]:.2f}")
    print(report.table(_HEAD, [(str(len(delays)), *figures)]))
    print(report.target("99 of 100 events are read", p99, _TARGET_MS, digits=1, unit=" ms"))


def _delays_ms(epic_file: Path, state_dir: Path) -> list[float]:
    """For each event, the time between what it says and its arrival here, both by this machine's clock."""
    program = Path(sysconfig.get_path("scripts")) / "dockersched"
    options = ["--output", "jsonl", "--quiet", "--state-dir", str(state_dir)]
    delays = []
    with subprocess.Popen(
        [sys.executable, str(program), "run", str(epic_file), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(state_dir),
    ) as process:
        for line in process.stdout or ():
            now = datetime.now(UTC)
            delays.append((now - datetime.fromisoformat(json.loads(line)["at"])).total_seconds() * 1_000)
    if process.returncode != 0:
        raise CommandFailedError(f"dockersched ended with {process.returncode}")
    return delays
