"""`--output jsonl`: events on stdout as they happen, one JSON object a line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TextIO

from dockersched.events import Event
from dockersched.report.event_document import event_line
from dockersched.report.stream import Stream


class EventStream:
    """Writes each event at once, from a thread of its own: a slow reader costs the run nothing and misses nothing.

    Args:
        out: gets the lines.
        clean: is given each line, and gives what is written.
    """

    def __init__(self, out: TextIO, clean: Callable[[str], str] | None = None) -> None:
        self._out = Stream(out, clean)
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        # A daemon: a reader that never reads must not keep the program from ending on a signal.
        self._thread = threading.Thread(target=self._write, name="dockersched-events", daemon=True)
        self._thread.start()

    def observe(self, event: Event) -> None:
        """Takes in an event; returns at once."""
        self._events.put(event)

    def close(self) -> None:
        """Waits until every event is written, or cannot be."""
        self._events.put(None)
        self._thread.join()

    def check(self) -> None:
        """Tells whoever must know whether all was written.

        Raises:
            OSError: it was not; a `BrokenPipeError` where the reader has hung up.
        """
        self._out.check()

    def _write(self) -> None:
        while not self._out.gone and (event := self._events.get()) is not None:
            self._out.write(event_line(event))
