"""One measurement of the scheduler, in a process of its own: `python -m benchmarks.scale_once TASKS [KIND]`.

KIND is `plain`; or `shares`, where tasks have one of 8 quotas, a priority and a duration, and about four fit side by
side; or `own-shares`, where nearly every task has a quota of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.graphs import random_needs, task_id
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, QuotaConfig, ScheduledTask
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.scheduler import ParallelTaskScheduler

_TASKS_IN_ALL = 100_000


class _AtOnce:
    """A runner whose sandboxes have succeeded as soon as they are asked for."""

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        return SandboxResult(options.sandbox_id, exit_code=0)


def measure(size: int, kind: str = "plain") -> dict[str, float]:
    """Seconds and MB for a random graph of this size."""
    needs = [(task_id(index), [task_id(need) for need in needed]) for index, needed in enumerate(random_needs(size))]
    began = time.perf_counter()
    if kind == "plain":
        tasks = [ScheduledTask(name, depends_on, "true") for name, depends_on in needs]
        options = EpicExecutionOptions()
    else:
        tasks = _with_shares(needs, quotas=8 if kind == "shares" else size)
        options = EpicExecutionOptions(max_cpus=8, max_memory="16g")
    built = time.perf_counter()
    dag = TaskDAG(tasks)
    connected = time.perf_counter()
    execute_s, execute_cpu_s = asyncio.run(_execute(dag, options))
    return {
        "build_tasks_s": built - began,
        "build_graph_s": connected - built,
        "execute_s": execute_s,
        "execute_cpu_s": execute_cpu_s,
        "peak_mb": _peak_mb(),
    }


def _with_shares(needs: Sequence[tuple[str, list[str]]], *, quotas: int) -> list[ScheduledTask]:
    choose = random.Random(1)  # noqa: S311 - a graph is no secret
    pool = [QuotaConfig(cpus=choose.uniform(0.1, 4), memory=choose.randint(2**26, 2**33)) for _ in range(quotas)]
    return [
        ScheduledTask(
            name,
            depends_on,
            "true",
            quota=choose.choice(pool),
            priority=choose.choice([0, 0, 0, 1]),
            expected_duration_s=choose.uniform(1, 100),
        )
        for name, depends_on in needs
    ]


async def _execute(dag: TaskDAG, options: EpicExecutionOptions) -> tuple[float, float]:
    """Executes a graph, a small one often; returns mean seconds, of the clock and of the processor.

    On a machine whose speed varies, a short measurement would show its best moment, a long one the average.
    """
    repeats = max(1, _TASKS_IN_ALL // len(dag))
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        result = await ParallelTaskScheduler(_AtOnce()).execute_epic(dag, options)
        if len(result.tasks) != len(dag):
            raise RuntimeError(f"{len(result.tasks)} results for {len(dag)} tasks")
    return (time.perf_counter() - began) / repeats, (time.process_time() - cpu) / repeats


def _peak_mb() -> float:
    """The most memory that this process had; unlike `ru_maxrss`, without what its parent had when it forked."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_024


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), *sys.argv[2:])))
