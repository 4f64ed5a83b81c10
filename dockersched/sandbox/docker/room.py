"""What happens to starts while the engine's disk is full: one tries for all, and nothing more is begun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dockersched.errors import EngineFullError
from dockersched.log import Logger
from dockersched.sandbox.docker.batches import LaunchRefusedError
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.states import Reason

T = TypeVar("T")

_LIMIT_S = 300.0
_PAUSE_S = 1.0

log = Logger("room")


class RoomGate:
    """Closed while the engine has no space left; used on the event loop's thread only.

    The first start that is refused for want of space closes it, and tries again until there is room. Starts that are
    refused meanwhile wait for that one, and the scheduler, which asks `holds`, begins no others.

    Args:
        say: told, in a line, when it closes and when it opens.
        health: told when there was room.
    """

    def __init__(self, say: Callable[[str], None], health: EngineHealth) -> None:
        self._say = say
        self._health = health
        self._open = asyncio.Event()
        self._open.set()
        self._waiting: list[Callable[[], None]] = []

    def holds(self, resumed: Callable[[], None]) -> bool:
        """Whether the gate is closed; if so, `resumed` is called once when it opens."""
        if self._open.is_set():
            return False
        self._waiting.append(resumed)
        return True

    async def passing(self, start: Callable[[], Awaitable[T]]) -> T:
        """What a start gives, as soon as there is room for it.

        Raises:
            EngineFullError: there was none for five minutes.
        """
        deadline = time.monotonic() + _LIMIT_S
        while True:
            await self._open.wait()
            try:
                return await self._start(start)
            except EngineFullError as error:
                if not self._open.is_set():  # another one tries already
                    continue
                self._close(error)
            try:
                return await self._until_room(start, deadline)
            finally:
                self._reopen()

    async def _until_room(self, start: Callable[[], Awaitable[T]], deadline: float) -> T:
        while True:
            await asyncio.sleep(_PAUSE_S)
            try:
                result = await self._start(start)
            except (EngineFullError, LaunchRefusedError) as error:
                if not _may_lack_room(error) or time.monotonic() > deadline:
                    raise
            else:
                self._say("the engine has room again: the run goes on")
                return result

    async def _start(self, start: Callable[[], Awaitable[T]]) -> T:
        begun_at = self._health.now()
        result = await start()
        self._health.had_room(begun_at)
        return result

    def _close(self, error: EngineFullError) -> None:
        self._open.clear()
        log.warning("room.full", error=str(error))
        self._say(f"the engine's disk is full, nothing is started until there is room: {error}")

    def _reopen(self) -> None:
        self._open.set()
        waiting, self._waiting = self._waiting, []
        for resumed in waiting:
            resumed()


def _may_lack_room(error: EngineFullError | LaunchRefusedError) -> bool:
    """An engine without space or inodes trips over its own half-made files too, and says so in other words."""
    return isinstance(error, EngineFullError) or error.reason is Reason.ENGINE_ERROR
