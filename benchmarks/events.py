"""How long an event takes from the moment it happened to whoever reads `--output jsonl`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from benchmarks.command import environment
from benchmarks.graphs import wide
from benchmarks.program import CommandFailedError

_TARGET_MS = 20.0
_NOISE_LIMIT_MS = 5.0
_HEAD = ("lines", "number", "median ms", "p99 ms", "most ms")
_BARE = """
import json, time
from datetime import UTC, datetime
while True:
    print(json.dumps({"at": datetime.now(UTC).isoformat()}), flush=True)
    time.sleep(0.01)
"""


def run(tasks: int) -> None:
    """Runs so many short tasks, reads the events as they come, and prints a table and a target.

    A program that does nothing but write lines is read at the same time: what it takes is the machine's doing.
    """
    print(f"\n## events: a reader of `--output jsonl`, {tasks} times `true`, 4 at once\n")
    bare_ms: list[float] = []
    with subprocess.Popen([sys.executable, "-c", _BARE], stdout=subprocess.PIPE) as bare:
        reading = threading.Thread(target=lambda: bare_ms.extend(_delays_ms(bare.stdout or ())))
        reading.start()
        try:
            with tempfile.TemporaryDirectory(prefix="dockersched-bench-") as folder:
                events_ms = _events_ms(wide(tasks).write_epic(Path(folder)), Path(folder) / "state")
        finally:
            bare.terminate()
            reading.join()
    print(report.table(_HEAD, [_row("events", events_ms), _row("bare lines", bare_ms)]))
    noise_ms = _p99(bare_ms)
    noisy = f"too noisy (bare lines take {noise_ms:.1f} ms)" if noise_ms > _NOISE_LIMIT_MS else ""
    print(report.target("99 of 100 events are read", _p99(events_ms), _TARGET_MS, digits=1, unit=" ms", noisy=noisy))


def _events_ms(epic_file: Path, state_dir: Path) -> list[float]:
    program = Path(sysconfig.get_path("scripts")) / "dockersched"
    options = ["--output", "jsonl", "--quiet", "--state-dir", str(state_dir)]
    with subprocess.Popen(
        [sys.executable, str(program), "run", str(epic_file), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(state_dir),
    ) as process:
        delays = _delays_ms(process.stdout or ())
    if process.returncode != 0:
        raise CommandFailedError(f"dockersched ended with {process.returncode}")
    return delays


def _delays_ms(lines: Iterable[bytes]) -> list[float]:
    """For each line, the time between the one that it tells and its arrival here, both by this machine's clock."""
    delays = []
    for line in lines:
        now = datetime.now(UTC)
        delays.append((now - datetime.fromisoformat(json.loads(line)["at"])).total_seconds() * 1_000)
    return delays


def _row(name: str, delays_ms: Sequence[float]) -> tuple[str, ...]:
    figures = (statistics.median(delays_ms), _p99(delays_ms), max(delays_ms))
    return (name, str(len(delays_ms)), *(f"{figure:.2f}" for figure in figures))


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
