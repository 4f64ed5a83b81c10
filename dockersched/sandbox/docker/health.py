"""When the engine could not be reached, or was full, by its own clock: what ended then is not taken at its word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

# A connection can be accepted a moment after the daemon has begun to stop containers (32 ms seen with 26.1).
_MARGIN = timedelta(seconds=1)


class EngineHealth:
    """Notes each call to the engine; used by several threads.

    A daemon that goes down stops the containers, and what they end with then looks like an end of their own. The last
    call that is known to have come before that is the one that was begun last, of those that were answered.

    Args:
        now: the time by the engine's clock, as nobody set it.

    Attributes:
        unanswered_starts: ids of the containers that the engine was told to start, without an answer by now.
        unanswered_kills: containers, by name or id, and signals that were sent to them, likewise.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._lock = threading.Lock()
        self._last_good = now()
        self._lost_at: datetime | None = None
        self._outages: list[tuple[datetime, datetime]] = []
        self._full_at: datetime | None = None
        self._is_full = False
        self.unanswered_starts: set[str] = set()
        self.unanswered_kills: set[tuple[str, str]] = set()

    def answered(self, begun_at: datetime) -> None:
        """A call that was begun at this time was answered."""
        with self._lock:
            if self._lost_at is not None:
                self._outages.append((self._lost_at, self.now()))
                self._lost_at = None
            self._last_good = max(self._last_good, begun_at)

    def lost(self) -> None:
        """A call was not answered."""
        with self._lock:
            if self._lost_at is None:
                self._lost_at = self._last_good - _MARGIN

    def full(self) -> None:
        """The engine said that it has no space left."""
        with self._lock:
            self._full_at = self.now()
            self._is_full = True

    def had_room(self, begun_at: datetime) -> None:
        """A container was made and started by calls that were begun at this time."""
        with self._lock:
            # What was under way when another one was refused tells nothing.
            if self._is_full and self._full_at is not None and begun_at > self._full_at:
                self._full_at = begun_at
                self._is_full = False

    def was_lost_between(self, first: datetime, last: datetime) -> bool:
        """Whether the engine was out of reach at any time from the first of these to the last, as far as is known."""
        with self._lock:
            if self._lost_at is not None and last >= self._lost_at:
                return True
            return any(begin <= last and first <= end for begin, end in self._outages)

    def was_lost_since(self, moment: datetime) -> bool:
        """Whether the engine was out of reach at this time or later, as far as is known."""
        with self._lock:
            return self._lost_at is not None or any(end >= moment for _, end in self._outages)

    def was_full_since(self, moment: datetime) -> bool:
        """Whether the engine had no space left at this time or later."""
        with self._lock:
            return self._is_full or (self._full_at is not None and self._full_at >= moment)
