"""Attempts that are started behind a gate before anybody asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from dockersched.log import Logger
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import translate
from dockersched.sandbox.docker.attempt import Attempt

log = Logger("ahead")


class _Coming(Struct, frozen=True):
    preparing: asyncio.Task[Attempt | None]
    wanted: asyncio.Event


class AttemptsAhead:
    """Those of one runner, from `begin` until each is taken or given up. What cannot be prepared is not there.

    Args:
        make: makes an attempt whose container has a gate, and is started at once when the event is set; if that is set
            before it could start, it has none.
    """

    def __init__(self, make: Callable[[SandboxRunOptions, asyncio.Event], Awaitable[Attempt]]) -> None:
        self._make = make
        self._coming: dict[str, _Coming] = {}
        self._going: dict[str, asyncio.Task[None]] = {}

    def begin(self, options: SandboxRunOptions) -> None:
        """Starts an attempt behind its gate, in the background."""
        name, wanted = translate.container_name(options), asyncio.Event()
        self._coming[name] = _Coming(asyncio.create_task(self._prepare(options, wanted)), wanted)

    async def take(self, options: SandboxRunOptions) -> Attempt | None:
        """The attempt, to be run now; None when there is none, and then nothing of it is left to be in the way."""
        name = translate.container_name(options)
        if (going := self._going.get(name)) is not None:
            await asyncio.wait([going])
        coming = self._coming.pop(name, None)
        if coming is None:
            return None
        coming.wanted.set()
        try:
            return await asyncio.shield(coming.preparing)
        except asyncio.CancelledError:
            await _give_up(coming.preparing)
            raise

    def give_up(self, options: SandboxRunOptions) -> bool:
        """Removes the attempt in the background, since its task will not run; False when there is none."""
        name = translate.container_name(options)
        coming = self._coming.pop(name, None)
        if coming is None:
            return False
        going = self._going[name] = asyncio.create_task(_give_up(coming.preparing))
        going.add_done_callback(lambda _: self._going.pop(name))
        return True

    async def settle(self) -> None:
        """Waits until all that were given up are gone."""
        while self._going:
            await asyncio.wait(self._going.values())

    async def aclose(self) -> None:
        """Gives up what is left."""
        coming, self._coming = self._coming, {}
        await asyncio.gather(*(_give_up(each.preparing) for each in coming.values()))
        await self.settle()

    async def _prepare(self, options: SandboxRunOptions, wanted: asyncio.Event) -> Attempt | None:
        attempt: Attempt | None = None
        try:
            attempt = await self._make(options, wanted)
            await attempt.start_gated()
        except BaseException as error:
            if attempt is not None:
                await attempt.give_up()
            if not isinstance(error, Exception):
                raise
            # Whether it is the task's own fault is seen when it is started without a gate.
            log.info("ahead.not_prepared", name=translate.container_name(options), error=str(error))
            return None
        return attempt


async def _give_up(preparing: asyncio.Task[Attempt | None]) -> None:
    preparing.cancel()
    await asyncio.wait([preparing])
    if not preparing.cancelled() and (attempt := preparing.result()) is not None:
        await attempt.give_up()
