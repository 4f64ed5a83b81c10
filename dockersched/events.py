"""What happens in a run, as typed values; everything that watches a run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dockersched.results import EpicResult, SandboxResult, TaskResult
from dockersched.states import EpicState


@dataclass(frozen=True, slots=True)
class RunLaunched:
    """A process owns the run; images may still have to be made before the epic begins."""

    at: datetime
    epic_id: str
    run_id: str
    pid: int
    state_dir: Path


@dataclass(frozen=True, slots=True)
class EpicStarted:
    """An epic begins.

    Args:
        at: when.
        epic_id, run_id: which one.
        task_ids: all tasks, in declaration order.
        max_parallel, max_cpus, max_memory_bytes: what all its sandboxes may have together; None is no limit.
    """

    at: datetime
    epic_id: str
    run_id: str
    task_ids: tuple[str, ...]
    max_parallel: int | None = None
    max_cpus: float | None = None
    max_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A task got a slot; its sandbox is being made."""

    at: datetime
    task_id: str
    sandbox_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TaskRetrying:
    """An attempt did not succeed and another one follows after a pause, in which the task holds no slot."""

    at: datetime
    task_id: str
    attempt: int
    sandbox: SandboxResult
    pause_s: float


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task reached its final state, whether or not it ever started."""

    at: datetime
    result: TaskResult


@dataclass(frozen=True, slots=True)
class EpicFinished:
    """All dispatched sandboxes have settled."""

    at: datetime
    result: EpicResult


@dataclass(frozen=True, slots=True)
class RunDone:
    """The run is over and on record: `result.json` is written, no container is left that could be removed."""

    at: datetime
    run_id: str
    state: EpicState
    exit_code: int
    root_causes: tuple[str, ...]


Event = RunLaunched | EpicStarted | TaskStarted | TaskRetrying | TaskFinished | EpicFinished | RunDone
Observer = Callable[[Event], None]
