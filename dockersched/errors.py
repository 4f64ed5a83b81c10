"""Every exception that dockersched raises on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from dockersched.results import EpicResult


class Problem(Struct, frozen=True):
    """One thing that is wrong with an epic.

    Args:
        message: what is wrong and what to do about it, in one line.
        path: keys that lead to the place, as `("tasks", "lint", "quota", "memory")`; empty for the whole.
        file: name of the file, when the epic came from one.
        line: line in the file, from 1; 0 when unknown.
        column: column in the file, from 1; 0 when unknown.
    """

    message: str
    path: tuple[str | int, ...] = ()
    file: str | None = None
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """The problem as `file:line:column: message`, as compilers print it; without a line that is unknown."""
        if self.file is None:
            return self.message
        if not self.line:
            return f"{self.file}: {self.message}"
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class DockerschedError(Exception):
    """Base of all errors of dockersched; they can be pickled, and so come out of other processes."""

    def __reduce__(self) -> tuple[object, ...]:
        """What to make it of anew: Exception's own would give the message to an `__init__` that wants other things."""
        return _remade, (type(self), self.args, self.__dict__)


def _remade(cls: type[DockerschedError], args: tuple[object, ...], attributes: dict[str, object]) -> DockerschedError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(attributes)
    return error


class EpicError(DockerschedError):
    """An epic that cannot be run; carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StateError(DockerschedError):
    """State that must not be: an illegal transition, or state on disk that cannot be used."""


class UnknownRunError(StateError):
    """There is no such run, or no more."""

    def __init__(self, run_id: str, state_dir: object) -> None:
        super().__init__(f"there is no run {run_id!r} in {state_dir}")


class UnfinishedRunError(StateError):
    """The last run of an epic has not ended.

    Attributes:
        run_id: of that run.
    """

    def __init__(self, run_id: str, epic_id: str) -> None:
        super().__init__(
            f"the last run of {epic_id!r}, {run_id}, is unfinished: "
            f"`dockersched resume {run_id}` goes on with it, `run --new` (in Python, new=True) starts anew"
        )
        self.run_id = run_id


class FinishedRunError(StateError):
    """The run has ended: there is nothing to go on with.

    Attributes:
        state: that it ended in.
        exit_code: that it ended with.
    """

    def __init__(self, run_id: str, state: str, exit_code: int) -> None:
        super().__init__(f"run {run_id} is finished: {state}")
        self.state = state
        self.exit_code = exit_code


class RunOwnedError(StateError):
    """Another process owns the run.

    Attributes:
        pid: of that process; 0 when it is not known.
    """

    def __init__(self, run_id: str, pid: int, remedy: str = "wait for it, or cancel the run") -> None:
        super().__init__(f"run {run_id} is owned by process {pid or 'unknown'}: {remedy}")
        self.pid = pid


class RunnerError(DockerschedError):
    """The machinery around a sandbox failed; a task's own failure is never an exception."""


class TransientRunnerError(RunnerError):
    """A failure that may be gone at the next try."""


class PermanentRunnerError(RunnerError):
    """A failure that the same call will meet again."""


class EngineUnavailableError(TransientRunnerError):
    """The Docker engine cannot be reached."""


class EngineFullError(TransientRunnerError):
    """The engine has no space left on its disk."""


class EngineRefusedError(PermanentRunnerError):
    """The engine answered a call with an error.

    Attributes:
        status: HTTP status of the answer.
        explanation: the engine's words.
    """

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"the engine refused ({status}): {explanation}")
        self.status = status
        self.explanation = explanation


class ImageBuildError(PermanentRunnerError):
    """One of dockersched's own sandbox images could not be built."""


class ImageUnavailableError(PermanentRunnerError):
    """An image that the epic needs is not on the engine and could not be pulled, or cannot be used."""


class SecretUnavailableError(PermanentRunnerError):
    """The value of a secret cannot be had from its source."""


class MountRefusedError(DockerschedError):
    """Files of the host that a sandbox must not see; the message follows what asks for them."""


class DataError(DockerschedError):
    """Files or values that cannot go into a sandbox, or must not come out of one."""


class WorkspaceError(DataError):
    """A directory that cannot be packed; carries every problem found, not only the first.

    Attributes:
        problems: what is wrong, each with the path in the directory and the remedy.
        task_id: whose workspace it is, if that is known.
    """

    def __init__(self, source: str, problems: Sequence[str], task_id: str | None = None) -> None:
        self.source = source
        self.problems = tuple(problems)
        self.task_id = task_id
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class ArchiveError(DataError):
    """An archive out of a sandbox that cannot be extracted; nothing of it is left on disk."""


class ArchiveCutError(ArchiveError):
    """The archive ends before its end: the connection or the engine broke off."""


class ArchiveRefusedError(ArchiveError):
    """The archive holds what must not come out of a sandbox.

    Attributes:
        entry: name of the entry, fit for display; empty when it is the archive as a whole.
        why: what is wrong with it.
    """

    def __init__(self, entry: str, why: str) -> None:
        super().__init__(f"{entry or 'the archive'}: {why}")
        self.entry = entry
        self.why = why


class ValuesError(DataError):
    """The values that a task wrote cannot be read.

    Attributes:
        line: where in what it wrote, from 1; 0 for the whole.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class ValueReferenceError(DataError):
    """A text refers to values of tasks in a way that cannot be followed."""


class TaskExecutionError(DockerschedError):
    """At least one task of an epic failed.

    Attributes:
        failed_task_ids: the failed tasks and all their never-started transitive dependents, in declaration order.
        root_cause_ids: the tasks among them that failed themselves: nearly all ran; an image may be unavailable, too.
        result: everything known about the epic, the tasks that succeeded included.
    """

    def __init__(self, message: str, result: EpicResult) -> None:
        super().__init__(message)
        self.failed_task_ids: list[str] = result.failed_task_ids
        self.root_cause_ids: list[str] = result.root_cause_ids
        self.result = result


class EpicTimeoutError(TaskExecutionError):
    """The epic's own deadline (`timeout_s`) passed before all tasks were finished."""


class EpicCancelledError(TaskExecutionError):
    """The epic was cancelled before all tasks were finished."""
