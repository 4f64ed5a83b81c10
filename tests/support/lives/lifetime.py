"""How long a process lives: what it does to the world takes a moment each time, and one of these is its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.support.lives.world import World


class DiedError(Exception):
    """What a process meets in whatever it tries after its death."""


class Lifetime:
    """Of the process whose task makes it; that is cancelled when it dies.

    Args:
        world: where it lives.
        dies_at: which of its effects is its last, from 1; None is none of them.
    """

    def __init__(self, world: World, dies_at: int | None) -> None:
        self.is_dead = False
        self._world = world
        self._left = dies_at
        self._task = asyncio.current_task()

    @property
    def is_over(self) -> bool:
        """Whether the process has come to its end, in one way or the other."""
        return self.is_dead or self._task is None or self._task.done()

    async def effect(self, act: Callable[[], None]) -> None:
        """Does something to the world in a moment, even if nobody waits for it any more then.

        Raises:
            DiedError: the process is dead; whether it was done is not known.
        """
        if self.is_dead:
            raise DiedError
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_later(self._world.chance.choice([0, 0.001, 0.003]), self._come_to_pass, act, done)
        await done

    def _come_to_pass(self, act: Callable[[], None], done: asyncio.Future[None]) -> None:
        if not self.is_dead:
            is_last = self._left == 1
            self._left = self._left and self._left - 1
            if not is_last or self._world.chance.random() < 0.5:
                act()
            if is_last:
                self._die()
        if done.cancelled():
            return
        if self.is_dead:
            done.set_exception(DiedError())
        else:
            done.set_result(None)

    def _die(self) -> None:
        self._world.say("--- it dies")
        self._world.deaths += 1
        self.is_dead = True
        if self._task is not None:
            self._task.cancel()
