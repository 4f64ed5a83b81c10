"""How states and reasons are said to a person."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dockersched.report.text import one_line, printable
from dockersched.states import Reason, TaskState
from dockersched.units import format_bytes, format_duration

if TYPE_CHECKING:
    from dockersched.results import TaskResult

_PATH_MAX = 4_096

STATE_STYLES = {
    TaskState.SUCCEEDED: "green",
    TaskState.FAILED: "red",
    TaskState.UPSTREAM_FAILED: "yellow",
    TaskState.CANCELLED: "yellow",
    TaskState.RUNNING: "cyan",
}

_SENTENCES = {
    Reason.KILLED: "was killed, not by dockersched; the engine saw no lack of memory, which it can miss",
    Reason.NOT_FOUND: "its command was not found in the image",
    Reason.NOT_EXECUTABLE: "its command cannot be executed",
    Reason.BAD_USER: "its user does not exist in the image",
    Reason.BAD_WORKING_DIR: "its working directory cannot be used",
    Reason.VALUE_MISSING: "a value that it refers to was not written by the task that should have",
    Reason.INPUT_DAMAGED: "files that it was to get are gone from the store, or damaged",
    Reason.BAD_VALUES: "what it wrote as values cannot be read",
    Reason.OUTPUT_MISSING: "it did not make an output that it must make",
    Reason.OUTPUT_REFUSED: "an output of it must not be taken out of its sandbox",
    Reason.OUTPUT_LOST: "the engine lost what it had made before it was copied out",
    Reason.QUOTA_NOT_APPLIED: "the engine did not apply all of its limits, so it was not run",
    Reason.REJECTED: "the engine refused to make its sandbox",
    Reason.INTERRUPTED: "its sandbox was lost while it ran",
    Reason.ENGINE_ERROR: "the engine failed, not the task",
    Reason.CANCELLED: "was cancelled",
    Reason.FAIL_FAST: "was stopped because another task failed",
    Reason.EPIC_TIMED_OUT: "was stopped at the epic's timeout",
    Reason.UPSTREAM_FAILED: "never started, because a task it depends on failed",
    Reason.CONDITION: "was skipped, as its `when` did not hold",
    Reason.UPSTREAM_SKIPPED: "was skipped, because a task it depends on was",
}

_ADVICE = {
    Reason.EXIT_CODE: "the task's own failure: read the end of its log",
    Reason.TIMED_OUT: "make it faster, or raise its `timeout`",
    Reason.OOM_KILLED: "raise its `quota.memory`, which places in memory count towards, or make it need less",
    Reason.KILLED: "it may have needed more memory than there was: look at its log, or raise its `quota.memory`",
    Reason.NOT_FOUND: "correct `command`, or choose another `image`",
    Reason.NOT_EXECUTABLE: "correct `command`, or the file in the image",
    Reason.BAD_USER: "give `user` in numbers",
    Reason.BAD_WORKING_DIR: "correct `working_dir`",
    Reason.IMAGE_UNAVAILABLE: "correct the name of `image`, or see to the registry",
    Reason.QUOTA_NOT_APPLIED: "`dockersched doctor` says what the engine cannot do",
    Reason.VALUE_MISSING: "make the task that should have written the value write it to $DOCKERSCHED_OUTPUT",
    Reason.INPUT_DAMAGED: "run the task again that made the input, or the whole epic where it is the workspace",
    Reason.BAD_VALUES: "write lines of key=value to $DOCKERSCHED_OUTPUT; the detail names the line",
    Reason.OUTPUT_MISSING: "make the task write it, correct the output's path, or give it required: false",
    Reason.OUTPUT_REFUSED: "leave regular files and folders alone there, or raise the limit that the detail names",
    Reason.OUTPUT_LOST: "not the task's doing: see to the engine (`dockersched doctor`), then run it again",
    Reason.REJECTED: "correct what the engine refuses, or see to the engine",
    Reason.INTERRUPTED: "not the task's doing: run it again",
    Reason.ENGINE_ERROR: "not the task's doing: see to the engine (`dockersched doctor`), then run it again",
    Reason.CANCELLED: "run it again if it is still wanted",
    Reason.FAIL_FAST: "see to the task that failed",
    Reason.EPIC_TIMED_OUT: "raise the epic's `timeout`, or look at the durations of its tasks",
    Reason.UPSTREAM_FAILED: "see to the task that failed",
    Reason.CONDITION: "nothing is wrong: its `when` says so",
    Reason.UPSTREAM_SKIPPED: "nothing is wrong: give it `when: always` if it is to run all the same",
}


class Explained(Protocol):
    """A task with what its reason is told by."""

    @property
    def state(self) -> TaskState:
        """Where it stands."""

    @property
    def reason(self) -> Reason | None:
        """Why it did not succeed."""

    @property
    def root_cause(self) -> str | None:
        """For a task that never started, the failed, cancelled or skipped task that it is due to."""

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last attempt's process."""

    @property
    def failure_allowed(self) -> bool:
        """It failed, and the epic allows that."""


def reason_words(task: Explained) -> str:
    """The reason in a few words, for a table or a line: `exit_code 3`, `oom_killed`, `because of lint`."""
    if task.reason is None:
        return ""
    if task.reason in {Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED} and task.root_cause is not None:
        return f"because of {one_line(task.root_cause, 64)}"
    words = f"exit_code {task.exit_code}" if task.reason is Reason.EXIT_CODE else str(task.reason)
    return f"{words}, allowed" if task.failure_allowed else words


def reason_sentence(task: TaskResult) -> str:
    """What the reason means for this task, to follow its id."""
    match task.reason:
        case None:
            return "succeeded"
        case Reason.EXIT_CODE:
            return f"ended with exit code {task.exit_code}"
        case Reason.TIMED_OUT:
            return f"still ran at its time limit and was stopped{_after(task)}"
        case Reason.OOM_KILLED:
            return f"used more than its {_memory(task)}"
        case Reason.IMAGE_UNAVAILABLE:
            return _image(task)
        case reason:
            return _SENTENCES[reason]


def advice(task: Explained) -> str:
    """Whose a failure is and what helps, in a few words."""
    if task.reason is Reason.IMAGE_UNAVAILABLE and task.state is TaskState.CANCELLED:
        return "see to the task whose image is not available"
    return "" if task.reason is None else _ADVICE[task.reason]


def path_words(path: str | os.PathLike[str]) -> str:
    """A path as short as it can be copied: relative where it lies below the working directory."""
    text = os.fspath(path)
    with suppress(FileNotFoundError):  # the working directory itself may be gone
        text = text.removeprefix(f"{Path.cwd()}{os.sep}")
    return printable(text, _PATH_MAX)


def duration_words(task: TaskResult) -> str:
    """How long it ran; empty when it did not."""
    return "" if task.duration_s is None else format_duration(max(0.0, task.duration_s))


def _after(task: TaskResult) -> str:
    duration = duration_words(task)
    return f" after {duration}" if duration else ""


def _image(task: TaskResult) -> str:
    if task.state is TaskState.CANCELLED:
        return "never started: an image of another task is not available"
    image = task.sandbox.image if task.sandbox else None
    return f"its image{f' {one_line(image)}' if image else ''} is not available"


def _memory(task: TaskResult) -> str:
    for quota in (task.sandbox.quota_effective, task.sandbox.quota_requested) if task.sandbox else ():
        if quota is not None and quota.memory_bytes is not None:
            return f"{format_bytes(quota.memory_bytes)} of memory"
    return "memory quota"
