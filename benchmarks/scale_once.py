"""One measurement of the scheduler, in a process of its own: `python -m benchmarks.scale_once TASKS`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from benchmarks.graphs import random_needs, task_id
from dockersched.graph.dag import TaskDAG
from dockersched.model import ScheduledTask
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.scheduler import ParallelTaskScheduler

_TASKS_IN_ALL = 100_000


class _AtOnce:
    """A runner whose sandboxes have succeeded as soon as they are asked for."""

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        return SandboxResult(options.sandbox_id, exit_code=0)


def measure(size: int) -> dict[str, float]:
    """Seconds and MB for a random graph of this size."""
    needs = [(task_id(index), [task_id(need) for need in needed]) for index, needed in enumerate(random_needs(size))]
    began = time.perf_counter()
    tasks = [ScheduledTask(name, depends_on, "true") for name, depends_on in needs]
    built = time.perf_counter()
    dag = TaskDAG(tasks)
    connected = time.perf_counter()
    execute_s, execute_cpu_s = asyncio.run(_execute(dag))
    return {
        "build_tasks_s": built - began,
        "build_graph_s": connected - built,
        "execute_s": execute_s,
        "execute_cpu_s": execute_cpu_s,
        "peak_mb": _peak_mb(),
    }


async def _execute(dag: TaskDAG) -> tuple[float, float]:
    """Executes a graph, a small one often; returns mean seconds, of the clock and of the processor.

    On a machine whose speed varies, a short measurement would show its best moment, a long one the average.
    """
    repeats = max(1, _TASKS_IN_ALL // len(dag))
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        result = await ParallelTaskScheduler(_AtOnce()).execute_epic(dag)
        if len(result.tasks) != len(dag):
            raise RuntimeError(f"{len(result.tasks)} results for {len(dag)} tasks")
    return (time.perf_counter() - began) / repeats, (time.process_time() - cpu) / repeats


def _peak_mb() -> float:
    """The most memory that this process had; unlike `ru_maxrss`, without what its parent had when it forked."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_024


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
