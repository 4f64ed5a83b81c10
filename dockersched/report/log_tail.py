"""The end of a task's log, for display."""

from __future__ import annotations

import os
from pathlib import Path

from dockersched.report.text import decode

_BYTES = 64 * 2**10
_LINE_BYTES = 1_000


def log_tail(path: str | os.PathLike[str], lines: int) -> list[str]:
    """The last lines of a task's log, printable; nothing where it cannot be read.

    Args:
        path: of the log.
        lines: how many at most; they come from the last 64 KiB.
    """
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _BYTES))
            found = file.read(_BYTES).removesuffix(b"\n").split(b"\n")
    except OSError:
        return []
    if size > _BYTES and len(found) > 1:
        del found[0]  # its beginning was not read
    return [decode(line.removesuffix(b"\r"), _LINE_BYTES) for line in found[-lines:] if size]
