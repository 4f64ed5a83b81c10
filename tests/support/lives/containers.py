"""The runner of a process: containers that end as it happens, and go on when the process is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dockersched import PermanentRunnerError, Reason, SandboxCancelled, SandboxResult, TransientRunnerError
from dockersched.sandbox.base import SandboxBackend, SandboxRunOptions
from dockersched.store.journal import Journal
from tests.support.lives import promises
from tests.support.lives.lifetime import Lifetime
from tests.support.lives.random_epics import EXIT_CODE
from tests.support.lives.world import Attempt, Container, World, shown

_OUTCOMES: Sequence[tuple[int | None, Reason | None]] = (
    *[(0, None)] * 6,
    (EXIT_CODE, Reason.EXIT_CODE),
    (EXIT_CODE + 1, Reason.EXIT_CODE),
    (137, Reason.OOM_KILLED),
    (None, Reason.INTERRUPTED),
)
_ERRORS = (TransientRunnerError, PermanentRunnerError)


class Containers(SandboxBackend):
    """Makes, adopts, stops and removes the containers of a world.

    Args:
        world: where they are.
        sight: what the process knows.
        journal: where stops are noted first.
        lifetime: of the process.
    """

    def __init__(self, world: World, sight: promises.Sight, journal: Journal, lifetime: Lifetime) -> None:
        self._world = world
        self._sight = sight
        self._journal = journal
        self._lifetime = lifetime

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        made = asyncio.ensure_future(self._made(_attempt(options)))
        try:
            container = await asyncio.shield(made)
            await asyncio.sleep(max(0.0, container.ends_at_s - self._world.now_s))
        except asyncio.CancelledError:
            container = await made
            await self._journal.stopping(options, Reason.CANCELLED)
            container.stop(self._world.now_s)
            raise SandboxCancelled(_result(options, container)) from None
        return _result(options, container)

    async def _made(self, attempt: Attempt) -> Container:
        """The container that is there, or else a new one."""
        there = self._world.containers.get(attempt)
        if there is not None and not there.is_gone:
            self._world.say(f"{shown(attempt)} is adopted")
            return there
        await self._lifetime.effect(lambda: self._make(attempt))
        return self._world.containers[attempt]

    def _make(self, attempt: Attempt) -> None:
        world, chance = self._world, self._world.chance
        world.say(f"{shown(attempt)} runs")
        promises.of_a_beginning(world, self._sight, attempt)
        is_well = chance.random() < 0.9
        outcome = chance.choice(_OUTCOMES) if is_well else chance.choice(_ERRORS)("as it happens")
        lasts_s = chance.choice([0, 0.002, 0.01, 0.05, 0.3])
        world.containers[attempt] = Container(world.now_s, world.now_s + lasts_s, outcome)

    @property
    def creates_ahead(self) -> bool:
        return True

    def start_ahead(self, options: SandboxRunOptions) -> None:
        promises.of_preparing(self._world, _attempt(options))

    def create_ahead(self, options: SandboxRunOptions) -> None:
        promises.of_preparing(self._world, _attempt(options))

    def discard(self, options: SandboxRunOptions) -> None:
        container = self._world.containers.get(_attempt(options))
        if container is not None and not self._lifetime.is_dead:
            promises.of_discarding(self._world, _attempt(options))
            container.is_gone = True

    async def remove(self, options: SandboxRunOptions) -> None:
        await self._lifetime.effect(lambda: self._world.remove(_attempt(options)))


def _attempt(options: SandboxRunOptions) -> Attempt:
    return options.task_id, options.attempt


def _result(options: SandboxRunOptions, container: Container) -> SandboxResult:
    if isinstance(container.outcome, Exception):
        raise container.outcome
    return SandboxResult(options.sandbox_id, *container.outcome)
