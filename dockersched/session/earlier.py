"""What an earlier process of a run left unfinished."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from dockersched import ids
from dockersched.epic import Epic
from dockersched.model import EpicExecutionOptions
from dockersched.replay import disregard_early_finals
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.runner import DockerRunner
from dockersched.states import Reason
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal


async def take_up(
    runner: DockerRunner,
    journal: Journal,
    epic: Epic,
    sandboxes: Sequence[SandboxRunOptions],
    requests: Sequence[Sequence[str]],
    *,
    goes_on: bool,
) -> None:
    """Ends what must not go on of an earlier process's attempts, and removes what it had made ahead.

    The arguments are those of `end_early_finals`.
    """
    await end_cancelled_attempts(runner, journal, sandboxes, requests)
    await end_early_finals(runner, journal, epic, sandboxes, requests, goes_on=goes_on)
    await remove_prepared(runner, journal, sandboxes)


async def end_cancelled_attempts(
    runner: DockerRunner,
    journal: Journal,
    sandboxes: Sequence[SandboxRunOptions],
    requests: Iterable[Iterable[str]] = (),
) -> None:
    """Ends what an earlier process was about to cancel, or should have; its tasks get another attempt.

    That of a task that was cancelled by name comes to nothing, whatever comes before it.

    Args:
        runner: that removes it.
        journal: of the run.
        sandboxes: of all its tasks.
        requests: tasks that were cancelled by name.
    """
    named = {task_id for task_ids in requests for task_id in task_ids}
    unfinished = journal.unfinished()
    for key in unfinished:
        if key[0] in named and not journal.was_cancelled(*key):
            journal.disregard(*key)
    await _end(
        runner, journal, sandboxes, [key for key in unfinished if key[0] in named or journal.was_cancelled(*key)]
    )


async def end_early_finals(
    runner: DockerRunner,
    journal: Journal,
    epic: Epic,
    sandboxes: Sequence[SandboxRunOptions],
    requests: Sequence[Sequence[str]],
    *,
    goes_on: bool = True,
) -> None:
    """Ends tasks with `finally` that still run although others go on; they come again after those.

    Args:
        runner: that removes them.
        journal: of the run.
        epic: the run's.
        sandboxes: of all its tasks.
        requests: tasks that were cancelled by name, and so do not go on.
        goes_on: False where the run is cancelled already, so that none of the others goes on.
    """
    early = disregard_early_finals(epic.dag, epic.options, journal, requests, goes_on=goes_on)
    await _end(runner, journal, sandboxes, [key for key in journal.unfinished() if key in early])


async def _end(
    runner: DockerRunner,
    journal: Journal,
    sandboxes: Sequence[SandboxRunOptions],
    attempts: Sequence[tuple[str, int]],
) -> None:
    """Removes what is left of attempts, and records them as cancelled."""
    by_task = {options.task_id: options for options in sandboxes} if attempts else {}
    for task_id, attempt in attempts:
        options = replace(by_task[task_id], attempt=attempt)
        await runner.remove(options)
        await journal.record(task_id, attempt, SandboxResult(options.sandbox_id, reason=Reason.CANCELLED))


async def remove_prepared(runner: DockerRunner, journal: Journal, sandboxes: Sequence[SandboxRunOptions]) -> None:
    """Removes what an earlier process had made ahead, and was not about to run yet."""
    next_attempts = map(journal.on_engine, sandboxes)
    await runner.remove_prepared(each for each in next_attempts if not journal.knows(each))


async def record_the_rest(store: StateStore, options: EpicExecutionOptions) -> None:
    """Ends, on record too, the attempts of an earlier process for which the run did not go on long enough."""
    run_id = str(options.run_id)
    for task_id, attempt in await asyncio.to_thread(store.unfinished, run_id):
        sandbox_id = ids.sandbox_id(options.epic_id, task_id)
        await store.record(run_id, task_id, attempt, SandboxResult(sandbox_id, reason=Reason.CANCELLED))
