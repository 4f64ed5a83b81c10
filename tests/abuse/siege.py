"""Runs attacks side by side in an epic of their own, with a neighbour that works all the while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from docker.api import APIClient
from docker.errors import APIError, NotFound

from dockersched import DockerRunner, EpicExecutionOptions, ParallelTaskScheduler, QuotaConfig, ScheduledTask, ids
from dockersched.errors import TaskExecutionError
from dockersched.results import EpicResult, SandboxResult, TaskResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.defaults import SandboxDefaults
from tests.abuse.attack import GVISOR_PIDS, Aftermath, Attack
from tests.abuse.payload import python
from tests.abuse.payloads.neighbour import ROUNDS_BEFORE

LOG_BYTES = 2**20
SIDE_BY_SIDE = 3
EPIC, NEIGHBOUR = "abuse", "neighbour"
_READY_LIMIT_S = 60.0
_NEIGHBOUR_LIMIT_S = 300.0
_END_LIMIT_S = 30.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An honest task that ran while attacks did.

    Args:
        result: how it ended.
        before: seconds that a round of its work took before the attacks, the median.
        rounds: all its rounds, begin and end in seconds since the epoch.
        end_s: seconds from the word that it may end to its end.
    """

    result: TaskResult
    before: float
    rounds: Sequence[Span]
    end_s: float

    def during(self, span: Span) -> list[float]:
        """How long the rounds took that overlap a span, and the one that follows it."""
        following = min(begin for begin, _ in self.rounds if begin >= span[1])
        return [end - begin for begin, end in self.rounds if begin <= following and end > span[0]]


@dataclass(frozen=True, slots=True)
class Siege:
    """What came of some attacks.

    Args:
        aftermaths: by the attack's name.
        results: how each attack's task ended, by the attack's name.
        neighbour: who ran at the same time.
    """

    aftermaths: Mapping[str, Aftermath]
    results: Mapping[str, TaskResult]
    neighbour: Neighbour


def span_of(result: TaskResult) -> Span | None:
    """When a task's process ran; None if it never did."""
    sandbox = result.sandbox
    if sandbox is None or sandbox.started_at is None or sandbox.finished_at is None:
        return None
    return sandbox.started_at.timestamp(), sandbox.finished_at.timestamp()


async def lay_siege(
    engine: APIClient,
    attacks: Sequence[Attack],
    logs_dir: Path,
    runtime: str | None,
    placeholders: Mapping[str, str],
) -> Siege:
    """Starts the neighbour, then all attacks; ends the neighbour when the last one is over."""
    ready = asyncio.Event()

    def on_output(task_id: str, data: bytes) -> None:
        if task_id == NEIGHBOUR and b"ready" in data:
            ready.set()

    defaults = SandboxDefaults(quota=QuotaConfig(log=LOG_BYTES))
    run_ids = ids.new_run_id(), ids.new_run_id()
    async with await DockerRunner.connect(logs_dir=logs_dir, defaults=defaults, on_output=on_output) as runner:
        scheduler = ParallelTaskScheduler(_Keeping(runner))
        working = asyncio.create_task(_run(scheduler, [_neighbour(runtime)], run_ids[0]))
        try:
            await asyncio.wait_for(ready.wait(), _READY_LIMIT_S)
            tasks = [attack.task(runtime, placeholders) for attack in attacks]
            besieged = await _run(scheduler, tasks, run_ids[1])
            neighbour = await _told_to_end(engine, working, run_ids[0])
            aftermaths = await asyncio.to_thread(_aftermaths, engine, attacks, besieged, logs_dir)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            for run_id in run_ids:
                await runner.sweep(run_id)
    return Siege(aftermaths, {attack.name: besieged.tasks[attack.task_id] for attack in attacks}, neighbour)


class _Keeping:
    """A runner whose containers stay when their results are in, to be looked at; they are swept in the end."""

    def __init__(self, runner: DockerRunner) -> None:
        self._runner = runner

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        return await self._runner.run(options)


async def _run(scheduler: ParallelTaskScheduler, tasks: Sequence[ScheduledTask], run_id: str) -> EpicResult:
    options = EpicExecutionOptions(epic_id=EPIC, run_id=run_id, max_parallel=SIDE_BY_SIDE)
    try:
        return await scheduler.execute_epic(tasks, options)
    except TaskExecutionError as error:
        return error.result


def _neighbour(runtime: str | None) -> ScheduledTask:
    command, *args = python("neighbour")
    quota = QuotaConfig(cpus=0.5, memory="64m", pids=GVISOR_PIDS if runtime else 32)
    return ScheduledTask(
        NEIGHBOUR, [], command, args, quota, "dockersched/python", timeout_s=_NEIGHBOUR_LIMIT_S, runtime=runtime
    )


async def _told_to_end(engine: APIClient, working: asyncio.Task[EpicResult], run_id: str) -> Neighbour:
    loop = asyncio.get_running_loop()
    told = loop.time()
    # If it is gone before its time, then its result tells why.
    with suppress(APIError):
        await asyncio.to_thread(engine.kill, ids.container_name(EPIC, run_id, NEIGHBOUR, 1), "USR1")
    result = (await asyncio.wait_for(working, _END_LIMIT_S)).tasks[NEIGHBOUR]
    assert result.sandbox, result
    assert result.sandbox.log, result
    last = Path(result.sandbox.log.path).read_text("utf-8").splitlines()[-1]
    rounds = [(begin, end) for begin, end in json.loads(last)] if result.succeeded else []
    before = median(end - begin for begin, end in rounds[:ROUNDS_BEFORE]) if rounds else 0.0
    return Neighbour(result, before, rounds, loop.time() - told)


def _aftermaths(
    engine: APIClient, attacks: Sequence[Attack], besieged: EpicResult, logs_dir: Path
) -> Mapping[str, Aftermath]:
    """What can be seen from outside, while the containers are still there."""
    engine_root = Path(engine.info()["DockerRootDir"])
    found = {}
    for attack in attacks:
        result = besieged.tasks[attack.task_id].sandbox
        assert result, f"{attack.name} was never run"
        name = ids.container_name(EPIC, besieged.run_id, attack.task_id, besieged.tasks[attack.task_id].attempts)
        try:
            container = engine.inspect_container(name)
        except NotFound:  # the engine refused to make it
            container = {}
        log = Path(result.log.path).read_bytes() if result.log else b""
        kept = engine_root / "containers" / str(container.get("Id", "")) / "local-logs"
        # Nothing, where the engine's disk is another machine's.
        on_engine = sum(path.stat().st_size for path in kept.glob("*"))
        found[attack.name] = Aftermath(result, log, logs_dir, container, on_engine)
    return found
