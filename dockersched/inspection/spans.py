"""When the attempts of a run had their sandboxes, from what is on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush

from dockersched.inspection.runs import RunView
from dockersched.store.reader import StateReader


@dataclass(frozen=True, slots=True)
class AttemptSpan:
    """An attempt in time; all times are UTC.

    Args:
        task_id: of the task.
        number: of the attempt, as on the engine.
        queued_at: when the last of its dependencies had ended, or the run began; None after the first attempt.
        asked_at: when its sandbox was asked for.
        started_at: when its process started, by the engine's clock; None if it never did, or is not known yet.
        ended_at: when it ended; the present for one that runs, and when it was asked for where nobody knows.
        outcome: `succeeded`, its reason, or `running`.
        slot: row in which it is shown, from 0; no two attempts of a row overlap.
        is_critical: the run could not have ended earlier without it.
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


def read_spans(reader: StateReader, run: RunView, now: datetime) -> list[AttemptSpan]:
    """All attempts of a run in the order in which they began, but those that were taken over from an earlier run.

    Args:
        reader: of the state directory.
        run: which one.
        now: the present, for what runs.
    """
    needs, rows = reader.dependencies(run.run_id), reader.attempt_times(run.run_id)
    began = _time(run.started_at) or now
    found = []
    for task_id, number, asked, started, ended, outcome in rows:
        asked_at, started_at = _time(asked) or began, _time(started)
        if started_at is not None and started_at < began:
            continue  # taken over
        ended_at = _time(ended) or (asked_at if outcome or run.pid is None else now)
        found.append(
            (min(asked_at, started_at or asked_at), max(ended_at, asked_at), task_id, number, started_at, outcome)
        )
    found.sort(key=lambda attempt: attempt[0])
    ends: dict[str, datetime] = {}
    for _, ended_at, task_id, *_ in found:
        ends[task_id] = max(ended_at, ends.get(task_id, ended_at))
    critical = _critical_path(needs, ends)
    slots = _slots([(asked_at, ended_at) for asked_at, ended_at, *_ in found])
    return [
        AttemptSpan(
            task_id,
            number,
            max([began, *(ends[other] for other in needs.get(task_id, ()) if other in ends)]) if number == 1 else None,
            asked_at,
            started_at,
            ended_at,
            outcome or "running",
            slot,
            task_id in critical,
        )
        for (asked_at, ended_at, task_id, number, started_at, outcome), slot in zip(found, slots, strict=True)
    ]


def _critical_path(needs: Mapping[str, Sequence[str]], ends: Mapping[str, datetime]) -> set[str]:
    """From the task that ended last back along the dependency that each had to wait for longest."""
    path: set[str] = set()
    candidates = list(ends)
    while candidates:
        last = max(candidates, key=ends.__getitem__)
        path.add(last)
        candidates = [other for other in needs.get(last, ()) if other in ends]
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


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
