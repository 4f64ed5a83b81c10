"""`result.json`: a run's result for programs.

The document and its JSON Schema are made from the same tables of fields, so that they cannot drift apart.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from dockersched.graph.transitions import FINAL_STATES
from dockersched.states import EpicState, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dockersched.model import QuotaConfig
    from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult

SCHEMA_VERSION = 1

_Schema = dict[str, object]
_Source = TypeVar("_Source")

_TEXT: _Schema = {"type": "string"}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_SECONDS: _Schema = {"type": "number"}
_FLAG: _Schema = {"type": "boolean"}
_TIME: _Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$",
}


class _Field(NamedTuple, Generic[_Source]):
    key: str
    description: str
    schema: _Schema
    value: Callable[[_Source], object]


def result_document(result: EpicResult, *, exit_code: int | None = None) -> dict[str, object]:
    """The content of `result.json`: every key is always there, null where the value is not known.

    Args:
        result: of the run.
        exit_code: of the program, where it differs from the result's own (143 after SIGTERM, for one).
    """
    document = _values(_EPIC, result)
    if exit_code is not None:
        document["exit_code"] = exit_code
    return document


def result_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of `result.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of a dockersched run",
        "description": "Every key is always there. Later versions may add keys: ignore those you do not know.",
        **_object(_EPIC),
    }


def to_json(document: Mapping[str, object]) -> str:
    """The document as text, in ASCII: what a task is called can upset no terminal and no encoding."""
    return json.dumps(document, indent=2)


def write_json_atomically(path: Path, document: Mapping[str, object]) -> None:
    """Writes the document; a reader sees all of it or what was there before, even after a power failure."""
    write_atomically(path, f"{to_json(document)}\n".encode("ascii"))


def task_values(task: TaskResult) -> dict[str, object]:
    """What `result.json` says of one task."""
    return _values(_TASK, task)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file; a reader sees all of it or what was there before, even after a power failure."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
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


def _values(fields: Sequence[_Field[_Source]], source: _Source) -> dict[str, object]:
    return {field.key: field.value(source) for field in fields}


def _object(fields: Sequence[_Field[_Source]]) -> _Schema:
    return {
        "type": "object",
        "required": [field.key for field in fields],
        "properties": {field.key: {"description": field.description, **field.schema} for field in fields},
    }


def _nullable(schema: _Schema) -> _Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _map_of(values: _Schema, description: str) -> _Schema:
    return {"type": "object", "additionalProperties": {"description": description, **values}}


def _of_sandbox(value: Callable[[SandboxResult], object]) -> Callable[[TaskResult], object]:
    return lambda task: None if task.sandbox is None else value(task.sandbox)


def _of_log(value: Callable[[LogSummary], object]) -> Callable[[TaskResult], object]:
    return _of_sandbox(lambda sandbox: None if sandbox.log is None else value(sandbox.log))


def _of_quota(value: Callable[[QuotaConfig], object]) -> Callable[[QuotaConfig | None], object]:
    return lambda quota: None if quota is None else value(quota)


def timestamp(at: datetime | None) -> str | None:
    """A time as all documents have it: UTC, ISO 8601, microseconds."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_QUOTA: tuple[_Field[QuotaConfig | None], ...] = (
    _Field("cpus", "CPUs.", {"type": ["number", "null"]}, _of_quota(lambda quota: quota.cpus)),
    _Field("memory", "Bytes of memory.", _nullable(_COUNT), _of_quota(lambda quota: quota.memory_bytes)),
    _Field("pids", "Processes and threads.", _nullable(_COUNT), _of_quota(lambda quota: quota.pids)),
    _Field(
        "disk",
        "Bytes that can be written altogether; null when there is no limit.",
        _nullable(_COUNT),
        _of_quota(lambda quota: quota.disk_bytes),
    ),
    _Field("nofile", "Open files of a process.", _nullable(_COUNT), _of_quota(lambda quota: quota.nofile)),
    _Field("fsize", "Bytes of the largest file.", _nullable(_COUNT), _of_quota(lambda quota: quota.fsize_bytes)),
    _Field("log", "Bytes of output that are kept.", _nullable(_COUNT), _of_quota(lambda quota: quota.log_bytes)),
)

_QUOTAS: tuple[_Field[SandboxResult | None], ...] = (
    _Field(
        "requested",
        "The limits asked for, defaults included.",
        _object(_QUOTA),
        lambda sandbox: _values(_QUOTA, sandbox.quota_requested if sandbox else None),
    ),
    _Field(
        "effective",
        "The limits read back from the engine.",
        _object(_QUOTA),
        lambda sandbox: _values(_QUOTA, sandbox.quota_effective if sandbox else None),
    ),
)

_TASK: tuple[_Field[TaskResult], ...] = (
    _Field("state", "How the task ended.", {"enum": sorted(FINAL_STATES)}, lambda task: task.state),
    _Field(
        "reason",
        "Why it did not succeed; null when it did.",
        {"enum": [*Reason, None]},
        lambda task: task.reason,
    ),
    _Field("detail", "One line for people, often empty.", _TEXT, lambda task: task.detail),
    _Field(
        "root_cause",
        "For a task that never started: id of the task that this is due to.",
        _nullable(_TEXT),
        lambda task: task.root_cause,
    ),
    _Field(
        "exit_code",
        "Of the sandbox's process; null when it never ran or was lost.",
        _nullable({"type": "integer"}),
        lambda task: task.exit_code,
    ),
    _Field(
        "started_at",
        "When the sandbox's process started, by the engine's clock, UTC.",
        _nullable(_TIME),
        _of_sandbox(lambda sandbox: timestamp(sandbox.started_at)),
    ),
    _Field(
        "finished_at",
        "When the sandbox's process ended, by the engine's clock, UTC.",
        _nullable(_TIME),
        _of_sandbox(lambda sandbox: timestamp(sandbox.finished_at)),
    ),
    _Field(
        "duration_s",
        "Seconds the sandbox's process ran.",
        _nullable(_SECONDS),
        lambda task: task.duration_s,
    ),
    _Field("attempts", "Sandboxes started for the task.", _COUNT, lambda task: task.attempts),
    _Field("image", "The image it ran in.", _nullable(_TEXT), _of_sandbox(lambda sandbox: sandbox.image)),
    _Field(
        "image_digest",
        "What the image's name stood for in this run.",
        _nullable(_TEXT),
        _of_sandbox(lambda sandbox: sandbox.image_digest),
    ),
    _Field("quota", "Limits of the sandbox.", _object(_QUOTAS), lambda task: _values(_QUOTAS, task.sandbox)),
    _Field(
        "openings",
        "What its sandbox was given beyond what every sandbox gets, each in a few words.",
        {"type": "array", "items": _TEXT},
        lambda task: list(task.sandbox.openings) if task.sandbox else [],
    ),
    _Field("log", "Path of the task's output.", _nullable(_TEXT), _of_log(lambda log: log.path)),
    _Field("log_bytes", "Size of the log.", _nullable(_COUNT), _of_log(lambda log: log.size_bytes)),
    _Field(
        "log_truncated",
        "The task wrote more than is kept; the beginning is missing.",
        _nullable(_FLAG),
        _of_log(lambda log: log.truncated),
    ),
    _Field(
        "log_complete",
        "False when the engine could not hand out all it had.",
        _nullable(_FLAG),
        _of_log(lambda log: log.complete),
    ),
)

_EPIC: tuple[_Field[EpicResult], ...] = (
    _Field("schema_version", "Version of this format.", {"const": SCHEMA_VERSION}, lambda _: SCHEMA_VERSION),
    _Field("epic", "Name of the epic.", _TEXT, lambda result: result.epic_id),
    _Field("run", "Id of the run.", _TEXT, lambda result: result.run_id),
    _Field("state", "How the epic ended.", {"enum": [*EpicState]}, lambda result: result.state),
    _Field("exit_code", "Of the program that ran it.", {"type": "integer"}, lambda result: result.exit_code),
    _Field("started_at", "When the run began, UTC.", _TIME, lambda result: timestamp(result.started_at)),
    _Field("finished_at", "When the run ended, UTC.", _TIME, lambda result: timestamp(result.finished_at)),
    _Field(
        "duration_s",
        "Seconds the run took.",
        _SECONDS,
        lambda result: (result.finished_at - result.started_at).total_seconds(),
    ),
    _Field(
        "root_causes",
        "Ids of the tasks that failed themselves.",
        {"type": "array", "items": _TEXT},
        lambda result: result.root_cause_ids,
    ),
    _Field(
        "openings",
        "What sandboxes of the run were given beyond what every sandbox gets, each with the ids of the tasks.",
        _map_of({"type": "array", "items": _TEXT}, "The tasks that had this opening."),
        lambda result: result.openings,
    ),
    _Field(
        "tasks",
        "Every task of the epic by its id, in declaration order.",
        _map_of(_object(_TASK), "How one task ended."),
        lambda result: {task_id: _values(_TASK, task) for task_id, task in result.tasks.items()},
    ),
)
