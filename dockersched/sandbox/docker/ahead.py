"""Attempts that are started behind a gate before anybody asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dockersched.errors import RunnerError
from dockersched.log import Logger
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import translate
from dockersched.sandbox.docker.attempt import Attempt

log = Logger("ahead")


class AttemptsAhead:
    """Those of one runner, from `begin` until each is taken or given up. What cannot be prepared is not there.

    Args:
        make: makes an attempt whose container has a gate, and is started at once when the event is set.
    """

    def __init__(self, make: Callable[[SandboxRunOptions, asyncio.Event], Awaitable[Attempt]]) -> None:
        self._make = make
        self._coming: dict[str, asyncio.Task[Attempt | None]] = {}
        self._wanted: dict[str, asyncio.Event] = {}

    def begin(self, options: SandboxRunOptions) -> None:
        """Starts an attempt behind its gate, in the background."""
        name = translate.container_name(options)
        if name not in self._coming:
            wanted = self._wanted[name] = asyncio.Event()
            self._coming[name] = asyncio.create_task(self._prepare(options, wanted))

    async def take(self, options: SandboxRunOptions) -> Attempt | None:
        """The attempt, to be run now; None when there is none, or it could not be started."""
        name = translate.container_name(options)
        coming = self._coming.pop(name, None)
        if coming is None:
            return None
        self._wanted.pop(name).set()
        return await coming

    async def give_up(self, options: SandboxRunOptions) -> bool:
        """Removes the attempt, if there is one; its task never ran."""
        name = translate.container_name(options)
        coming = self._coming.pop(name, None)
        if coming is None:
            return False
        del self._wanted[name]
        await _give_up(coming)
        return True

    async def aclose(self) -> None:
        """Gives up what is left."""
        coming, self._coming = self._coming, {}
        await asyncio.gather(*map(_give_up, coming.values()))

    async def _prepare(self, options: SandboxRunOptions, wanted: asyncio.Event) -> Attempt | None:
        attempt: Attempt | None = None
        try:
            attempt = await self._make(options, wanted)
            await attempt.start_gated()
        except RunnerError as error:  # whether it is the task's own fault is seen when it is started without a gate
            log.info("ahead.not_prepared", name=translate.container_name(options), error=str(error))
            if attempt is not None:
                await attempt.give_up()
            return None
        except asyncio.CancelledError:
            if attempt is not None:
                await attempt.give_up()
            raise
        return attempt


async def _give_up(coming: asyncio.Task[Attempt | None]) -> None:
    coming.cancel()
    await asyncio.wait([coming])
    if not coming.cancelled() and (attempt := coming.result()) is not None:
        await attempt.give_up()
