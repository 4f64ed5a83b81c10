"""`events.jsonl`: what happens in a run, one JSON object a line, for programs that read along or afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dockersched.errors import StateError
from dockersched.events import Event
from dockersched.report.event_document import event_line
from dockersched.report.files import write_atomically


class EventLog:
    """Appends events to a file.

    A line is written whole or, when the machine dies meanwhile, torn; a torn last line is dropped when the file is
    opened again.

    Args:
        path: the file; its folder exists.
        on_failure: told once when an event cannot be written; no more are.
    """

    def __init__(self, path: Path, on_failure: Callable[[StateError], None]) -> None:
        self._path = path
        self._on_failure = on_failure
        self._failed = False
        _drop_torn_line(path)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def observe(self, event: Event) -> None:
        """Appends an event."""
        if not self._failed:
            self._guarded(lambda: self._file.write(event_line(event)))

    def sync(self) -> None:
        """Makes the file safe on disk."""
        if not self._failed:
            self._guarded(lambda: os.fsync(self._file.fileno()))

    def close(self) -> None:
        """Makes the file safe on disk, and lets go of it."""
        self.sync()
        with suppress(OSError):  # what could not be written is tried again, and was told already
            self._file.close()

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            self._failed = True
            self._on_failure(StateError(f"the file {self._path} cannot be written: {error.strerror or error}"))


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomically(path, [whole])
