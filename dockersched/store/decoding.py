"""What is on record and cannot be understood, as an error that says what helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dockersched.errors import StateError

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading something damaged can lead to; the last by text that is nested too deeply."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Makes a `StateError` of what keeps files of a run from being read in the block.

    Args:
        what: is read.
    """
    try:
        yield
    except OSError as error:
        raise StateError(f"{what} cannot be read ({error.strerror or error}): {error.filename or 'a file'}") from error


@contextmanager
def decoding(what: str = "a record in the state database") -> Iterator[None]:
    """Makes a `StateError` of what a damaged record leads to in the block.

    Args:
        what: is read.
    """
    try:
        yield
    except UNREADABLE as error:
        raise StateError(
            f"{what} cannot be read ({error!r}): "
            "move the database away to start anew, or name another directory with --state-dir"
        ) from error
