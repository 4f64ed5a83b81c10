"""The runs of a state directory, as another process sees them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from dockersched.errors import StateError
from dockersched.graph.problems import suggestion
from dockersched.inspection.recorded_events import count_finished, has_started, read_launch
from dockersched.report.fields import timestamp
from dockersched.store.decoding import reading
from dockersched.store.lock import owner_of
from dockersched.store.reader import StateReader

LAST = "last"
"""Stands for the newest run."""

_NAMED_MAX = 5


class OpenState(StrEnum):
    """Where a run stands that has not ended; one that has is in an `EpicState`."""

    PREPARING = "preparing"
    """A process owns it and gets its images ready; its tasks are not on record yet."""
    RUNNING = "running"
    """A process owns it."""
    UNFINISHED = "unfinished"
    """Its process is gone: it can be resumed or cancelled."""
    NOT_STARTED = "not_started"
    """Its process is gone, and never came so far as to start a task: there is nothing to resume."""
    UNRECORDED = "unrecorded"
    """Its process is gone, and it came to start tasks, but the database does not know it, as after its loss."""


class RunView(Struct, frozen=True):
    """A run, seen from outside.

    Args:
        run_id, epic_id: which one; a run that was cut off at its very beginning has no epic.
        state: an `OpenState` or an `EpicState`.
        exit_code: of the program that ran it; None while it has not ended.
        pid: of the process that owns it; None without one, 0 when it is not known.
        started_at, finished_at: wall clock, as documents have times.
        tasks_done, task_count: tasks in a final state, and all of them.
        folder: with its files.
    """

    run_id: str
    epic_id: str | None
    state: str
    exit_code: int | None
    pid: int | None
    started_at: str | None
    finished_at: str | None
    tasks_done: int
    task_count: int
    folder: Path

    @property
    def has_ended(self) -> bool:
        """Whether it ended as a run should, with a result."""
        return self.exit_code is not None

    @property
    def is_lost(self) -> bool:
        """Whether its process is gone and nothing of it is on record."""
        return self.state in {OpenState.NOT_STARTED, OpenState.UNRECORDED}


def list_runs(reader: StateReader, damaged: Callable[[str], None]) -> list[RunView]:
    """All runs, the newest first.

    Args:
        reader: of the state directory.
        damaged: is told in words of each run that cannot be read; it is left out.
    """
    views = []
    for run_id in _known(reader):
        try:
            views.append(_view(reader, run_id))
        except StateError as error:
            damaged(f"run {run_id} is left out: {error}")
    return views


def find_run(reader: StateReader, reference: str) -> RunView:
    """The run that is meant.

    Args:
        reader: of the state directory.
        reference: a run's id, the beginning of only one run's id, or `last`.

    Raises:
        StateError: no run, or more than one, is meant.
    """
    return _view(reader, resolve_run_id(reader, reference))


def resolve_run_id(reader: StateReader, reference: str) -> str:
    """The id of the run that is meant.

    Raises:
        StateError: no run, or more than one, is meant.
    """
    known = _known(reader)
    if not known:
        raise StateError(f"there is no run {reference!r} in {reader.state_dir}: it has no runs yet")
    if reference in known:
        return reference
    if reference == LAST:
        return known[0]
    found = [run_id for run_id in known if reference and run_id.startswith(reference)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(found[:_NAMED_MAX]) + (", …" if len(found) > _NAMED_MAX else "")
        raise StateError(f"{reference!r} is the beginning of {len(found)} runs ({names}): write more of it")
    hint = suggestion(reference, [*known, LAST]) or "; `dockersched ps` lists all"
    raise StateError(f"there is no run {reference!r} in {reader.state_dir}{hint}")


def _known(reader: StateReader) -> list[str]:
    """Every run on record, and every one that has only a folder yet; the newest first."""
    began = reader.run_times()
    for lock in reader.state_dir.glob("runs/*/owner.lock"):
        run_id = lock.parent.name
        if run_id in began:
            continue
        with suppress(FileNotFoundError):  # `gc` has just removed it
            launch = read_launch(lock.parent)
            # Whoever comes to own a run writes its lock, just before it tells of the launch.
            at = launch.at if launch else datetime.fromtimestamp(lock.lstat().st_mtime, UTC)
            began[run_id] = at.isoformat()
    return sorted(began, key=lambda run_id: (began[run_id], run_id), reverse=True)


def _view(reader: StateReader, run_id: str) -> RunView:
    with reading(f"run {run_id}"):
        return _as_found(reader, run_id)


def _as_found(reader: StateReader, run_id: str) -> RunView:
    folder = reader.run_dir(run_id)
    recorded = reader.run(run_id)
    pid = None
    if recorded is None or recorded.state is None:
        pid = owner_of(folder)
        # The owner lets go after it has put the end on record: only what is read now tells whether it has.
        recorded = reader.run(run_id)
    if recorded is None:
        return _unrecorded(run_id, pid, folder)
    is_open = recorded.state is None
    return RunView(
        run_id,
        recorded.epic_id,
        recorded.state or (OpenState.UNFINISHED if pid is None else OpenState.RUNNING),
        recorded.exit_code,
        pid if is_open else None,
        timestamp(recorded.created_at),
        None if is_open or recorded.finished_at is None else timestamp(recorded.finished_at),
        count_finished(folder) if is_open else recorded.task_count,
        recorded.task_count,
        folder,
    )


def _unrecorded(run_id: str, pid: int | None, folder: Path) -> RunView:
    launch = read_launch(folder)
    epic_id, began = (launch.epic, timestamp(launch.at)) if launch else (None, None)
    ended = OpenState.UNRECORDED if has_started(folder) else OpenState.NOT_STARTED
    state = ended if pid is None else OpenState.PREPARING
    return RunView(run_id, epic_id, state, None, pid, began, None, 0, 0, folder)
