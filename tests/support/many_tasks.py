"""Thousands of short tasks: files and memory of the process, and all records, stay as they should."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from docker.api import APIClient

from tests.support.bench import Bench
from tests.support.tally import Tally
from tests.support.trials import attempt_starts, double_starts, watching

_SAMPLE_S = 0.1
_GROWTH = 1.1
"""What later memory may be of earlier, to be called flat: the results of all tasks are kept."""


@dataclass(frozen=True)
class _Sample:
    files: int
    memory_mb: float


def run_many(engine: APIClient, folder: Path, count: int, parallel: int) -> Tally:
    """Runs so many tasks; descriptors stay within 3 a slot and 20, and memory does not grow."""
    tally = Tally(f"{count} tasks, {parallel} at once", tries=count)
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(engine, folder)
    samples: list[_Sample] = []
    try:
        bench.write({f"t{number}": {"run": "echo up"} for number in range(count)})
        with watching(engine, bench.label) as seen:
            began = time.monotonic()
            process = bench.start("run", "epic.json", "--quiet", "--max-parallel", str(parallel))
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
    _judge(tally, samples, 3 * parallel + 20, took_s)
    return tally


def _judge(tally: Tally, samples: list[_Sample], most_files: int, took_s: float) -> None:
    quarter = max(1, len(samples) // 4)
    files = max(sample.files for sample in samples)
    # The first quarter is for what is loaded and pooled at the first use.
    early = max(sample.memory_mb for sample in samples[quarter : 2 * quarter])
    late = max(sample.memory_mb for sample in samples[-quarter:])
    tally.measured = f"{files} files open; {early:.1f} MB in the 2nd, {late:.1f} MB in the 4th quarter; {took_s:.0f} s"
    tally.expect(f"{files} files were open", holds=files <= most_files)
    tally.expect(f"memory grew: {tally.measured}", holds=late <= early * _GROWTH)


def _look(pid: int) -> _Sample:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    memory_kb = int(status.partition("VmRSS:")[2].split()[0])
    return _Sample(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()), memory_kb / 1024)
