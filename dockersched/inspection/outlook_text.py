"""What `plan` says: to people, to programs, and its JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dockersched.inspection.documents import HEAD, MAY_GROW, VERSION
from dockersched.inspection.outlook import Basis, Outlook, TaskOutlook
from dockersched.report.fields import COUNT, SECONDS, TEXT, Field, Schema, nullable, object_schema, values_of
from dockersched.report.text import count_of, one_line
from dockersched.units import format_bytes, format_duration

_ID_MAX = 48
_NAMES_MAX = 8
_ROWS_MAX = 60
_NANO = 1e9
_IDS: Schema = {"type": "array", "items": TEXT}

_TASK: tuple[Field[TaskOutlook], ...] = (
    Field("task", "Id of the task.", TEXT, lambda task: task.task_id),
    Field("wave", "1, or one more than the last of those it waits for.", COUNT, lambda task: task.wave),
    Field("start_s", "Seconds from the beginning of the epic to its start.", SECONDS, lambda task: task.span.start_s),
    Field("end_s", "Seconds from the beginning of the epic to its end.", SECONDS, lambda task: task.span.end_s),
    Field("basis", "Where its duration is from.", {"enum": [*Basis]}, lambda task: task.basis),
    Field("cpus", "CPUs that it asks for.", SECONDS, lambda task: task.demand[0] / _NANO),
    Field("memory", "Bytes of memory that it asks for.", COUNT, lambda task: task.demand[1]),
)
_OUTLOOK: tuple[Field[Outlook], ...] = (
    VERSION,
    Field("epic", "Name of the epic.", TEXT, lambda outlook: outlook.epic_id),
    Field("makespan_s", "Seconds that it would take.", SECONDS, lambda outlook: outlook.makespan_s),
    Field(
        "critical_path",
        "Ids along the longest path of expected work.",
        _IDS,
        lambda outlook: list(outlook.critical_path),
    ),
    Field("critical_path_s", "Seconds that the path takes.", SECONDS, lambda outlook: outlook.critical_path_s),
    Field("max_parallel", "Sandboxes side by side.", COUNT, lambda outlook: int(outlook.limits.slots)),
    Field(
        "max_cpus",
        "CPUs of all sandboxes; null where no limit is given, so that none is reckoned with.",
        nullable(SECONDS),
        lambda outlook: outlook.limits.cpus,
    ),
    Field(
        "max_memory",
        "Bytes of memory of all sandboxes; null as with max_cpus.",
        nullable(COUNT),
        lambda outlook: outlook.limits.memory,
    ),
    Field("peak_parallel", "The most sandboxes at any one time.", COUNT, lambda outlook: int(outlook.peak.slots)),
    Field("peak_cpus", "The most CPUs asked for.", SECONDS, lambda outlook: outlook.peak.nano_cpus / _NANO),
    Field("peak_memory", "The most bytes of memory.", COUNT, lambda outlook: int(outlook.peak.memory_bytes)),
    Field("waves", "Ids of the tasks of each wave.", {"type": "array", "items": _IDS}, lambda outlook: outlook.waves),
    Field(
        "tasks",
        "Every task, in the order of starts.",
        {"type": "array", "items": object_schema(_TASK)},
        lambda outlook: [values_of(_TASK, task) for task in outlook.tasks],
    ),
)


def plan_document(outlook: Outlook) -> dict[str, object]:
    """What `plan` says to programs."""
    return values_of(_OUTLOOK, outlook)


def plan_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of `plan --output json`."""
    return {**HEAD, "title": "What an epic would do", "description": MAY_GROW, **object_schema(_OUTLOOK)}


def plan_lines(outlook: Outlook) -> Iterator[str]:
    """What `plan` says to people; the number of lines is bounded."""
    yield f"epic {one_line(outlook.epic_id, _ID_MAX)}: {count_of(len(outlook.tasks), 'task')} in {_waves(outlook)}"
    rows = [("wave", "task", "start", "end", "CPUs", "memory"), *map(_row, outlook.tasks[:_ROWS_MAX])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(outlook.tasks) > _ROWS_MAX:
        yield f"… and {len(outlook.tasks) - _ROWS_MAX:,} more; --output json has them all"
    yield f"takes about {format_duration(outlook.makespan_s)}"
    path = f"{format_duration(outlook.critical_path_s)}: {_path(outlook.critical_path)}"
    yield f"critical path {path}"
    slots, nano_cpus, memory_bytes = outlook.peak
    yield (
        f"at most {int(slots):,} at once, "
        f"with {nano_cpus / _NANO:g} CPUs and {format_bytes(int(memory_bytes))} of memory"
    )
    yield from _assumptions(outlook)


def _assumptions(outlook: Outlook) -> Iterator[str]:
    unknown = outlook.based_on(Basis.ASSUMED)
    if unknown:
        told = "one second each" if len(unknown) == len(outlook.tasks) else "the median of the others"
        yield f"assumed: {told} for {_names(unknown)}: no `expected_duration`, and no earlier run"
    missing = [
        name
        for name, limit in (("--max-cpus", outlook.limits.nano_cpus), ("--max-memory", outlook.limits.memory_bytes))
        if math.isinf(limit)
    ]
    if missing:
        yield f"assumed: an engine that is large enough, without {' and '.join(missing)}"


def _waves(outlook: Outlook) -> str:
    return count_of(max((task.wave for task in outlook.tasks), default=0), "wave")


def _row(task: TaskOutlook) -> tuple[str, ...]:
    return (
        str(task.wave),
        one_line(task.task_id, _ID_MAX),
        format_duration(task.span.start_s),
        format_duration(task.span.end_s),
        f"{task.demand[0] / _NANO:g}",
        format_bytes(task.demand[1]),
    )


def _path(path: Sequence[str]) -> str:
    names = [one_line(task_id, _ID_MAX) for task_id in path]
    if len(names) > _NAMES_MAX:
        names = [*names[: _NAMES_MAX // 2], "…", *names[-_NAMES_MAX // 2 :]]
    return " -> ".join(names)


def _names(task_ids: Sequence[str]) -> str:
    more = len(task_ids) - _NAMES_MAX
    names = ", ".join(one_line(task_id, _ID_MAX) for task_id in task_ids[:_NAMES_MAX])
    return names + (f" and {more:,} more" if more > 0 else "")
