"""Thousands of short tasks: files and memory of the process, and all records, stay as they should."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.api import APIClient

from tests.support.bench import Bench
from tests.support.tally import Tally
from tests.support.trials import attempt_starts, double_starts, watching

_SAMPLE_S = 0.1
_MOST_THREADS = 20
_GROWTH = 1.1
"""What later memory may be of earlier, to be called flat: the results of all tasks are kept."""


@dataclass(frozen=True)
class _Sample:
    files: int
    threads: int
    memory_mb: float


def run_many(engine: APIClient, folder: Path, count: int, parallel: int, ahead: int = 0) -> Tally:
    """Runs so many tasks; descriptors stay within 3 a sandbox and 20, threads within 20, and memory does not grow.

    Args:
        engine: that they run on.
        folder: for its files.
        count: of the tasks.
        parallel: of the tasks that run at once, and of the chains that they are in if some are started ahead.
        ahead: of the sandboxes that are started ahead of them.
    """
    tally = Tally(f"{count} tasks, {parallel} at once" + (f", {ahead} started ahead" if ahead else ""), tries=count)
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(engine, folder)
    samples: list[_Sample] = []
    try:
        bench.write({f"t{number}": _task(number - parallel if ahead else -1) for number in range(count)})
        with watching(engine, bench.label) as seen:
            began = time.monotonic()
            options = ("--max-parallel", str(parallel), "--prepare-ahead", str(ahead))
            process = bench.start("run", "epic.json", "--quiet", *options)
            while process.poll() is None:
                with suppress(OSError, LookupError):  # it may have ended, and has no memory then
                    samples.append(_look(process.pid))
                time.sleep(_SAMPLE_S)
            took_s = time.monotonic() - began
        tally.expect(f"ended with {process.returncode}", holds=process.returncode == 0)
        rows = bench.store.attempts(bench.run_id)
        logs = bench.state_dir / "runs" / bench.run_id / "logs"
        tally.lost = count - sum(row.result is not None and row.result.succeeded for row in rows.values())
        tally.lost += sum(path.read_bytes() != b"up\n" for path in logs.iterdir())
        tally.expect(f"{len(list(logs.iterdir()))} logs", holds=len(list(logs.iterdir())) == count)
        started = attempt_starts(seen)
        tally.expect(f"{len(started)} containers were started", holds=len(started) == count)
        tally.double_starts = double_starts(seen)
        tally.orphans = len(bench.containers())
    finally:
        bench.close()
    _judge(tally, samples, 3 * (parallel + ahead) + 20, took_s)
    return tally


def _judge(tally: Tally, samples: list[_Sample], most_files: int, took_s: float) -> None:
    quarter = max(1, len(samples) // 4)
    files = max(sample.files for sample in samples)
    # The first quarter is for what is loaded and pooled at the first use.
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    early_mb, late_mb = (max(sample.memory_mb for sample in some) for some in (early, late))
    threads = max(sample.threads for sample in samples)
    memory = f"{early_mb:.1f} MB in the 2nd, {late_mb:.1f} MB in the 4th quarter"
    tally.measured = f"{files} files open; {threads} threads; {memory}; {took_s:.0f} s"
    tally.expect(f"{files} files were open", holds=files <= most_files)
    tally.expect(f"{threads} threads ran", holds=threads <= _MOST_THREADS)
    tally.expect(f"memory grew: {tally.measured}", holds=late_mb <= early_mb * _GROWTH)


def _task(after: int) -> dict[str, Any]:
    return {"run": "echo up", "depends_on": [f"t{after}"] if after >= 0 else []}


def _look(pid: int) -> _Sample:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return _Sample(files, int(fields["Threads"]), int(fields["VmRSS"].split()[0]) / 1024)
