"""One run in a world of its own: processes die and others go on, until one of them lives to the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from unittest import mock

from dockersched import EpicResult, ScheduledTask, TaskState, epic_run, recovery
from dockersched.store import journal
from tests.support.lives import promises
from tests.support.lives.lifetime import DiedError, Lifetime
from tests.support.lives.process import Process
from tests.support.lives.random_epics import RUN_ID
from tests.support.lives.records import Records, Requests
from tests.support.lives.virtual_time import VirtualTimeLoop
from tests.support.lives.world import World
from tests.support.tally import Tally

_MOST_PROCESSES = 8
_MOST_EFFECTS = 16
"""A process that dies does so at one of these; one that has fewer lives to its end."""

_HANGS_AFTER_S = 1000


@dataclass(frozen=True)
class Lives:
    """What became of the run of a seed; as text, all that happened to it.

    Attributes:
        seed: the same one gives the same run.
        deaths: of its processes.
        containers: made for its attempts.
        broken: promises that did not hold, in words.
        story: the epic, and what happened, in order.
    """

    seed: int
    deaths: int
    containers: int
    broken: Sequence[str]
    story: Sequence[str]

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, broken: {self.broken}", *self.story])


def live(seed: int) -> Lives:
    """Lets the processes of a run live and die."""
    world = World(seed)
    with (
        mock.patch.object(epic_run, "random", world.chance),
        mock.patch.object(journal, "datetime", SimpleNamespace(now=world.now)),
        mock.patch.object(recovery, "CancelRequests", return_value=Requests(world)),
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        runner.get_loop().set_exception_handler(_leave_alone)
        try:
            runner.run(_until_one_lives(world))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not what was promised
            world.broken.append(repr(error))
    story = [str(world.epic.options), *map(_shown, world.epic.dag), *world.log]
    return Lives(seed, world.deaths, len(world.containers), world.broken, story)


def try_lives(seeds: Iterable[int]) -> Tally:
    """Many of them; those in which something was broken are told by their seeds."""
    began = time.monotonic()
    tally = Tally("dockersched dies in a random run and is resumed, by virtual time")
    deaths = containers = 0
    for lives in map(live, seeds):
        tally.tries += 1
        tally.wrong += [f"seed {lives.seed}: {broken}" for broken in lives.broken[:1]]
        deaths += lives.deaths
        containers += lives.containers
    tally.measured = f"{deaths} deaths, {containers} containers, {time.monotonic() - began:.0f} s"
    return tally


async def _until_one_lives(world: World) -> None:
    for left in reversed(range(_MOST_PROCESSES)):
        told = dict(world.told)
        dies_at = world.chance.choice([None, *[world.chance.randint(1, _MOST_EFFECTS)] * 5]) if left else None
        result = await _life(world, dies_at)
        if world.broken:
            return
        if result is not None:
            promises.of_an_end(world, _states(result), told)
            return
        records = Records(world, Lifetime(world, None))
        cancelled = recovery._as_recorded(records, RUN_ID, journal.Journal(records, RUN_ID))
        promises.of_states(world, _states(cancelled), "`cancel`")
        await asyncio.sleep(world.chance.choice([0, 0.01, 0.1]))


async def _life(world: World, dies_at: int | None) -> EpicResult | None:
    """The result that a process comes to; None when it died before."""

    async def whole() -> EpicResult:
        return await Process(world, Lifetime(world, dies_at)).live()

    deaths = world.deaths
    process = asyncio.create_task(whole())
    await asyncio.wait([process], timeout=_HANGS_AFTER_S)
    world.expect("a process comes to its end", holds=process.done())
    try:
        return process.result()
    except (asyncio.CancelledError, DiedError):
        world.expect("only a dead process breaks off", holds=world.deaths > deaths)
        return None


def _states(result: EpicResult) -> Mapping[str, TaskState]:
    return {task_id: task.state for task_id, task in result.tasks.items()}


def _shown(task: ScheduledTask) -> str:
    depends_on = ", ".join(task.depends_on) or "nothing"
    allowed = ", may fail" if task.allow_failure else ""
    return f"{task.id} after {depends_on}, when {task.when}{allowed}, {task.retry}"


def _leave_alone(_loop: asyncio.AbstractEventLoop, _context: Mapping[str, object]) -> None:
    """What a dead process still tries fails, and nobody asks how."""
