"""What `ps` and `status` say to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from dockersched.inspection.runs import OpenState, RunView
from dockersched.inspection.tasks import TaskView, root_causes
from dockersched.report.text import Paint, one_line
from dockersched.report.wording import STATE_STYLES, path_words, reason_words
from dockersched.states import EpicState, TaskState
from dockersched.units import format_duration

_ID_MAX = 48
_ROWS_PER_STATE = 40
_CAUSES_MAX = 10
_TASK_STYLES: Mapping[str, str] = {str(state): style for state, style in STATE_STYLES.items()}
_RUN_STYLES: Mapping[str, str] = {
    OpenState.RUNNING: "cyan",
    OpenState.PREPARING: "cyan",
    EpicState.SUCCEEDED: "green",
    EpicState.FAILED: "red",
}


def runs_lines(runs: Sequence[RunView], paint: Paint) -> Iterator[str]:
    """A table of runs."""
    rows = [
        (
            run.run_id,
            one_line(run.epic_id or "", _ID_MAX),
            run.state,
            f"{run.tasks_done}/{run.task_count}",
            _ago(run.started_at),
            "" if run.pid is None else str(run.pid or "?"),
        )
        for run in runs
    ]
    return _table(("run", "epic", "state", "tasks", "started", "pid"), rows, _RUN_STYLES, paint)


def status_lines(run: RunView, tasks: Mapping[str, TaskView], paint: Paint) -> Iterator[str]:
    """A run and its tasks; the number of lines is bounded, however many tasks there are."""
    yield run_line(run)
    yield from _tasks(list(tasks.values()), paint)
    causes = root_causes(tasks)
    if causes:
        names = ", ".join(one_line(task_id, _ID_MAX) for task_id in causes[:_CAUSES_MAX])
        more = len(causes) - _CAUSES_MAX
        yield f"root causes: {paint(names, 'red')}{f' and {more:,} more' if more > 0 else ''}"


def run_line(run: RunView) -> str:
    """A run in one line, with what can be done about it."""
    name = f"run {run.run_id}" + (f" of {one_line(run.epic_id, _ID_MAX)}" if run.epic_id else "")
    done = f"{run.tasks_done:,} of {run.task_count:,} tasks done"
    match run.state:
        case OpenState.PREPARING:
            return f"{name} gets its images ready in process {run.pid or 'unknown'}, since {_ago(run.started_at)}"
        case OpenState.RUNNING:
            return f"{name} is running in process {run.pid or 'unknown'}, {done}, started {_ago(run.started_at)}"
        case OpenState.UNFINISHED:
            return (
                f"{name} is unfinished, and its process is gone, {done}: `dockersched resume {run.run_id}` goes on "
                f"with it, `dockersched cancel {run.run_id}` gives it up"
            )
        case OpenState.NOT_STARTED:
            return (
                f"{name} ended before any task was started: run its epic anew; what it left is in "
                f"{path_words(run.folder)}, until `dockersched gc`"
            )
        case OpenState.UNRECORDED:
            return (
                f"{name} is not in this directory's database, so nothing is known of its tasks, nor can it be resumed; "
                f"its files are in {path_words(run.folder)}, and `dockersched gc` keeps them"
            )
        case _:
            return f"{name} {run.state} with exit code {run.exit_code}, {_ago(run.finished_at)}"


def _tasks(tasks: Sequence[TaskView], paint: Paint) -> Iterator[str]:
    seen: Counter[TaskState] = Counter()
    rows = []
    for task in tasks:
        seen[task.state] += 1
        if seen[task.state] <= _ROWS_PER_STATE:
            attempt = str(task.attempt or "")
            rows.append((one_line(task.task_id, _ID_MAX), task.state, reason_words(task), attempt, _ago(task.since)))
    yield from _table(("task", "state", "reason", "attempt", "since"), rows, _TASK_STYLES, paint)
    for state, count in seen.items():
        if count > _ROWS_PER_STATE:
            yield f"… and {count - _ROWS_PER_STATE:,} more {state}"


def _table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str], paint: Paint
) -> Iterator[str]:
    """Left-aligned columns; what is in the column `state` is coloured."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    yield paint(_aligned(headers, widths), "bold")
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        state_at = headers.index("state")
        cells[state_at] = paint(cells[state_at], styles.get(row[state_at], "dim"))
        yield "  ".join(cells).rstrip()


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _ago(at: str | None) -> str:
    if at is None:
        return ""
    passed = (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
    return f"{format_duration(max(0.0, passed))} ago"
