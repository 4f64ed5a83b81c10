"""The state directory: where it is, and making it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dockersched.errors import StateError

DEFAULT_STATE_DIR = ".dockersched"
RUNS = "runs"


def open_state_dir(path: str | os.PathLike[str]) -> Path:
    """The state directory as an absolute path, made if need be, and kept out of version control.

    Raises:
        StateError: it cannot be used.
    """
    folder = Path(path)
    with _usable(path):
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    return folder.resolve()


def find_state_dir(path: str | os.PathLike[str]) -> Path:
    """The state directory as an absolute path, which need not be there.

    Raises:
        StateError: nothing can be there.
    """
    with _usable(path), suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 - only this tells of links in a circle
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return Path(path).resolve()


def where_it_is(state_dir: Path, recorded: str) -> Path:
    """Where a file on record is, or was: paths there are from the root, and a state directory may be moved."""
    path = Path(recorded)
    if not os.path.lexists(path):
        below = [state_dir.joinpath(*path.parts[at:]) for at, part in enumerate(path.parts) if part == RUNS]
        return next((there for there in below if os.path.lexists(there)), path)
    return path


@contextmanager
def _usable(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(
            f"the state directory {os.fspath(path)} cannot be used ({error.strerror}); name another with --state-dir"
        ) from error


def named_state_dir() -> str:
    """The one that the environment names, or the default."""
    return os.environ.get("DOCKERSCHED_STATE_DIR") or DEFAULT_STATE_DIR
