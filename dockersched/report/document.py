"""`result.json`: a run's result for programs.

The document and its JSON Schema are made from the same tables of fields, so that they cannot drift apart.
"""

from __future__ import annotations

import json
import os
from itertools import chain
from typing import TYPE_CHECKING

from dockersched.graph.transitions import FINAL_STATES
from dockersched.report.fields import (
    COUNT,
    FLAG,
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
from dockersched.states import EpicState, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from dockersched.model import QuotaConfig
    from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult, Usage

SCHEMA_VERSION = 1

_JSON = json.JSONEncoder(indent=2)


def result_document(result: EpicResult, *, exit_code: int | None = None) -> dict[str, object]:
    """The content of `result.json`: every key is always there, null where the value is not known.

    Args:
        result: of the run.
        exit_code: of the program, where it differs from the result's own (143 after SIGTERM, for one).
    """
    document = values_of(_EPIC, result)
    if exit_code is not None:
        document["exit_code"] = exit_code
    return document


def result_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of `result.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of a dockersched run",
        "description": "Every key is always there. Later versions may add keys: ignore those you do not know.",
        **object_schema(_EPIC),
    }


def to_json(document: Mapping[str, object]) -> str:
    """The document as text, in ASCII: what a task is called can upset no terminal and no encoding."""
    return "".join(_JSON.iterencode(document))


def write_json_atomically(path: Path, document: Mapping[str, object]) -> None:
    """Writes the document; a reader sees all of it or what was there before, even after a power failure."""
    # Piece by piece: of a run with thousands of tasks, the whole text would be most of what the process ever holds.
    pieces = chain(_JSON.iterencode(document), ["\n"])
    write_atomically(path, (piece.encode("ascii") for piece in pieces))


def task_fields() -> tuple[Field[TaskResult], ...]:
    """What `result.json` has for each task, for documents that show a task too."""
    return _TASK


def write_atomically(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a file; a reader sees all of it or what was there before, even after a power failure."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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

_TASK: tuple[Field[TaskResult], ...] = (
    Field("state", "How the task ended.", {"enum": sorted(FINAL_STATES)}, lambda task: task.state),
    Field(
        "reason",
        "Why it did not succeed; null when it did.",
        {"enum": [*Reason, None]},
        lambda task: task.reason,
    ),
    Field("detail", "One line for people, often empty.", TEXT, lambda task: task.detail),
    Field(
        "root_cause",
        "For a task that never started: id of the task that this is due to.",
        nullable(TEXT),
        lambda task: task.root_cause,
    ),
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

_EPIC: tuple[Field[EpicResult], ...] = (
    Field("schema_version", "Version of this format.", {"const": SCHEMA_VERSION}, lambda _: SCHEMA_VERSION),
    Field("epic", "Name of the epic.", TEXT, lambda result: result.epic_id),
    Field("run", "Id of the run.", TEXT, lambda result: result.run_id),
    Field("state", "How the epic ended.", {"enum": [*EpicState]}, lambda result: result.state),
    Field("exit_code", "Of the program that ran it.", {"type": "integer"}, lambda result: result.exit_code),
    Field("started_at", "When the run began, UTC.", TIME, lambda result: timestamp(result.started_at)),
    Field("finished_at", "When the run ended, UTC.", TIME, lambda result: timestamp(result.finished_at)),
    Field(
        "duration_s",
        "Seconds the run took.",
        SECONDS,
        lambda result: (result.finished_at - result.started_at).total_seconds(),
    ),
    Field(
        "root_causes",
        "Ids of the tasks that failed themselves.",
        {"type": "array", "items": TEXT},
        lambda result: result.root_cause_ids,
    ),
    Field(
        "openings",
        "What sandboxes of the run were given beyond what every sandbox gets, each with the ids of the tasks.",
        map_of({"type": "array", "items": TEXT}, "The tasks that had this opening."),
        lambda result: result.openings,
    ),
    Field(
        "tasks",
        "Every task of the epic by its id, in declaration order.",
        map_of(object_schema(_TASK), "How one task ended."),
        lambda result: {task_id: values_of(_TASK, task) for task_id, task in result.tasks.items()},
    ),
)
