"""What happens in a run, as typed values; everything that watches a run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from dockersched.results import EpicResult, SandboxResult, TaskResult
from dockersched.states import EpicState


class RunLaunched(Struct, frozen=True, gc=False):
    """A process owns the run; images may still have to be made before the epic begins."""

    at: datetime
    epic_id: str
    run_id: str
    pid: int
    state_dir: Path


class EpicStarted(Struct, frozen=True, gc=False):
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


class TaskStarted(Struct, frozen=True, gc=False):
    """A task got a slot; its sandbox is being made."""

    at: datetime
    task_id: str
    sandbox_id: str
    attempt: int


class TaskRetrying(Struct, frozen=True, gc=False):
    """An attempt did not succeed and another one follows after a pause, in which the task holds no slot."""

    at: datetime
    task_id: str
    attempt: int
    sandbox: SandboxResult
    pause_s: float


class TaskFinished(Struct, frozen=True, gc=False):
    """A task reached its final state, whether or not it ever started."""

    at: datetime
    result: TaskResult


class EpicFinished(Struct, frozen=True, gc=False):
    """All dispatched sandboxes have settled."""

    at: datetime
    result: EpicResult


class RunDone(Struct, frozen=True, gc=False):
    """The run is over and on record: `result.json` is written, no container is left that could be removed."""

    at: datetime
    run_id: str
    state: EpicState
    exit_code: int
    root_causes: tuple[str, ...]


Event = RunLaunched | EpicStarted | TaskStarted | TaskRetrying | TaskFinished | EpicFinished | RunDone
Observer = Callable[[Event], None]
