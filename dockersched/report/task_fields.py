"""What documents tell of one task: how it ended, its limits, and what it used and left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.graph.transitions import FINAL_STATES
from dockersched.report.fields import (
    COUNT,
    FLAG,
    OUTCOME,
    SECONDS,
    TEXT,
    TIME,
    Field,
    map_of,
    nullable,
    object_schema,
    timestamp,
    values_of,
)
from dockersched.report.phase_fields import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockersched.model import QuotaConfig
    from dockersched.results import LogSummary, OutputSummary, SandboxResult, TaskResult, Usage


def _of_sandbox(value: Callable[[SandboxResult], object]) -> Callable[[TaskResult], object]:
    return lambda task: None if task.sandbox is None else value(task.sandbox)


def _of_log(value: Callable[[LogSummary], object]) -> Callable[[TaskResult], object]:
    return _of_sandbox(lambda sandbox: None if sandbox.log is None else value(sandbox.log))


def _of_quota(value: Callable[[QuotaConfig], object]) -> Callable[[QuotaConfig | None], object]:
    return lambda quota: None if quota is None else value(quota)


_QUOTA: tuple[Field[QuotaConfig | None], ...] = (
    Field("cpus", "CPUs.", {"type": ["number", "null"]}, _of_quota(lambda quota: quota.cpus)),
    Field("memory", "Bytes of memory.", nullable(COUNT), _of_quota(lambda quota: quota.memory_bytes)),
    Field("pids", "Processes and threads.", nullable(COUNT), _of_quota(lambda quota: quota.pids)),
    Field(
        "disk",
        "Bytes that can be written altogether; null when there is no limit.",
        nullable(COUNT),
        _of_quota(lambda quota: quota.disk_bytes),
    ),
    Field("nofile", "Open files of a process.", nullable(COUNT), _of_quota(lambda quota: quota.nofile)),
    Field("fsize", "Bytes of the largest file.", nullable(COUNT), _of_quota(lambda quota: quota.fsize_bytes)),
    Field("log", "Bytes of output that are kept.", nullable(COUNT), _of_quota(lambda quota: quota.log_bytes)),
)

QUOTAS: tuple[Field[SandboxResult | None], ...] = (
    Field(
        "requested",
        "The limits asked for, defaults included.",
        object_schema(_QUOTA),
        lambda sandbox: values_of(_QUOTA, sandbox.quota_requested if sandbox else None),
    ),
    Field(
        "effective",
        "The limits read back from the engine.",
        object_schema(_QUOTA),
        lambda sandbox: values_of(_QUOTA, sandbox.quota_effective if sandbox else None),
    ),
)

_USAGE: tuple[Field[Usage], ...] = (
    Field(
        "memory_peak",
        "The most bytes of memory, page cache and places in memory included.",
        nullable(COUNT),
        lambda usage: usage.memory_peak_bytes,
    ),
    Field("cpu_s", "Seconds of CPU.", nullable(SECONDS), lambda usage: usage.cpu_s),
    Field("pids_peak", "The most processes and threads at a reading.", nullable(COUNT), lambda usage: usage.pids_peak),
    Field("written", "Bytes written to disks.", nullable(COUNT), lambda usage: usage.written_bytes),
    Field("readings", "How many readings there were.", COUNT, lambda usage: usage.readings),
    Field(
        "last_read_at",
        "When the last reading was, by the engine's clock, UTC; what came after it is not known.",
        TIME,
        lambda usage: timestamp(usage.last_read_at),
    ),
)

USAGE: Field[Usage | None] = Field(
    "usage",
    "What the last attempt used, read every few seconds; null when it was never read. "
    "Values that the engine does not tell are null.",
    nullable(object_schema(_USAGE)),
    lambda usage: None if usage is None else values_of(_USAGE, usage),
)

_OUTPUT: tuple[Field[OutputSummary], ...] = (
    Field("path", "Folder with a copy of it.", TEXT, lambda output: output.path),
    Field("entries", "Files and folders.", COUNT, lambda output: output.entries),
    Field("size_bytes", "Content of all its files.", COUNT, lambda output: output.size_bytes),
    Field("digest", "SHA-256 of its list of files with their hashes.", TEXT, lambda output: output.digest),
)

TASK: tuple[Field[TaskResult], ...] = (
    Field("state", "How the task ended.", {"enum": sorted(FINAL_STATES)}, lambda task: task.state),
    *OUTCOME,
    Field("failure_allowed", "It failed, and the epic allows that.", FLAG, lambda task: task.failure_allowed),
    Field(
        "exit_code",
        "Of the sandbox's process; null when it never ran or was lost.",
        nullable({"type": "integer"}),
        lambda task: task.exit_code,
    ),
    Field(
        "started_at",
        "When the sandbox's process started, by the engine's clock, UTC.",
        nullable(TIME),
        _of_sandbox(lambda sandbox: timestamp(sandbox.started_at)),
    ),
    Field(
        "finished_at",
        "When the sandbox's process ended, by the engine's clock, UTC.",
        nullable(TIME),
        _of_sandbox(lambda sandbox: timestamp(sandbox.finished_at)),
    ),
    Field(
        "duration_s",
        "Seconds the sandbox's process ran.",
        nullable(SECONDS),
        lambda task: task.duration_s,
    ),
    Field("attempts", "Sandboxes started for the task.", COUNT, lambda task: task.attempts),
    Field(
        "phases",
        "Where the time of each attempt went, in milliseconds; null where that is not known.",
        {"type": "array", "items": object_schema(PHASES)},
        lambda task: [values_of(PHASES, phases) for phases in task.phases],
    ),
    Field("image", "The image it ran in.", nullable(TEXT), _of_sandbox(lambda sandbox: sandbox.image)),
    Field(
        "image_digest",
        "What the image's name stood for in this run.",
        nullable(TEXT),
        _of_sandbox(lambda sandbox: sandbox.image_digest),
    ),
    Field("quota", "Limits of the sandbox.", object_schema(QUOTAS), lambda task: values_of(QUOTAS, task.sandbox)),
    Field(
        "openings",
        "What its sandbox was given beyond what every sandbox gets, each in a few words.",
        {"type": "array", "items": TEXT},
        lambda task: list(task.sandbox.openings) if task.sandbox else [],
    ),
    Field(USAGE.key, USAGE.description, USAGE.schema, lambda task: USAGE.value(task.usage)),
    Field(
        "outputs",
        "What was copied out of its sandbox, by name.",
        map_of(object_schema(_OUTPUT), "One output."),
        lambda task: {
            name: values_of(_OUTPUT, output) for name, output in (task.sandbox.outputs if task.sandbox else {}).items()
        },
    ),
    Field(
        "values",
        "The small values that it wrote, without secrets.",
        map_of(TEXT, "One value."),
        lambda task: dict(task.sandbox.values) if task.sandbox else {},
    ),
    Field("log", "Path of the task's output.", nullable(TEXT), _of_log(lambda log: log.path)),
    Field("log_bytes", "Size of the log.", nullable(COUNT), _of_log(lambda log: log.size_bytes)),
    Field(
        "log_truncated",
        "The task wrote more than is kept; the beginning is missing.",
        nullable(FLAG),
        _of_log(lambda log: log.truncated),
    ),
    Field(
        "log_complete",
        "False when the engine could not hand out all it had.",
        nullable(FLAG),
        _of_log(lambda log: log.complete),
    ),
)
