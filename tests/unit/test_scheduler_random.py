"""Whatever is cancelled, and however sandboxes end just then, a run comes to its end and keeps its promises."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from dockersched import (
    EpicControl,
    EpicExecutionOptions,
    ParallelTaskScheduler,
    PermanentRunnerError,
    Reason,
    RetryPolicy,
    SandboxCancelled,
    SandboxResult,
    SandboxRunOptions,
    ScheduledTask,
    TaskExecutionError,
    TransientRunnerError,
)
from dockersched.events import Event, TaskFinished, TaskStarted
from dockersched.graph.transitions import FINAL_STATES
from dockersched.results import EpicResult
from dockersched.sandbox.fake import FakeRunner, Script

ENDINGS: Sequence[tuple[int | None, Reason | None]] = (
    *[(0, None)] * 4,
    (3, Reason.EXIT_CODE),
    (137, Reason.OOM_KILLED),
    (137, Reason.KILLED),
    (None, Reason.INTERRUPTED),
    (143, Reason.TIMED_OUT),
)
RETRIES = (
    RetryPolicy(initial_s=0.001),
    RetryPolicy(on=["infra", "oom_killed", "killed", "timed_out"], exit_codes=[3], initial_s=0.001),
    RetryPolicy(limit=0),
)


class WildRunner(FakeRunner):
    """Sandboxes end in any way, after any time, also those that are cancelled."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance

    async def _play(self, options: SandboxRunOptions, _script: Script) -> SandboxResult:
        try:
            await asyncio.sleep(self.chance.choice([0, 0.001, 0.002, 0.004]))
        except asyncio.CancelledError:
            if self.chance.random() < 0.2:
                raise
            await asyncio.sleep(self.chance.choice([0, 0.001]))
            kept = self.chance.random() < 0.5
            raise SandboxCancelled(
                self._ended(options) if kept else SandboxResult(options.sandbox_id, reason=Reason.CANCELLED)
            ) from None
        if self.chance.random() < 0.15:
            raise self.chance.choice([TransientRunnerError, PermanentRunnerError, ValueError])("as it happens")
        return self._ended(options)

    def _ended(self, options: SandboxRunOptions) -> SandboxResult:
        exit_code, reason = self.chance.choice(ENDINGS)
        return SandboxResult(options.sandbox_id, exit_code=exit_code, reason=reason)


def random_tasks(chance: random.Random) -> list[ScheduledTask]:
    tasks: list[ScheduledTask] = []
    for number in range(chance.randint(1, 12)):
        is_last = chance.random() < 0.15
        before = [each.id for each in tasks if each.finally_ == is_last]
        depends_on = chance.sample(before, min(len(before), chance.randint(0, 2)))
        tasks.append(
            ScheduledTask(
                f"t{number}",
                depends_on,
                "true",
                retry=chance.choice(RETRIES),
                when=chance.choice(["success", "success", "failure", "always"]) if depends_on else "success",
                allow_failure=chance.random() < 0.2,
                finally_=is_last,
                priority=chance.randint(-1, 1),
            )
        )
    return tasks


def started_after_all_it_depends_on(tasks: Sequence[ScheduledTask], events: Sequence[Event]) -> bool:
    finished: set[str] = set()
    depends_on = {task.id: set(task.depends_on) for task in tasks}
    for event in events:
        if isinstance(event, TaskStarted) and not depends_on[event.task_id] <= finished:
            return False
        if isinstance(event, TaskFinished):
            finished.add(event.result.task_id)
    return True


async def one_run(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    tasks, runner, control, events = random_tasks(chance), WildRunner(chance), EpicControl(), list[Event]()
    options = EpicExecutionOptions(
        max_parallel=chance.randint(1, 4),
        timeout_s=chance.choice([None, None, 0.004]),
        fail_fast=chance.random() < 0.2,
        prepare_ahead=chance.choice([0, 3]),
    )
    for _ in range(chance.randint(0, 4)):
        whom = None if chance.random() < 0.2 else [chance.choice(tasks).id]
        asyncio.get_running_loop().call_later(chance.uniform(0, 0.012), control.cancel, whom)
    scheduler = ParallelTaskScheduler(runner, observers=[events.append])
    result: EpicResult | None
    try:
        async with asyncio.timeout(20):
            result = await scheduler.execute_epic(tasks, options, control=control)
    except TaskExecutionError as ended:
        result = ended.result
    assert result is not None
    assert {task_id: entry.state in FINAL_STATES for task_id, entry in result.tasks.items()} == {
        t.id: True for t in tasks
    }
    assert (runner.alive, runner.ahead) == (set(), [])
    assert runner.peak <= options.max_parallel
    assert started_after_all_it_depends_on(tasks, events)


@pytest.mark.parametrize("first", range(0, 300, 100))
async def test_a_run_comes_to_its_end_whatever_happens(first: int) -> None:
    for seed in range(first, first + 100):
        try:
            await one_run(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
