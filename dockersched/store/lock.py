"""Who owns a run, or begins one of an epic: kernel locks that end with their process, however that ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import repeat
from pathlib import Path

from dockersched.errors import RunOwnedError

# Whoever looks for the owner holds the lock for a moment, shared, which must not look like an owner.
_TRIES = 5
_PAUSE_S = 0.02

BESIDE_REMEDY = "wait for it, cancel it, or start another with --new (in Python, new=True)"

_held: set[int] = set()


@contextmanager
def own_run(run_dir: Path) -> Iterator[None]:
    """Owns a run while the block runs.

    Raises:
        RunOwnedError: another process owns it; it is named. Or one has removed it meanwhile.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with _opened(run_dir / "owner.lock", os.O_RDWR | os.O_CREAT) as descriptor:
        if not any(map(_owned, repeat(descriptor, _TRIES))):
            raise RunOwnedError(run_dir.name, _pid(descriptor))
        if os.fstat(descriptor).st_nlink == 0:
            raise RunOwnedError(run_dir.name, 0, "it was just being removed; try again")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield


@contextmanager
def claim_epic(state_dir: Path, epic_id: str, run_id: str) -> Iterator[None]:
    """While the block runs, no other run of the epic may begin: whether one may is decided before anybody hears of it.

    Raises:
        RunOwnedError: another one begins; its process is named.
    """
    path = state_dir / f".begins-{hashlib.sha256(epic_id.encode()).hexdigest()[:32]}.lock"
    while True:
        with _opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
            if not any(map(_owned, repeat(descriptor, _TRIES))):
                other, _, pid = os.pread(descriptor, 512, 0).decode().partition(" ")
                raise RunOwnedError(other or f"of {epic_id!r}", int(pid or 0), BESIDE_REMEDY)
            if os.fstat(descriptor).st_nlink == 0:  # the last one has removed it meanwhile
                continue
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{run_id} {os.getpid()}".encode(), 0)
            try:
                yield
            finally:
                if descriptor in _held:
                    with suppress(OSError):
                        path.unlink()
            return


def owner_of(run_dir: Path) -> int | None:
    """The pid of the process that owns a run; None when none does. 0 when it is not known."""
    with _looking(run_dir) as descriptor:
        return None if descriptor is None or _locked(descriptor, fcntl.LOCK_SH) else _pid(descriptor)


def wait_for_owner(run_dir: Path) -> None:
    """Blocks until no process owns a run, without asking again and again."""
    with _looking(run_dir) as descriptor:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH)


@contextmanager
def _looking(run_dir: Path) -> Iterator[int | None]:
    with ExitStack() as opened:
        try:
            descriptor = opened.enter_context(_opened(run_dir / "owner.lock", os.O_RDONLY))
        except FileNotFoundError:
            descriptor = None
        yield descriptor


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor that can be locked; the lock ends with the block, whatever processes were forked meanwhile."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    _held.add(descriptor)
    try:
        yield descriptor
    finally:
        if descriptor in _held:  # else this is a child, and the lock its parent's
            _held.discard(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _close_copies() -> None:
    """A lock lasts as long as any copy of its descriptor, and a worker process may outlive the run, or its owner."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_copies)


def _owned(descriptor: int) -> bool:
    if _locked(descriptor, fcntl.LOCK_EX):
        return True
    time.sleep(_PAUSE_S)
    return False


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
