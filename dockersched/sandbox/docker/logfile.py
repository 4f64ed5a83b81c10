"""Copies a sandbox's output from the engine into a log file: after the exit, bounded, binary-exact but for secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from dockersched.errors import RunnerError, StateError
from dockersched.log import Logger
from dockersched.results import LogSummary
from dockersched.sandbox.docker.streams import FrameDecoder
from dockersched.sandbox.redaction import OutputRedactor, SecretPatterns

log = Logger("logfile")

_HEAD_BYTES = 8_192
_UNSEEN_BYTES = 2**20
# What the engine's `local` driver stores beside the payload of each entry, at the least (protobuf and two lengths).
_ENTRY_OVERHEAD = 24


class CollectedLog(Struct, frozen=True):
    """A sandbox's output without its secrets; sizes are those of what is left.

    Args:
        head: its first bytes.
        unseen: what came after the bytes that were already shown, at most 1 MiB.
        summary: the file; None when none was asked for.
        complete: whether the engine handed out all that it had.
    """

    head: bytes
    unseen: bytes
    summary: LogSummary | None
    complete: bool


def collect(
    chunks: Iterable[bytes], path: Path | None, *, limit_bytes: int, shown_bytes: int, patterns: SecretPatterns
) -> CollectedLog:
    """Writes the engine's multiplexed log to `path`, without its framing and without secrets.

    Args:
        chunks: of the engine's answer.
        path: where to; None keeps only the head and the unseen part.
        limit_bytes: how much the engine keeps, at the least.
        shown_bytes: how much of the output was followed live.
        patterns: what to take out.

    Raises:
        StateError: the file cannot be written.
    """
    try:
        return _copy(chunks, path, limit_bytes=limit_bytes, shown_bytes=shown_bytes, patterns=patterns)
    except OSError as error:
        raise StateError(f"the log file {path} cannot be written: {error.strerror or error}") from error


def _copy(
    chunks: Iterable[bytes], path: Path | None, *, limit_bytes: int, shown_bytes: int, patterns: SecretPatterns
) -> CollectedLog:
    decoder = FrameDecoder()
    output = _Output(decoder, patterns)
    head, unseen = bytearray(), bytearray()
    size = 0
    target = path.open("wb") if path is not None else None
    try:
        for clear in output.pieces(chunks):
            if target is not None:
                target.write(clear)
            head += clear[: _HEAD_BYTES - len(head)]
            start = max(0, shown_bytes - size)
            unseen += clear[start : start + max(0, _UNSEEN_BYTES - len(unseen))]
            size += len(clear)
    finally:
        if target is not None:
            target.close()
    # Once the engine has dropped something, what it still has is the limit or more.
    truncated = shown_bytes > size or decoder.size + decoder.frames * _ENTRY_OVERHEAD >= limit_bytes
    summary = LogSummary(str(path), size, truncated, output.is_complete) if path is not None else None
    return CollectedLog(bytes(head), bytes(unseen), summary, output.is_complete)


class _Output:
    """The engine's answer, taken out of its framing and redacted.

    Attributes:
        is_complete: whether the answer came to its end.
    """

    def __init__(self, decoder: FrameDecoder, patterns: SecretPatterns) -> None:
        self.is_complete = False
        self._decoder = decoder
        self._redactor = OutputRedactor(patterns)

    def pieces(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                yield self._redactor.feed(self._decoder.feed(chunk))
            self.is_complete = self._decoder.is_whole
            if self._decoder.trouble:
                log.warning("logfile.incomplete", error=self._decoder.trouble)
        except RunnerError as error:
            log.warning("logfile.incomplete", error=str(error))
        yield self._redactor.close()
