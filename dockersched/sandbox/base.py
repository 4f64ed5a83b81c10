"""The contract between the scheduler and whatever runs sandboxes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Protocol, runtime_checkable

from msgspec import Struct, field

from dockersched.graph.capacity import Capacity
from dockersched.graph.standing import Standing
from dockersched.model import (
    Input,
    Mount,
    Network,
    NetworkNamespace,
    Output,
    Profile,
    PullPolicy,
    QuotaConfig,
    SecretSource,
    Workspace,
)
from dockersched.results import Phases, SandboxResult
from dockersched.states import Reason
from dockersched.units import to_ms


class SandboxRunOptions(Struct, frozen=True, eq=False, gc=False):
    """Everything a runner needs for one attempt of one task.

    Args:
        sandbox_id: built from epic id and task id, unique by construction.
        command, args: the program and its arguments, never passed through a shell.
        epic_id, run_id, task_id, attempt: the identity of this attempt; attempts count from 1.
        upstream: results of the tasks whose outputs or values this one uses, by task id.
        queued_s: seconds that the attempt waited until it was started; None when that is not known.
        the rest: as in `dockersched.ScheduledTask`; None is the runner's default.
        Options are equal when they ask for the same, however long they waited.
    """

    sandbox_id: str
    command: str
    args: Sequence[str] = ()
    epic_id: str = "epic"
    run_id: str = "run"
    task_id: str = "task"
    attempt: int = 1
    queued_s: float | None = None
    quota: QuotaConfig | None = None
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    user: str | None = None
    network: Network | None = None
    timeout_s: float | None = None
    stop_grace_s: float | None = None
    pull_policy: PullPolicy | None = None
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    runtime: str | None = None
    network_namespace: NetworkNamespace | None = None
    profile: Profile | None = None
    read_only: bool | None = None
    cap_add: Sequence[str] = ()
    tmpfs: Mapping[str, int | str] = field(default_factory=dict)
    ulimits: Mapping[str, int] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    workspace: Workspace | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict)
    inputs: Sequence[Input] = ()
    values: Sequence[str] | None = None
    upstream: Mapping[str, SandboxResult] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SandboxRunOptions):
            return NotImplemented
        return _asked(self) == _asked(other)

    def __hash__(self) -> int:
        return hash((self.sandbox_id, self.run_id, self.attempt))

    @property
    def phases(self) -> Phases:
        """What is known of the attempt's phases before there is a sandbox."""
        return Phases(self.attempt, None if self.queued_s is None else to_ms(self.queued_s))

    @property
    def has_workspace(self) -> bool:
        """Whether the sandbox has a place for files that come in or go out."""
        return self.workspace is not None or bool(self.outputs) or bool(self.inputs)

    @property
    def has_files(self) -> bool:
        """Whether anything but its log goes in or out by way of files."""
        return self.has_workspace or self.values is not None


_asked = attrgetter(*(name for name in SandboxRunOptions.__struct_fields__ if name != "queued_s"))


class SandboxCancelled(asyncio.CancelledError):
    """Raised by `run` on cancellation once the sandbox is gone, when there is something to tell about it."""

    def __init__(self, result: SandboxResult) -> None:
        super().__init__()
        self.result = result


@runtime_checkable
class SandboxRunner(Protocol):
    """What the scheduler needs of a runner. `run` alone is enough.

    The contract of `run`:
    - It is called on the event loop and never blocks it; calls for different sandboxes run side by side.
    - A task's own failure is data in the result. An exception means that the machinery failed
      (`dockersched.errors.RunnerError`); the scheduler records it as `engine_error` and goes on.
    - It is idempotent by identity (epic, run, task, attempt): called again for an attempt that is already there,
      it adopts that sandbox and never starts it a second time.
    - The timeout is the runner's: at `timeout_s` after the start the sandbox is stopped, then killed, and the
      result says `timed_out`.
    - When the coroutine is cancelled, the sandbox is stopped, and only when it is gone does the coroutine end: with
      `asyncio.CancelledError`, or with its subclass `SandboxCancelled` that carries what is known.
    - The result is final: when it is returned, no process of the sandbox is alive.
    """

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        """Runs one sandbox to its end."""
        ...


class StopJournal:
    """Remembers why sandboxes are stopped, before they are; this one remembers nothing.

    Without it, a runner that dies between a kill and its record would leave an exit code that tells nothing.
    """

    def stopped_for(self, options: SandboxRunOptions) -> Reason | None:  # noqa: ARG002
        """Why an earlier process was about to stop this attempt; None when none was."""
        return None

    def begun_at(self, options: SandboxRunOptions) -> datetime | None:  # noqa: ARG002
        """When an earlier process was about to begin this attempt, UTC; None when none was."""
        return None

    async def stopping(self, options: SandboxRunOptions, reason: Reason) -> None:
        """The attempt is about to be stopped; it is not until this returns."""


class SandboxBackend(ABC):
    """A runner with more than `run`; the defaults of everything else do nothing."""

    @abstractmethod
    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        """Runs one sandbox to its end, as `SandboxRunner` says."""

    @property
    def capacity(self) -> Capacity | None:
        """What there is for all sandboxes together; None when that is not known."""
        return None

    def full_quota(self, quota: QuotaConfig | None) -> QuotaConfig:
        """The limits that a sandbox with this quota gets."""
        return quota or QuotaConfig()

    def standing(self) -> Mapping[str, Standing]:
        """What an earlier process of the run left, by task id: results on record, and sandboxes that may be there."""
        return {}

    def recorded(self, options: SandboxRunOptions) -> SandboxResult | None:  # noqa: ARG002
        """The result of an attempt that an earlier process of the run has on record, as `standing` tells."""
        return None

    async def prepare(self, sandboxes: Sequence[SandboxRunOptions]) -> Mapping[str, str]:  # noqa: ARG002
        """Gets the images of a run, each one once, before the first sandbox starts.

        Returns:
            for each task whose image cannot be had, by task id, why.

        Raises:
            RunnerError: the machinery failed.
        """
        return {}

    def holds(self, resumed: Callable[[], None]) -> bool:  # noqa: ARG002
        """Whether nothing more should be started for now; if so, `resumed` is called once when it may go on."""
        return False

    def start_ahead(self, options: SandboxRunOptions) -> None:  # noqa: B027 - an optional hook
        """The sandbox will probably be run: it may be started behind a gate, so that nothing of its task runs yet.

        Returns at once, works in the background. What follows is `run` with equal options, or `discard`.
        """

    @property
    def creates_ahead(self) -> bool:
        """Whether `create_ahead` does anything."""
        return False

    def create_ahead(self, options: SandboxRunOptions) -> None:  # noqa: B027 - an optional hook
        """The sandbox will probably be run: it may be made as far as can be without a process of its own.

        Returns at once, works in the background. What follows is `run` with equal options, or `discard`.
        """

    def discard(self, options: SandboxRunOptions) -> None:  # noqa: B027 - an optional hook
        """Nobody needs the sandbox: its result is on record, or it was made ahead and will not run.

        Returns at once, works in the background.
        """

    async def sweep(self, run_id: str) -> list[str]:  # noqa: ARG002
        """Removes whatever of a run is left; returns in words what could not be removed."""
        return []

    async def aclose(self) -> None:  # noqa: B027 - an optional hook
        """Waits for work in the background and lets go of threads and connections."""
