"""`events.jsonl`: what happens in a run, one JSON object a line, for programs that read along or afterwards."""

from __future__ import annotations

import os
from pathlib import Path

from dockersched.events import Event
from dockersched.report.document import write_atomically
from dockersched.report.event_document import event_line


class EventLog:
    """Appends events to a file.

    A line is written whole or, when the machine dies meanwhile, torn; a torn last line is dropped when the file is
    opened again.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        _drop_torn_line(path)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def observe(self, event: Event) -> None:
        """Appends an event."""
        self._file.write(event_line(event))

    def close(self) -> None:
        """Makes the file safe on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomically(path, whole)
