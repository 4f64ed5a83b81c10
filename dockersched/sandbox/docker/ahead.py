"""What is made for sandboxes before anybody asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from dockersched.log import Logger
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import translate
from dockersched.unbroken import unbroken

log = Logger("ahead")


class Prepared(Protocol):
    """What was made for a sandbox."""

    async def give_up(self) -> None:
        """Removes it, since nobody will ask for it; nothing of the task has run."""


P = TypeVar("P", bound=Prepared)


class _Coming(Struct, Generic[P], frozen=True):
    preparing: asyncio.Task[P | None]
    wanted: asyncio.Event


class SandboxesAhead(Generic[P]):
    """Those of one runner, from `begin` until each is taken or given up. What cannot be prepared is not there.

    Args:
        prepare: makes what a sandbox needs, in its own time, and leaves nothing behind when it raises; the event is set
            when somebody waits for it. None is nothing.
    """

    def __init__(self, prepare: Callable[[SandboxRunOptions, asyncio.Event], Awaitable[P | None]]) -> None:
        self._prepare_one = prepare
        self._coming: dict[str, _Coming[P]] = {}
        self._going: dict[str, asyncio.Task[None]] = {}

    def begin(self, options: SandboxRunOptions) -> None:
        """Begins to prepare a sandbox, in the background."""
        name, wanted = translate.container_name(options), asyncio.Event()
        self._coming[name] = _Coming(asyncio.create_task(self._prepare(options, wanted)), wanted)

    async def take(self, options: SandboxRunOptions) -> P | None:
        """What was prepared, to be used now; None when there is none, and then nothing is left to be in the way."""
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
            await unbroken(_give_up(coming.preparing))
            raise

    def give_up(self, options: SandboxRunOptions) -> bool:
        """Removes what was prepared, in the background, since its task will not run; False when there is none."""
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

    async def _prepare(self, options: SandboxRunOptions, wanted: asyncio.Event) -> P | None:
        try:
            return await self._prepare_one(options, wanted)
        except Exception as error:  # noqa: BLE001 - whether it is the task's own fault is seen when it is run
            log.info("ahead.not_prepared", name=translate.container_name(options), error=str(error))
            return None


async def _give_up(preparing: asyncio.Task[P | None]) -> None:
    preparing.cancel()
    await asyncio.wait([preparing])
    if not preparing.cancelled() and (prepared := preparing.result()) is not None:
        await prepared.give_up()
