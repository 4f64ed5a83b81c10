"""Waiting for one's turn, as long as nobody waits for what one is about to do."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Those who wait, the first one in front; for one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Event] = deque()

    @property
    def are_wanted(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def give(self) -> None:
        """Lets the first one go on, if there is one."""
        if self._waiting:
            self._waiting.popleft().set()

    def give_all(self) -> None:
        """Lets all go on."""
        while self._waiting:
            self.give()

    async def wait(self, wanted: asyncio.Event) -> None:
        """Waits for a turn, or until `wanted` is set."""
        turn = asyncio.Event()
        self._waiting.append(turn)
        try:
            await first_of(turn, wanted)
        except asyncio.CancelledError:
            if turn.is_set():
                self.give()
            raise
        finally:
            if not turn.is_set():
                self._waiting.remove(turn)


async def first_of(*events: asyncio.Event) -> None:
    """Waits until one of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
