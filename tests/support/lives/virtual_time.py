"""An event loop whose clock goes on only when nothing is left to do, and then at once to what comes next.

So years of waiting take no time, and what happens depends on nothing but the program: the same again each time.
"""

from __future__ import annotations

import asyncio
import selectors


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at 0 s. For programs of one thread without sockets, processes or signals."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.now_s


class _Clock(selectors.SelectSelector):
    """Where a loop would sleep, for nothing is ready, the time is over instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Whatever is ready, after a wait that takes no time."""
        if timeout is None:
            raise RuntimeError("nothing will ever happen any more")
        self.now_s += timeout
        return super().select(0)
