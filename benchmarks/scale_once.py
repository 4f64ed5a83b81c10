"""One measurement of the scheduler, in a process of its own: `python -m benchmarks.scale_once TASKS [KIND]`.

KIND is `plain`; or `shares`, where tasks have one of 8 quotas, a priority and a duration, and about four fit side by
side; or `own-shares`, where nearly every task has a quota of its own; or `recorded`, with the state database, 1,000
sandboxes side by side; or `loaded`, where the epic comes from JSON and is not executed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.graphs import random_needs, task_id
from dockersched.collector import collect_seldom
from dockersched.epic import Epic
from dockersched.epicfile import load_text
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, QuotaConfig, ScheduledTask
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxBackend, SandboxRunOptions
from dockersched.scheduler import ParallelTaskScheduler
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal, JournaledRunner

_TASKS_IN_ALL = 100_000
_RECORDED_AT_ONCE = 1_000


class _AtOnce(SandboxBackend):
    """A runner whose sandboxes have succeeded as soon as they are asked for."""

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        return SandboxResult(options.sandbox_id, exit_code=0)


class _AtOnceWithTimes(SandboxBackend):
    """The same, with results that have times, as those of containers have."""

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        now = datetime.now(UTC)
        return SandboxResult(options.sandbox_id, exit_code=0, started_at=now, finished_at=now)


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


def measure_recorded(size: int) -> dict[str, float]:
    """Seconds and MB for a random graph of this size with an intent and a record of each task on disk."""
    tasks = [ScheduledTask(task_id(at), [task_id(need) for need in needs], "true") for at, needs in _needs(size)]
    dag = TaskDAG(tasks)
    options = EpicExecutionOptions(max_parallel=_RECORDED_AT_ONCE, run_id="bench")
    with tempfile.TemporaryDirectory(dir=".") as folder:  # often /tmp is no disk
        store = StateStore(Path(folder))
        began, cpu = time.perf_counter(), time.process_time()
        store.create_run("bench", Epic(dag, options), {}, {})
        created = time.perf_counter()
        asyncio.run(_record(dag, options, store))
        execute_s, cpu_s = time.perf_counter() - created, time.process_time() - cpu
        if len(store.attempts("bench")) != size:
            raise RuntimeError("not every task is on record")
    return {"create_run_s": created - began, "execute_s": execute_s, "cpu_s": cpu_s, "peak_mb": _peak_mb()}


async def _record(dag: TaskDAG, options: EpicExecutionOptions, store: StateStore) -> None:
    runner = JournaledRunner(_AtOnceWithTimes(), Journal(store, "bench"))
    await ParallelTaskScheduler(runner).execute_epic(dag, options)
    store.close()


def measure_loading(size: int) -> dict[str, float]:
    """Seconds and MB for reading a random graph of this size from JSON."""
    tasks = {
        task_id(at): {"command": "true", "args": [], "depends_on": [task_id(need) for need in needs]}
        for at, needs in _needs(size)
    }
    text = json.dumps({"epic": "bench", "tasks": tasks})
    del tasks
    began, cpu = time.perf_counter(), time.process_time()
    epic = load_text(text, "bench.json")
    load_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    if len(epic.dag) != size:
        raise RuntimeError("not every task was loaded")
    return {"size_mb": len(text) / 2**20, "load_s": load_s, "cpu_s": cpu_s, "peak_mb": _peak_mb()}


def _needs(size: int) -> Iterable[tuple[int, Sequence[int]]]:
    return enumerate(random_needs(size))


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


def _measure(size: int, kind: str = "plain") -> dict[str, float]:
    collect_seldom()  # as the command does
    if kind == "recorded":
        return measure_recorded(size)
    return measure_loading(size) if kind == "loaded" else measure(size, kind)


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), *sys.argv[2:])))
