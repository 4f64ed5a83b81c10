"""`events.jsonl`, read by another process: what happened since the epic began, or was gone on with, the last time.

A torn last line is left out: it is being written, or was when the machine died.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from dockersched.errors import StateError
from dockersched.store.decoding import UNREADABLE, reading

FILE_NAME = "events.jsonl"
# What the head of its line says an event is; further behind, the same bytes may be values that a task has written.
_STARTED = re.compile(rb'\{"at":"[^"]*","type":"epic_started"')
_FINISHED = re.compile(rb'\n\{"at":"[^"]*","type":"task_finished"')

Made = TypeVar("Made")


class Launch(msgspec.Struct, frozen=True):
    """How a run began: when, and of which epic."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    epic: str


def read_events(folder: Path, read: Callable[[list[dict[str, Any]]], Made]) -> Made:
    """What is made of the events.

    Args:
        folder: of the run.
        read: makes it, of any part of the events.

    Raises:
        StateError: a line is no event; it is named.
    """
    with reading("the events of a run"):
        content, lines_before = _since_start(folder)
    whole, _, _ = content.rpartition(b"\n")
    try:
        # At once: of a run of 10,000 tasks, line by line takes twice as long. No text holds a line end as it is.
        return read(json.loads(b"[%b]" % whole.replace(b"\n", b",")))
    except UNREADABLE:
        for number, line in enumerate(whole.split(b"\n"), lines_before + 1):
            try:
                read([json.loads(line)])
            except UNREADABLE as error:
                raise StateError(
                    f"{folder / FILE_NAME}:{number}: this line is damaged ({error!r}): remove it; "
                    "the run itself does not need it"
                ) from None
        raise


def last_event(folder: Path, kind: str) -> dict[str, Any] | None:
    """The last event of a type.

    Args:
        folder: of the run.
        kind: the type, as `epic_started`.

    Raises:
        StateError: a line is no event; it is named.
    """
    of_kind = read_events(folder, lambda events: [event for event in events if event["type"] == kind])
    return of_kind[-1] if of_kind else None


def count_finished(folder: Path) -> int:
    """How many tasks of a run are in a final state."""
    content, _ = _since_start(folder)
    return len(_FINISHED.findall(content))


def read_launch(folder: Path) -> Launch | None:
    """How the run began; None where that is not written yet, or cannot be read."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            return msgspec.json.decode(file.readline(), type=Launch)
    except (OSError, msgspec.DecodeError):
        return None


def has_started(folder: Path) -> bool:
    """Whether a run came so far as to start its tasks, by what is in its folder, whatever its database knows."""
    if (folder / "result.json").exists():
        return True
    try:
        with (folder / FILE_NAME).open("rb") as file:
            return any(map(_STARTED.match, file))
    except FileNotFoundError:  # with events, logs tell nothing: a retry takes some over before it is on record
        return any(folder.glob("logs/*"))


def _since_start(folder: Path) -> tuple[bytes, int]:
    """The events as they are in the file, and how many lines are before them."""
    try:
        content = (folder / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return b"", 0
    start = at = len(content)
    # Not since the launch: until who goes on with a run tells of all tasks anew, they stand where they stood.
    while at > 0 and not _STARTED.match(content, start):
        at = max(0, content.rfind(b'"type":"epic_started"', 0, at))
        start = content.rfind(b"\n", 0, at) + 1
    return content[start:], content.count(b"\n", 0, start)
