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
        either = [asyncio.ensure_future(event.wait()) for event in (turn, wanted)]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if turn.is_set():
                self.give()
            raise
        finally:
            for waiting in either:
                waiting.cancel()
            if not turn.is_set():
                self._waiting.remove(turn)
