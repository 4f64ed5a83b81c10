"""When the attempts of a run had their sandboxes, from what is on record."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dockersched.inspection.runs import RunView
from dockersched.results import Phases
from dockersched.store.decoding import UNREADABLE, decoding
from dockersched.store.reader import AttemptTimes, StateReader


class AttemptSpan(Struct, frozen=True):
    """An attempt in time; all times are UTC.

    Args:
        task_id: of the task.
        number: of the attempt, as on the engine.
        queued_at: when the last of what it waits for had ended, or the run began; None after the first attempt.
        asked_at: when its sandbox was asked for.
        started_at: when its process started, by the engine's clock; None if it never did, or is not known yet.
        ended_at: when it ended; the present for one that runs, and when it was asked for where nobody knows.
        outcome: `succeeded`, its reason, or `running`.
        slot: row in which it is shown, from 0; no two attempts of a row overlap.
        is_critical: the run could not have ended earlier without it.
        phases: where its time went.
    """

    task_id: str
    number: int
    queued_at: datetime | None
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime
    outcome: str
    slot: int
    is_critical: bool
    phases: Phases


class _Removal(Struct):
    attempt: int
    remove_ms: float | None


class _Task(Struct):
    phases: list[_Removal] = []  # an earlier version did not tell it


class _Document(Struct):
    tasks: dict[str, _Task]


def read_spans(reader: StateReader, run: RunView, now: datetime) -> list[AttemptSpan]:
    """All attempts of a run in the order in which they began, but those that were taken over from an earlier run.

    Args:
        reader: of the state directory.
        run: which one.
        now: the present, for what runs.
    """
    needs, rows = reader.dependencies(run.run_id), reader.attempt_times(run.run_id)
    began = datetime.fromisoformat(run.started_at) if run.started_at else now
    found = []
    for row in rows:
        asked_at, started_at = row.intended_at.astimezone(UTC), _utc(row.started_at)
        ended_at = _utc(row.finished_at) or (asked_at if row.outcome or run.pid is None else now)
        found.append((min(asked_at, started_at or asked_at), max(ended_at, asked_at), started_at, row))
    found.sort(key=lambda attempt: attempt[0])
    ends: dict[str, datetime] = {}
    for _, ended_at, _, row in found:
        ends[row.task_id] = max(ended_at, ends.get(row.task_id, ended_at))
    removed_ms = _removed_ms(run.folder)
    waited_for = _waited_for(needs, reader.at_end(run.run_id), ends)
    critical = _critical_path(waited_for, ends)
    slots = _slots([(asked_at, ended_at) for asked_at, ended_at, *_ in found])
    return [
        AttemptSpan(
            row.task_id,
            row.number,
            max([began, *(ends[other] for other in waited_for[row.task_id])]) if row.number == 1 else None,
            asked_at,
            started_at,
            ended_at,
            row.outcome or "running",
            slot,
            row.task_id in critical,
            _phases(row, removed_ms),
        )
        for (asked_at, ended_at, started_at, row), slot in zip(found, slots, strict=True)
    ]


def _phases(row: AttemptTimes, removed_ms: Mapping[tuple[str, int], float]) -> Phases:
    with decoding(f"attempt {row.number} of task {row.task_id!r} in the state database"):
        phases = msgspec.json.decode(row.phases, type=Phases) if row.phases else Phases(row.number)
    return replace(phases, remove_ms=removed_ms.get((row.task_id, row.number), phases.remove_ms))


def _removed_ms(folder: Path) -> dict[tuple[str, int], float]:
    """How long removals took, by task and attempt: they come after the records, so only the run's result tells."""
    try:
        document = msgspec.json.decode((folder / "result.json").read_bytes(), type=_Document)
    except (OSError, *UNREADABLE):  # gone, or damaged
        return {}
    return {
        (task_id, phases.attempt): phases.remove_ms
        for task_id, task in document.tasks.items()
        for phases in task.phases
        if phases.remove_ms is not None
    }


def _waited_for(
    needs: Mapping[str, Sequence[str]], at_end: Container[str], ends: Mapping[str, datetime]
) -> dict[str, list[str]]:
    """What each task had to wait for; the first ones at the end for the main task that ended last."""
    mains = [task_id for task_id in ends if task_id not in at_end]
    last = sorted(mains, key=ends.__getitem__)[-1:]
    found = {}
    for task_id in ends:
        is_at_end = task_id in at_end
        needed = [other for other in needs.get(task_id, ()) if other in ends and (other in at_end) == is_at_end]
        found[task_id] = needed or (last if is_at_end else [])
    return found


def _critical_path(waited_for: Mapping[str, Sequence[str]], ends: Mapping[str, datetime]) -> set[str]:
    """From the task that ended last back along what each had to wait for longest."""
    path: set[str] = set()
    candidates = list(ends)
    while candidates:
        last = max(candidates, key=ends.__getitem__)
        path.add(last)
        candidates = list(waited_for[last])
    return path


def _slots(spans: Sequence[tuple[datetime, datetime]]) -> list[int]:
    """The lowest free row for each span, given by their beginnings."""
    free: list[int] = []
    taken: list[tuple[datetime, int]] = []
    slots: list[int] = []
    for begin, end in spans:
        while taken and taken[0][0] <= begin:
            heappush(free, heappop(taken)[1])
        slots.append(heappop(free) if free else len(taken))
        heappush(taken, (end, slots[-1]))
    return slots


def _utc(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC) if at else None
