"""`events.jsonl`: what happens in a run, one JSON object a line, for programs that read along or afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dockersched.events import EpicFinished, EpicStarted, Event, TaskFinished, TaskRetrying, TaskStarted
from dockersched.report.document import task_values, timestamp, write_atomically


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
        self._file.write(json.dumps(event_document(event), separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Makes the file safe on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def event_document(event: Event) -> dict[str, Any]:
    """An event as `events.jsonl` has it: `type`, `at` (UTC), and its own fields."""
    fields: dict[str, Any]
    match event:
        case EpicStarted():
            fields = {
                "type": "epic_started",
                "epic": event.epic_id,
                "run": event.run_id,
                "tasks": list(event.task_ids),
            }
        case TaskStarted():
            fields = {
                "type": "task_started",
                "task": event.task_id,
                "sandbox": event.sandbox_id,
                "attempt": event.attempt,
            }
        case TaskRetrying():
            fields = {
                "type": "task_retrying",
                "task": event.task_id,
                "attempt": event.attempt,
                "pause_s": event.pause_s,
                "reason": event.sandbox.reason,
                "exit_code": event.sandbox.exit_code,
                "detail": event.sandbox.detail,
            }
        case TaskFinished():
            fields = {"type": "task_finished", "task": event.result.task_id, **task_values(event.result)}
        case EpicFinished():
            fields = {
                "type": "epic_finished",
                "state": str(event.result.state),
                "root_causes": event.result.root_cause_ids,
            }
    return {"at": timestamp(event.at), **fields}


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomically(path, whole)
