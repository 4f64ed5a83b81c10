"""Copies a sandbox's output from the engine into a log file: after the exit, binary-exact, bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dockersched.errors import RunnerError, StateError
from dockersched.log import Logger
from dockersched.results import LogSummary
from dockersched.sandbox.docker.streams import FrameDecoder

log = Logger("logfile")

_HEAD_BYTES = 8_192
_UNSEEN_BYTES = 2**20
# What the engine's `local` driver stores beside the payload of each entry, at the least (protobuf and two lengths).
_ENTRY_OVERHEAD = 24


@dataclass(frozen=True, slots=True)
class CollectedLog:
    """A sandbox's output.

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


def collect(chunks: Iterable[bytes], path: Path | None, *, limit_bytes: int, shown_bytes: int) -> CollectedLog:
    """Writes the engine's multiplexed log to `path`, without its framing.

    Args:
        chunks: of the engine's answer.
        path: where to; None keeps only the head and the unseen part.
        limit_bytes: how much the engine keeps, at the least.
        shown_bytes: how much of the output was followed live.

    Raises:
        StateError: the file cannot be written.
    """
    try:
        return _copy(chunks, path, limit_bytes=limit_bytes, shown_bytes=shown_bytes)
    except OSError as error:
        raise StateError(f"the log file {path} cannot be written: {error.strerror or error}") from error


def _copy(chunks: Iterable[bytes], path: Path | None, *, limit_bytes: int, shown_bytes: int) -> CollectedLog:
    decoder = FrameDecoder()
    head, unseen = bytearray(), bytearray()
    size, complete = 0, True
    target = path.open("wb") if path is not None else None
    try:
        for payload in _until_cut(chunks, decoder):
            if target is not None:
                target.write(payload)
            head += payload[: _HEAD_BYTES - len(head)]
            start = max(0, shown_bytes - size)
            unseen += payload[start : start + max(0, _UNSEEN_BYTES - len(unseen))]
            size += len(payload)
    except RunnerError as error:
        log.warning("logfile.incomplete", path=str(path), error=str(error))
        complete = False
    finally:
        if target is not None:
            target.close()
    # Once the engine has dropped something, what it still has is the limit or more.
    truncated = shown_bytes > size or size + decoder.frames * _ENTRY_OVERHEAD >= limit_bytes
    complete = complete and decoder.is_between_frames
    summary = LogSummary(str(path), size, truncated, complete) if path is not None else None
    return CollectedLog(bytes(head), bytes(unseen), summary, complete)


def _until_cut(chunks: Iterable[bytes], decoder: FrameDecoder) -> Iterator[bytes]:
    for chunk in chunks:
        yield from decoder.feed(chunk)
