"""What stands in a run's way, told in words that help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockersched.errors import RunOwnedError, StateError, UnfinishedRunError
from dockersched.store.database import StateStore
from dockersched.store.lock import BESIDE_REMEDY, owner_of


@contextmanager
def naming_owner(store: StateStore) -> Iterator[None]:
    """An unfinished run of the same epic has an owner, who can be waited for, or none."""
    try:
        yield
    except UnfinishedRunError as error:
        owner = owner_of(store.run_dir(error.run_id))
        if owner is None:
            raise
        raise RunOwnedError(error.run_id, owner, BESIDE_REMEDY) from error


@contextmanager
def writing(run_dir: Path) -> Iterator[None]:
    """What is wrong with the run's folder is told as such; the engine's troubles have types of their own."""
    try:
        yield
    except BrokenPipeError:  # nobody reads what is shown
        raise
    except OSError as error:
        raise StateError(f"{error.filename or run_dir} cannot be written: {error.strerror or error}") from error
