"""The state directory: where it is, and making it."""

from __future__ import annotations

import os
from pathlib import Path

from dockersched.errors import StateError

DEFAULT_STATE_DIR = ".dockersched"


def open_state_dir(path: str | os.PathLike[str]) -> Path:
    """The state directory as an absolute path, made if need be, and kept out of version control.

    Raises:
        StateError: it cannot be used.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise StateError(
            f"the state directory {folder} cannot be used ({error.strerror}); name another with --state-dir"
        ) from error
    return folder.resolve()


def named_state_dir() -> str:
    """The one that the environment names, or the default."""
    return os.environ.get("DOCKERSCHED_STATE_DIR") or DEFAULT_STATE_DIR
