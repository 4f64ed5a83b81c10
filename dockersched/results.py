"""What comes back: how each sandbox, each task and the epic ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import force_setattr

from dockersched.model import QuotaConfig
from dockersched.states import EpicState, Reason, TaskState


class LogSummary(Struct, frozen=True, gc=False):
    """A task's output on disk.

    Args:
        path: where the log file is.
        size_bytes: its size.
        truncated: the task wrote more than is kept; what is missing is the beginning.
        complete: False when the engine could not hand out all it had.
    """

    path: str
    size_bytes: int
    truncated: bool = False
    complete: bool = True


class Usage(Struct, frozen=True, gc=False):
    """What a sandbox used, as far as it was seen: read every few seconds while it ran, never at its very end.

    Args:
        memory_peak_bytes: the most memory, page cache and places in memory included: under cgroup v1 of the whole time
            until the last reading, under v2 the highest of the readings.
        cpu_s: seconds of CPU until the last reading.
        pids_peak: the most processes and threads of all readings.
        written_bytes: to disks, until the last reading.
        readings: how many there were.
        last_read_at: when the last one was, by the engine's clock, UTC.
        A value is None where the engine does not tell it.
    """

    memory_peak_bytes: int | None
    cpu_s: float | None
    pids_peak: int | None
    written_bytes: int | None
    readings: int
    last_read_at: datetime


class OutputSummary(Struct, frozen=True, gc=False):
    """An output of a task, copied out of its sandbox.

    Args:
        digest: of the tree in the content store, in hexadecimal.
        path: of the folder with a copy of it.
        entries: files and folders.
        size_bytes: content of all files together.
    """

    digest: str
    path: str
    entries: int
    size_bytes: int


class Phases(Struct, frozen=True, gc=False):
    """Where the time of one attempt went: milliseconds with one decimal, None where it is not known.

    The phases follow one another and leave out no waiting for threads, calls that were repeated, or the engine. So they
    add up to about the whole; what they leave out is the writing of records, before the making and the removal, and a
    process can run a little before the call that starts it has come back.

    Args:
        attempt: its number, as on the engine and on record.
        queued_ms: from the moment at which the task could have started (what it depends on was done, or the pause
            before its retry was over, in this process) until this attempt was started.
        create_ms: until the engine was told to start it: finding its image, making container and volumes, reading the
            limits back, putting files in. Or until it was refused.
        start_ms: the engine's call to start it.
        run_ms: from its process' start to its end, both by the engine's clock.
        exit_seen_ms: from that end until it was noticed, by the engine's clock.
        collect_ms: finding out how it ended, and taking its log, outputs and values.
        remove_ms: removing its container and volumes. Most are removed after their results are on record, so that only
            the result of the run has it.
        Of an attempt that an earlier process started, how long queueing, making and starting took is not known.
    """

    attempt: int
    queued_ms: float | None = None
    create_ms: float | None = None
    start_ms: float | None = None
    run_ms: float | None = None
    exit_seen_ms: float | None = None
    collect_ms: float | None = None
    remove_ms: float | None = None


class SandboxResult(Struct, frozen=True, gc=False, omit_defaults=True):
    """How one sandbox ended. A failure of the task is data here, never an exception.

    Args:
        sandbox_id: the identity given in the options.
        exit_code: of the sandbox's process; None when it never ran or was lost.
        reason: why it did not succeed; left out, it follows from `exit_code`.
        detail: one line for people, such as the engine's own words.
        started_at, finished_at: of the sandbox's process, by the engine's clock, UTC.
        image, image_digest: what it ran in.
        quota_requested, quota_effective: the limits asked for, and those read back from the engine.
        log: where its output is.
        openings: what it was given beyond what a sandbox gets by default, such as `network: bridge`.
        oom_event: something in the sandbox was killed for lack of memory, even if the task itself went on.
        usage: what it used; None when that was never read, as of a sandbox that lived but a moment.
        outputs: what was copied out of it, by name.
        values: the small values that it wrote, by key.
        phases: where its time went; None when the runner does not tell.
        is_final: whether nothing is tried again after it, whatever the task's retries.
    """

    sandbox_id: str
    exit_code: int | None = None
    reason: Reason | None = None
    detail: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    image: str | None = None
    image_digest: str | None = None
    quota_requested: QuotaConfig | None = None
    quota_effective: QuotaConfig | None = None
    log: LogSummary | None = None
    oom_event: bool = False
    openings: Sequence[str] = ()
    usage: Usage | None = None
    outputs: Mapping[str, OutputSummary] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    phases: Phases | None = None
    is_final: bool = False

    def __post_init__(self) -> None:
        """Derives the reason where the exit code alone tells it."""
        if self.reason is None and self.exit_code != 0:
            reason = Reason.ENGINE_ERROR if self.exit_code is None else Reason.EXIT_CODE
            force_setattr(self, "reason", reason)

    def __hash__(self) -> int:
        return hash((self.sandbox_id, self.reason, self.started_at, self.finished_at))

    @property
    def succeeded(self) -> bool:
        """Whether the task did what it should: exit code 0, and nothing that speaks against it."""
        return self.exit_code == 0 and self.reason is None


class TaskResult(Struct, frozen=True, gc=False):
    """How one task ended.

    Args:
        task_id: the task.
        state: its final state.
        reason: why it did not succeed; None when it did.
        detail: one line for people.
        root_cause: for a task that never started, the failed, cancelled or skipped task that it is due to.
        attempts: sandboxes started for it.
        sandbox: the last attempt's sandbox; None for a task that never came to one. Where an image is not to be
            had, it is told although `attempts` is 0.
        failure_allowed: it failed, and the epic allows that.
        earlier: the sandboxes of the attempts before the last one, in order.
    """

    task_id: str
    state: TaskState
    reason: Reason | None = None
    detail: str = ""
    root_cause: str | None = None
    attempts: int = 0
    sandbox: SandboxResult | None = None
    failure_allowed: bool = False
    earlier: Sequence[SandboxResult] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the task succeeded."""
        return self.state is TaskState.SUCCEEDED

    @property
    def is_root_cause(self) -> bool:
        """Whether it failed itself, and was not allowed to."""
        return self.state is TaskState.FAILED and not self.failure_allowed

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last attempt's process."""
        return self.sandbox.exit_code if self.sandbox else None

    @property
    def usage(self) -> Usage | None:
        """What the last attempt used; None when that was never read."""
        return self.sandbox.usage if self.sandbox else None

    @property
    def phases(self) -> list[Phases]:
        """Where the time of each attempt went, in order."""
        if self.sandbox is None or self.attempts == 0:
            return []
        sandboxes = (*self.earlier, self.sandbox)
        return [sandbox.phases or Phases(number) for number, sandbox in enumerate(sandboxes, 1)]

    @property
    def duration_s(self) -> float | None:
        """Seconds the sandbox's process ran, by the engine's clock."""
        if self.sandbox is None or self.sandbox.started_at is None or self.sandbox.finished_at is None:
            return None
        return (self.sandbox.finished_at - self.sandbox.started_at).total_seconds()


class EpicResult(Struct, frozen=True, gc=False):
    """How an epic ended.

    Args:
        epic_id, run_id: which one.
        state: of the whole.
        tasks: results by task id, in declaration order.
        started_at, finished_at: wall clock, UTC.
    """

    epic_id: str
    run_id: str
    state: EpicState
    tasks: Mapping[str, TaskResult]
    started_at: datetime
    finished_at: datetime

    @property
    def succeeded(self) -> bool:
        """Whether every task succeeded, but for failures that are allowed."""
        return self.state is EpicState.SUCCEEDED

    @property
    def exit_code(self) -> int:
        """The exit code of a program that ran this epic: 0, 1 (a task failed), 4 (epic timeout), 130 (cancelled)."""
        return _EXIT_CODES[self.state]

    @property
    def root_cause_ids(self) -> list[str]:
        """The tasks that failed themselves and were not allowed to, in declaration order."""
        return [task.task_id for task in self.tasks.values() if task.is_root_cause]

    @property
    def openings(self) -> dict[str, list[str]]:
        """Every opening that the run used, with the tasks that had it, in declaration order."""
        used: dict[str, list[str]] = {}
        for task in self.tasks.values():
            for opening in task.sandbox.openings if task.sandbox else ():
                used.setdefault(opening, []).append(task.task_id)
        return used

    @property
    def failed_task_ids(self) -> list[str]:
        """The failed tasks and their never-started transitive dependents, in declaration order.

        Those whose failure is allowed are not among them.
        """
        tasks = self.tasks.values()
        return [task.task_id for task in tasks if task.is_root_cause or task.state is TaskState.UPSTREAM_FAILED]

    def told(self, what: str) -> str:
        """The result in one line.

        Args:
            what: became of the epic, such as `failed`.
        """
        causes = []
        for task_id in self.root_cause_ids[:10]:
            task = self.tasks[task_id]
            exit_code = f" {task.exit_code}" if task.reason is Reason.EXIT_CODE else ""
            causes.append(f"{task_id!r} ({task.reason}{exit_code})")
        more = len(self.root_cause_ids) - len(causes)
        text = f"epic {self.epic_id!r} {what}"
        if causes:
            text += f": {', '.join(causes)}{f' and {more} more' if more else ''} failed"
        never_started = len(self.failed_task_ids) - len(self.root_cause_ids)
        return text + (f"; {never_started} dependent task(s) never started" if never_started else "")


_EXIT_CODES = {EpicState.SUCCEEDED: 0, EpicState.FAILED: 1, EpicState.TIMED_OUT: 4, EpicState.CANCELLED: 130}
