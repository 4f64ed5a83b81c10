"""Files that are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import fcntl
import filecmp
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp-"
"""What the names of unfinished files begin with; what a crash leaves of them, garbage collection removes."""


class Durable:
    """A file that is being written under a temporary name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = folder / f"{TEMPORARY}{secrets.token_hex(8)}"
        self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes | memoryview) -> None:
        """Appends all of the data."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def publish(self, name: str, mode: int = 0o444) -> Path:
        """Gives the file its name, once its content is safe on disk; a file that has name and content already stays.

        Its time becomes now, which tells garbage collection that it is wanted.
        """
        path = self._folder / name
        with suppress(OSError):  # what cannot be read is replaced, as is what is damaged
            # The temporary name is new, so there is no earlier answer to this in the cache of filecmp.
            if filecmp.cmp(path, self._temporary, shallow=False):
                os.utime(path)
                return path
        os.fchmod(self._descriptor, mode)
        os.fsync(self._descriptor)
        self._temporary.rename(path)
        sync_directory(self._folder)
        return path

    def close(self) -> None:
        """Ends the writing; a file that was not published is gone."""
        os.close(self._descriptor)
        self._temporary.unlink(missing_ok=True)


@contextmanager
def replace_durably(folder: Path) -> Iterator[Durable]:
    """A new file in a folder, which is made if need be; gone after the block unless it was published."""
    folder.mkdir(parents=True, exist_ok=True)
    file = Durable(folder)
    try:
        yield file
    finally:
        file.close()


def locked_shared(root: Path) -> AbstractContextManager[None]:
    """Nothing is removed from a content store during the block; any number of processes may add to it."""
    return _locked(root, fcntl.LOCK_SH)


def locked_alone(root: Path) -> AbstractContextManager[None]:
    """Nobody adds to a content store, or removes from it, during the block."""
    return _locked(root, fcntl.LOCK_EX)


@contextmanager
def _locked(root: Path, how: int) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def sync_directory(folder: Path) -> None:
    """Makes the names in a directory safe on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
