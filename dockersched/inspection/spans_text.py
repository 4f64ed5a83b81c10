"""What `timeline` says in words: to people, to programs, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dockersched.inspection.documents import HEAD, MAY_GROW, VERSION, run_states
from dockersched.inspection.runs import RunView
from dockersched.inspection.spans import AttemptSpan
from dockersched.report.fields import (
    COUNT,
    FLAG,
    TEXT,
    TIME,
    Field,
    Schema,
    nullable,
    object_schema,
    timestamp,
    values_of,
)
from dockersched.report.phase_fields import DURATIONS, PHASES
from dockersched.report.text import one_line
from dockersched.results import Phases

_ID_MAX = 48
_ROWS_MAX = 60
_NOT_KNOWN = "-"


class _Timeline(NamedTuple):
    run: RunView
    spans: Sequence[AttemptSpan]


def _of_phases(value: Callable[[Phases], object]) -> Callable[[AttemptSpan], object]:
    return lambda span: value(span.phases)


_ATTEMPT: tuple[Field[AttemptSpan], ...] = (
    Field("task", "Id of the task.", TEXT, lambda span: span.task_id),
    *(Field(field.key, field.description, field.schema, _of_phases(field.value)) for field in PHASES),
    Field("outcome", "`succeeded`, the reason of its failure, or `running`.", TEXT, lambda span: span.outcome),
    Field("asked_at", "When its sandbox was asked for, UTC.", TIME, lambda span: timestamp(span.asked_at)),
    Field(
        "started_at",
        "When its process started, by the engine's clock, UTC; null if it never did, or is not known yet.",
        nullable(TIME),
        lambda span: timestamp(span.started_at),
    ),
    Field(
        "ended_at",
        "When it ended, UTC; the present while it runs, and when it was asked for where that is not known.",
        TIME,
        lambda span: timestamp(span.ended_at),
    ),
    Field("slot", "Its row in the picture, from 1.", COUNT, lambda span: span.slot + 1),
    Field("critical", "Whether it is on the critical path.", FLAG, lambda span: span.is_critical),
)
_TIMELINE: tuple[Field[_Timeline], ...] = (
    VERSION,
    Field("run", "Id of the run.", TEXT, lambda timeline: timeline.run.run_id),
    Field("run_state", "Where the run stands, or how it ended.", run_states(), lambda timeline: timeline.run.state),
    Field(
        "attempts",
        "Every attempt, in the order in which they began, but those that were taken over from an earlier run.",
        {"type": "array", "items": object_schema(_ATTEMPT)},
        lambda timeline: [values_of(_ATTEMPT, span) for span in timeline.spans],
    ),
)


def timeline_document(run: RunView, spans: Sequence[AttemptSpan]) -> dict[str, object]:
    """What `timeline` says to programs."""
    return values_of(_TIMELINE, _Timeline(run, spans))


def timeline_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of `timeline --format json`."""
    return {
        **HEAD,
        "title": "Where the time of a dockersched run went",
        "description": MAY_GROW,
        **object_schema(_TIMELINE),
    }


def timeline_lines(spans: Sequence[AttemptSpan]) -> Iterator[str]:
    """What `timeline` says to people: milliseconds in each phase; the number of lines is bounded."""
    rows = [("task", "attempt", "outcome", *DURATIONS), *map(_row, spans[:_ROWS_MAX])]
    rows.append(("all", str(len(spans)), "", *(_cell(_total(value, spans)) for value in DURATIONS.values())))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows[:-1]:
        yield _aligned(row, widths)
    if len(spans) > _ROWS_MAX:
        yield f"… and {len(spans) - _ROWS_MAX:,} more; --format json has them all"
    yield _aligned(rows[-1], widths)
    yield f"milliseconds; {_NOT_KNOWN} is not known"


def _row(span: AttemptSpan) -> tuple[str, ...]:
    durations = (_cell(value(span.phases)) for value in DURATIONS.values())
    return (one_line(span.task_id, _ID_MAX), str(span.number), span.outcome, *durations)


def _total(value: Callable[[Phases], object], spans: Sequence[AttemptSpan]) -> float | None:
    known = [took for span in spans if isinstance(took := value(span.phases), (int, float))]
    return sum(known) if known else None


def _cell(took_ms: object) -> str:
    return f"{took_ms:.1f}" if isinstance(took_ms, (int, float)) else _NOT_KNOWN


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    words, numbers = zip(row[:3], widths[:3], strict=True), zip(row[3:], widths[3:], strict=True)
    return "  ".join([cell.ljust(width) for cell, width in words] + [cell.rjust(width) for cell, width in numbers])
