"""The end of a run for a person: every task in a table, every root cause with the end of its log."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from dockersched.report.log_tail import log_tail
from dockersched.report.text import Paint, one_line
from dockersched.report.wording import STATE_STYLES, duration_words, path_words, reason_sentence, reason_words
from dockersched.states import EpicState, Reason, TaskState
from dockersched.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dockersched.results import EpicResult, LogSummary, TaskResult

_ROWS_PER_STATE = 40
_CAUSES_MAX = 10
_OPENINGS_MAX = 20
_NAMES_MAX = 8
_ID_MAX = 48
_TAIL_LINES = 10
_HEADERS = ("task", "state", "reason", "duration", "attempts")
_ENDINGS = {EpicState.TIMED_OUT: " timed out", EpicState.CANCELLED: " was cancelled"}


def summary_lines(result: EpicResult, paint: Paint, result_path: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """The lines of the summary; their number is bounded, however many tasks there are.

    Args:
        result: of the run.
        paint: colours.
        result_path: where `result.json` is, to be told.
    """
    yield from _table(list(result.tasks.values()), paint)
    waiting = never_started_by_cause(result.tasks.values())
    causes = result.root_cause_ids
    for task_id in causes[:_CAUSES_MAX]:
        yield ""
        yield from _root_cause(result.tasks[task_id], waiting.get(task_id, []), paint)
    if len(causes) > _CAUSES_MAX:
        yield ""
        yield f"… and {len(causes) - _CAUSES_MAX:,} more failed tasks"
    yield ""
    yield from _openings(result, paint)
    yield _last_line(result, paint, result_path)


def _table(tasks: Sequence[TaskResult], paint: Paint) -> Iterator[str]:
    seen: Counter[TaskState] = Counter()
    shown: list[TaskResult] = []
    for task in tasks:
        seen[task.state] += 1
        if seen[task.state] <= _ROWS_PER_STATE:
            shown.append(task)
    rows = [_row(task) for task in shown]
    widths = [max(map(len, column)) for column in zip(_HEADERS, *rows, strict=True)]
    yield paint(_aligned(_HEADERS, widths), "bold")
    for task, row in zip(shown, rows, strict=True):
        line = _aligned(row, widths)
        state_at = widths[0] + 2
        state = paint(row[1], STATE_STYLES.get(task.state, "dim"))
        name = paint.task(line[: widths[0]], task.task_id)
        yield f"{name}  {state}{line[state_at + len(row[1]) :]}".rstrip()
    for state, count in seen.items():
        if count > _ROWS_PER_STATE:
            yield f"… and {count - _ROWS_PER_STATE:,} more {state}"


def _row(task: TaskResult) -> tuple[str, ...]:
    attempts = str(task.attempts) if task.attempts else ""
    return (
        one_line(task.task_id, _ID_MAX),
        str(task.state),
        reason_words(task),
        duration_words(task),
        attempts,
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:3], widths, strict=False)]
    right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join([*left, *right])


def _root_cause(task: TaskResult, never_started: Sequence[str], paint: Paint) -> Iterator[str]:
    name = one_line(task.task_id, _ID_MAX)
    yield f"{paint(name, 'bold', 'red')}: {reason_sentence(task)}"
    if task.detail and task.reason is not Reason.EXIT_CODE:
        yield f"  {paint('|', 'dim')} {one_line(task.detail)}"  # it may quote the task
    log = task.sandbox.log if task.sandbox else None
    if log is not None:
        yield from _log(log, paint)
    if never_started:
        names = ", ".join(one_line(task_id, _ID_MAX) for task_id in never_started[:_NAMES_MAX])
        more = len(never_started) - _NAMES_MAX
        yield f"  never started because of it: {names}{f' and {more:,} more' if more > 0 else ''}"


def _openings(result: EpicResult, paint: Paint) -> Iterator[str]:
    openings = result.openings
    for opening, task_ids in list(openings.items())[:_OPENINGS_MAX]:
        names = ", ".join(one_line(task_id, _ID_MAX) for task_id in task_ids[:_NAMES_MAX])
        more = len(task_ids) - _NAMES_MAX
        yield f"{paint('opened', 'yellow')} {one_line(opening)}: {names}{f' and {more:,} more' if more > 0 else ''}"
    if len(openings) > _OPENINGS_MAX:
        yield f"… and {len(openings) - _OPENINGS_MAX:,} more openings"


def _log(log: LogSummary, paint: Paint) -> Iterator[str]:
    path = path_words(log.path)
    tail = log_tail(log.path, _TAIL_LINES) if log.size_bytes else []
    if not tail:
        yield f"  it wrote nothing · log: {path}" if log.size_bytes == 0 else f"  log: {path}"
        return
    yield f"  the end of its log, {path}:"
    for line in tail:
        yield f"  {paint('|', 'dim')} {line}"


def never_started_by_cause(tasks: Iterable[TaskResult]) -> dict[str, list[str]]:
    """The tasks that never started, by the task that this is due to."""
    by_cause: defaultdict[str, list[str]] = defaultdict(list)
    for task in tasks:
        if task.root_cause is not None:
            by_cause[task.root_cause].append(task.task_id)
    return by_cause


def counts_words(result: EpicResult) -> str:
    """How many tasks came to which end: `2 succeeded, 1 failed, 1 never started`."""
    counts = Counter(task.state for task in result.tasks.values())
    allowed = sum(task.failure_allowed for task in result.tasks.values())
    parts = [
        f"{counts.pop(TaskState.SUCCEEDED, 0):,} succeeded",
        f"{counts.pop(TaskState.FAILED, 0) - allowed:,} failed",
    ]
    parts += [f"{allowed:,} failed as allowed"] if allowed else []
    never = counts.pop(TaskState.UPSTREAM_FAILED, 0)
    parts += [f"{never:,} never started"] if never else []
    parts += [f"{count:,} {state}" for state, count in counts.items()]
    return ", ".join(parts)


def _last_line(result: EpicResult, paint: Paint, result_path: str | os.PathLike[str] | None) -> str:
    style = "green" if result.succeeded else "red"
    title = paint(f"epic {one_line(result.epic_id)}{_ENDINGS.get(result.state, '')}", "bold", style)
    took = format_duration(max(0.0, (result.finished_at - result.started_at).total_seconds()))
    where = f" · result: {path_words(result_path)}" if result_path else ""
    return f"{title}: {counts_words(result)} in {took}{where}"
