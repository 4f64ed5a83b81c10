"""Batches of calls for one container, repeated until the engine is back or has room again, within bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dockersched.errors import EngineFullError, EngineUnavailableError
from dockersched.log import Logger
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.pool import EnginePool

T = TypeVar("T")

_OUTAGE_LIMIT_S = 60.0
_FULL_LIMIT_S = 300.0
_PAUSE_S = 1.0

log = Logger("patience")


class Patience:
    """Runs batches that may be repeated.

    Args:
        pool: that runs them.
        name: of the container, for the log.
    """

    def __init__(self, pool: EnginePool, name: str) -> None:
        self._pool = pool
        self._name = name

    async def call(self, batch: Callable[[EngineCalls], T]) -> T:
        """Runs a batch that starts nothing and is over soon, until the engine is back and has room for it."""
        return await self._while_full(lambda: self._pool.call(batch))

    async def copy(self, batch: Callable[[EngineCalls], T]) -> T:
        """The same of a batch that copies files out of a sandbox."""
        return await self._while_full(lambda: self._pool.copy(batch))

    async def start(self, batch: Callable[[EngineCalls], T]) -> T:
        """Runs a batch that starts a container, until the engine is back; who waits for room does it for all."""
        return await self._while_away(lambda: self._pool.start(batch))

    async def _while_full(self, submit: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        while True:
            try:
                return await self._while_away(submit)
            except EngineFullError as error:
                log.warning("engine.full", name=self._name, error=str(error))
                if time.monotonic() - began > _FULL_LIMIT_S:
                    raise
            await asyncio.sleep(_PAUSE_S)

    async def _while_away(self, submit: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        while True:
            try:
                return await submit()
            except EngineUnavailableError:
                if time.monotonic() - began > _OUTAGE_LIMIT_S:
                    raise
            await asyncio.sleep(_PAUSE_S)
