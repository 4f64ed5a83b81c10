"""What is on record and cannot be understood, as an error that says what helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dockersched.errors import StateError


@contextmanager
def decoding(what: str = "a record in the state database") -> Iterator[None]:
    """Makes a `StateError` of what a damaged record leads to in the block.

    Args:
        what: is read.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateError(
            f"{what} cannot be read ({error!r}): "
            "move the database away to start anew, or name another directory with --state-dir"
        ) from error
