"""Runs a program and measures it: `python -I -S timed.py REPORT PROGRAM [ARGUMENT …]`.

A process of its own, and a small one, because of two things that the kernel does: it counts the processor time of all
children together, and it takes a child's memory for at least that of the process that started it. REPORT gets JSON:
`returncode`, `started_at` (seconds since the epoch), `makespan_s`, `cpu_s` and `peak_bytes`. Processor time is that of
the program and of all processes that it waited for. Memory is the largest resident set of one process; where the
program has processes of its own, at least the largest sum of their proportional sets that was seen, ten times a second.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

_PROC = Path("/proc")
_INTERVAL_S = 0.1


def main() -> int:
    """Runs the program; returns 0 when it could be measured, whatever its own exit code."""
    report, *command = sys.argv[1:]
    clock, started = time.time(), time.monotonic()
    process = subprocess.Popen(command)
    ended = threading.Event()
    sampler = _Sampler(process.pid, ended)
    sampler.start()
    try:
        returncode = process.wait()
        makespan = time.monotonic() - started
    except BaseException:  # whoever measures has been stopped
        process.terminate()
        process.wait()
        raise
    finally:
        ended.set()
        sampler.join()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = {
        "returncode": returncode,
        "started_at": clock,
        "makespan_s": makespan,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": max(usage.ru_maxrss * 1_024, sampler.peak_bytes),
    }
    Path(report).write_text(json.dumps(measured), "ascii")
    return 0


class _Sampler(threading.Thread):
    """Looks at a process and all that it has started, as long as there is more than the one."""

    def __init__(self, pid: int, ended: threading.Event) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._pid = pid
        self._ended = ended

    def run(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            tree = _tree(self._pid)
            if len(tree) > 1:
                self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, tree)))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for member in found:  # grows meanwhile
        try:
            for thread in (_PROC / str(member) / "task").iterdir():
                found += map(int, (thread / "children").read_text("ascii").split())
        except OSError:  # it has ended
            continue
    return found


def _proportional_bytes(pid: int) -> int:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1_024
    except OSError:  # it has ended
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
