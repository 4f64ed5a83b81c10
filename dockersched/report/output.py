"""Chunks of a task's output cut into lines for display, bounded."""

from __future__ import annotations

from dockersched.report.text import decode
from dockersched.report.wording import path_words
from dockersched.units import format_bytes

LINE_LIMIT_BYTES = 8 * 2**10
TASK_LIMIT = 2**20
"""Characters displayed of the output of one attempt, its prefixes included."""


class OutputLines:
    """The output of one attempt on its way to the display: whole lines only, until it has shown enough.

    Args:
        prefix: written before every line.
    """

    __slots__ = ("_line_is_cut", "_partial", "_prefix", "_shown", "_skipped_bytes")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._partial = bytearray()
        self._line_is_cut = False
        self._shown = 0
        self._skipped_bytes = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that this chunk completes."""
        lines: list[str] = []
        start = 0
        while start < len(data):
            if self._shown >= TASK_LIMIT:
                return lines + self._stop(len(data) - start)
            newline = data.find(b"\n", start)
            end = len(data) if newline < 0 else newline
            lines += self._extend(data[start:end])
            if newline >= 0:
                lines += self._complete()
            start = end + 1
        return lines

    def skip(self, size: int) -> list[str]:
        """Takes note of output that the display had no time for."""
        lines = self._flush()
        self._skipped_bytes += size
        return [*lines, f"{self._prefix}… {format_bytes(size)} left out here, this display is too slow"]

    def end(self, log: str | None) -> list[str]:
        """What is left when the attempt has ended, and what was left out; `log` is where all of it is."""
        lines = self._flush()
        if self._skipped_bytes:
            where = f" in {path_words(log)}" if log else ", not shown"
            lines.append(f"{self._prefix}… {format_bytes(self._skipped_bytes)} more output{where}")
        return lines

    def _extend(self, data: bytes) -> list[str]:
        if self._line_is_cut:
            return []
        # A few bytes beyond the limit tell that the line is too long, and where its last character ends.
        self._partial += data[: LINE_LIMIT_BYTES + 4 - len(self._partial)]
        if len(self._partial) <= LINE_LIMIT_BYTES:
            return []
        lines = self._complete()
        self._line_is_cut = True
        return lines

    def _complete(self) -> list[str]:
        if self._line_is_cut:
            self._line_is_cut = False
            return []
        line = self._prefix + decode(bytes(self._partial).removesuffix(b"\r"), LINE_LIMIT_BYTES)
        self._partial.clear()
        self._shown += len(line)
        return [line]

    def _flush(self) -> list[str]:
        return self._complete() if self._partial else []

    def _stop(self, size: int) -> list[str]:
        first = self._skipped_bytes == 0
        self._skipped_bytes += size
        return [f"{self._prefix}… enough is shown; what follows goes to the log only"] if first else []
