"""`result.json`: a run's result for programs.

The document and its JSON Schema are made from the same tables of fields, so that they cannot drift apart.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from dockersched.graph.transitions import FINAL_STATES
from dockersched.report.digest import Digest, DigestSettings, RootCause, make_digest
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
from dockersched.report.files import write_atomically
from dockersched.report.phase_fields import PHASES
from dockersched.states import EpicState, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dockersched.model import QuotaConfig
    from dockersched.results import EpicResult, LogSummary, OutputSummary, SandboxResult, TaskResult, Usage

SCHEMA_VERSION = 1

_JSON = json.JSONEncoder(indent=2)


def result_document(
    result: EpicResult, *, digest: Digest | None = None, exit_code: int | None = None
) -> dict[str, object]:
    """The content of `result.json`: every key is always there, null where the value is not known.

    Args:
        result: of the run.
        digest: of its failures; None makes one.
        exit_code: of the program, where it differs from the result's own (143 after SIGTERM, for one).
    """
    code = result.exit_code if exit_code is None else exit_code
    return values_of(_RUN, _Run(result, code, digest or make_digest(result, DigestSettings())))


def result_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of `result.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of a dockersched run",
        "description": "Every key is always there. Later versions may add keys: ignore those you do not know.",
        **object_schema(_RUN),
    }


def write_json_atomically(path: Path, document: Mapping[str, object]) -> None:
    """Writes the document; a reader sees all of it or what was there before, even after a power failure.

    It is in ASCII: what a task is called can upset no terminal and no encoding.
    """
    # Piece by piece: of a run with thousands of tasks, the whole text would be most of what the process ever holds.
    pieces = chain(_JSON.iterencode(document), ["\n"])
    write_atomically(path, (piece.encode("ascii") for piece in pieces))


def task_fields() -> tuple[Field[TaskResult], ...]:
    """What `result.json` has for each task, for documents that show a task too."""
    return _TASK


def quota_fields() -> tuple[Field[SandboxResult | None], ...]:
    """What `result.json` has for a sandbox's limits."""
    return _QUOTAS


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

_QUOTAS: tuple[Field[SandboxResult | None], ...] = (
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

_TASK: tuple[Field[TaskResult], ...] = (
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
    Field("quota", "Limits of the sandbox.", object_schema(_QUOTAS), lambda task: values_of(_QUOTAS, task.sandbox)),
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

_CAUSE: tuple[Field[RootCause], ...] = (
    Field("task", "Id of the task.", TEXT, lambda cause: cause.task.task_id),
    Field("reason", "Why it did not succeed.", {"enum": [*Reason, None]}, lambda cause: cause.task.reason),
    Field("detail", "One line for people, often empty.", TEXT, lambda cause: cause.detail),
    Field("meaning", "What happened, in a sentence that follows the task's id.", TEXT, lambda cause: cause.meaning),
    Field("advice", "Whose it is and what helps.", TEXT, lambda cause: cause.advice),
    Field("rerun", "The shell command that runs only this task again.", TEXT, lambda cause: cause.rerun),
    Field(
        "quota",
        "Limits of the sandbox.",
        object_schema(_QUOTAS),
        lambda cause: values_of(_QUOTAS, cause.task.sandbox),
    ),
    Field(
        "log_tail",
        "The last lines of its output that there is room for, with what could steer a terminal written out.",
        {"type": "array", "items": TEXT},
        lambda cause: list(cause.log_tail),
    ),
)

_DIGEST: tuple[Field[Digest], ...] = (
    Field("max_bytes", "Bytes that its text may have.", COUNT, lambda digest: digest.max_bytes),
    Field(
        "causes",
        "Tasks that failed themselves, in declaration order.",
        {"type": "array", "items": object_schema(_CAUSE)},
        lambda digest: [values_of(_CAUSE, cause) for cause in digest.causes],
    ),
    Field("left_out", "How many more there are.", COUNT, lambda digest: digest.left_out),
)


class _Run(NamedTuple):
    result: EpicResult
    exit_code: int
    digest: Digest


_RUN: tuple[Field[_Run], ...] = (
    Field("schema_version", "Version of this format.", {"const": SCHEMA_VERSION}, lambda _: SCHEMA_VERSION),
    Field("epic", "Name of the epic.", TEXT, lambda run: run.result.epic_id),
    Field("run", "Id of the run.", TEXT, lambda run: run.result.run_id),
    Field("state", "How the epic ended.", {"enum": [*EpicState]}, lambda run: run.result.state),
    Field("exit_code", "Of the program that ran it.", {"type": "integer"}, lambda run: run.exit_code),
    Field("started_at", "When the run began, UTC.", TIME, lambda run: timestamp(run.result.started_at)),
    Field("finished_at", "When the run ended, UTC.", TIME, lambda run: timestamp(run.result.finished_at)),
    Field(
        "duration_s",
        "Seconds the run took.",
        SECONDS,
        lambda run: (run.result.finished_at - run.result.started_at).total_seconds(),
    ),
    Field(
        "root_causes",
        "Ids of the tasks that failed themselves.",
        {"type": "array", "items": TEXT},
        lambda run: run.result.root_cause_ids,
    ),
    Field(
        "digest",
        "What must be known of each failure, in few bytes.",
        object_schema(_DIGEST),
        lambda run: values_of(_DIGEST, run.digest),
    ),
    Field(
        "openings",
        "What sandboxes of the run were given beyond what every sandbox gets, each with the ids of the tasks.",
        map_of({"type": "array", "items": TEXT}, "The tasks that had this opening."),
        lambda run: run.result.openings,
    ),
    Field(
        "tasks",
        "Every task of the epic by its id, in declaration order.",
        map_of(object_schema(_TASK), "How one task ended."),
        lambda run: {task_id: values_of(_TASK, task) for task_id, task in run.result.tasks.items()},
    ),
)
