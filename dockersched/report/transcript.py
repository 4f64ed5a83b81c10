"""What happens in a run, as lines to read in order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dockersched.events import (
    EpicFinished,
    EpicStarted,
    Event,
    RunDone,
    RunLaunched,
    TaskFinished,
    TaskRetrying,
    TaskStarted,
)
from dockersched.report.output import OutputLines
from dockersched.report.text import Paint, count_of, one_line
from dockersched.report.wording import STATE_STYLES, duration_words, reason_words
from dockersched.states import Reason, TaskState
from dockersched.units import format_duration

if TYPE_CHECKING:
    from datetime import datetime

    from dockersched.results import SandboxResult, TaskResult

_ID_WIDTH_MAX = 24
_NEVER_STARTED_MAX = 10
"""Tasks named one by one when something keeps them from starting; a failure can take thousands with it."""


class Transcript:
    """Turns the events and the output of a run into lines.

    Args:
        paint: colours.
        starts: whether a task's start is worth a line; a live table shows it anyway.
    """

    def __init__(self, paint: Paint, *, starts: bool) -> None:
        self._paint = paint
        self._starts = starts
        self._id_width = 0
        self._outputs: dict[str, OutputLines] = {}
        self._never_started: Counter[str | None] = Counter()

    def event(self, event: Event) -> list[str]:
        """The lines that tell of an event."""
        match event:
            case EpicStarted():
                self._id_width = min(_ID_WIDTH_MAX, max(map(len, event.task_ids), default=0))
                text = f"{count_of(len(event.task_ids), 'task')}, run {one_line(event.run_id)}"
                return [f"{self._clock(event.at)} epic {one_line(event.epic_id)}: {text}"]
            case TaskStarted():
                attempt = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                return [self._line(event.at, event.task_id, f"started{attempt}")] if self._starts else []
            case TaskRetrying():
                return [*self._end_of_output(event.task_id, event.sandbox), self._retrying(event)]
            case TaskFinished():
                lines = self._end_of_output(event.result.task_id, event.result.sandbox)
                return lines + self._finished(event.at, event.result)
            case RunLaunched() | EpicFinished() | RunDone():
                return []

    def output(self, task_id: str, data: bytes) -> list[str]:
        """The lines that a chunk of a task's output completes."""
        return self._output_of(task_id).feed(data)

    def skipped(self, task_id: str, size: int) -> list[str]:
        """The lines that tell of output left out."""
        return self._output_of(task_id).skip(size)

    def _output_of(self, task_id: str) -> OutputLines:
        output = self._outputs.get(task_id)
        if output is None:
            prefix = self._paint.task(f"{self._name(task_id)} |", task_id)
            output = self._outputs[task_id] = OutputLines(f"{prefix} ")
        return output

    def _end_of_output(self, task_id: str, sandbox: SandboxResult | None) -> list[str]:
        output = self._outputs.pop(task_id, None)
        log = sandbox.log if sandbox else None
        return output.end(log.path if log else None) if output else []

    def _retrying(self, event: TaskRetrying) -> str:
        reason = event.sandbox.reason or ""
        why = f"{reason} {event.sandbox.exit_code}" if event.sandbox.reason is Reason.EXIT_CODE else reason
        again = self._paint(f"attempt {event.attempt} ended with {why}", STATE_STYLES[TaskState.CANCELLED])
        return self._line(event.at, event.task_id, f"{again}; again in {format_duration(event.pause_s)}")

    def _finished(self, at: datetime, task: TaskResult) -> list[str]:
        state = self._paint(task.state, STATE_STYLES.get(task.state, "dim"))
        if task.attempts == 0:
            return self._not_started(at, task, state)
        reason = "" if task.reason is None else f" ({reason_words(task)})"
        duration = f" in {duration_words(task)}" if duration_words(task) else ""
        explained = task.reason in (None, Reason.EXIT_CODE) or not task.detail
        detail = "" if explained else f": {one_line(task.detail)}"
        return [self._line(at, task.task_id, f"{state}{reason}{duration}{detail}")]

    def _not_started(self, at: datetime, task: TaskResult, state: str) -> list[str]:
        self._never_started[task.root_cause] += 1
        count = self._never_started[task.root_cause]
        if count > _NEVER_STARTED_MAX + 1:
            return []
        if count > _NEVER_STARTED_MAX:
            cause = f" because of {one_line(task.root_cause, 64)}" if task.root_cause else ""
            return [f"{self._clock(at)} … and more tasks that never start{cause}"]
        words = reason_words(task)
        reason = f" {words}" if task.state is TaskState.UPSTREAM_FAILED else f" ({words})"
        return [self._line(at, task.task_id, f"{state}{reason}")]

    def _line(self, at: datetime, task_id: str, text: str) -> str:
        return f"{self._clock(at)} {self._paint.task(self._name(task_id), task_id)} {text}"

    def _name(self, task_id: str) -> str:
        return one_line(task_id, _ID_WIDTH_MAX).ljust(self._id_width)

    def _clock(self, at: datetime) -> str:
        return self._paint(f"{at.astimezone():%H:%M:%S}", "dim")
