"""An event as programs read it, and the JSON Schema of all events, from the same tables of fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from dockersched.events import (
    EpicFinished,
    EpicStarted,
    Event,
    RunDone,
    RunLaunched,
    TaskFinished,
    TaskRetrying,
    TaskStarted,
)
from dockersched.report.fields import (
    COUNT,
    SECONDS,
    TEXT,
    TIME,
    Field,
    Schema,
    nullable,
    object_schema,
    timestamp,
    values_of,
)
from dockersched.report.phase_fields import PHASES
from dockersched.report.task_fields import TASK
from dockersched.results import Phases, TaskResult
from dockersched.states import EpicState, Reason

SCHEMA_VERSION = 1
"""Raised when a key or a type is removed or changes its meaning; not when one is added."""

_as_json = json.JSONEncoder(separators=(",", ":")).encode  # made once: that takes as long as a line

_IDS: Schema = {"type": "array", "items": TEXT}
_STATE: Schema = {"enum": [*EpicState]}


class _Kind(NamedTuple):
    name: str
    description: str
    fields: tuple[Field[Any], ...]


def _of_result(value: Callable[[TaskResult], object]) -> Callable[[TaskFinished], object]:
    return lambda event: value(event.result)


_LAUNCH: tuple[Field[RunLaunched], ...] = (
    Field("schema_version", "Version of this format.", {"const": SCHEMA_VERSION}, lambda _: SCHEMA_VERSION),
    Field("epic", "Name of the epic.", TEXT, lambda event: event.epic_id),
    Field("run", "Id of the run.", TEXT, lambda event: event.run_id),
    Field("pid", "Of the process that owns the run.", COUNT, lambda event: event.pid),
    Field("state_dir", "Absolute path of the state directory.", TEXT, lambda event: str(event.state_dir)),
)
_EPIC_STARTED: tuple[Field[EpicStarted], ...] = (
    Field("epic", "Name of the epic.", TEXT, lambda event: event.epic_id),
    Field("run", "Id of the run.", TEXT, lambda event: event.run_id),
    Field("tasks", "Ids of all tasks, in declaration order.", _IDS, lambda event: list(event.task_ids)),
    Field(
        "max_parallel", "Sandboxes side by side; null is no limit.", nullable(COUNT), lambda event: event.max_parallel
    ),
    Field("max_cpus", "CPUs of them all; null is no limit.", nullable(SECONDS), lambda event: event.max_cpus),
    Field(
        "max_memory", "Their bytes of memory; null is no limit.", nullable(COUNT), lambda event: event.max_memory_bytes
    ),
)
_TASK_STARTED: tuple[Field[TaskStarted], ...] = (
    Field("task", "Id of the task.", TEXT, lambda event: event.task_id),
    Field("sandbox", "Id of its sandbox.", TEXT, lambda event: event.sandbox_id),
    Field("attempt", "Number of the attempt, from 1.", COUNT, lambda event: event.attempt),
)
_TASK_RETRYING: tuple[Field[TaskRetrying], ...] = (
    Field("task", "Id of the task.", TEXT, lambda event: event.task_id),
    Field("attempt", "Number of the attempt that ended.", COUNT, lambda event: event.attempt),
    Field("pause_s", "Seconds until the task is ready again.", SECONDS, lambda event: event.pause_s),
    Field("reason", "Why the attempt did not succeed.", {"enum": [*Reason, None]}, lambda event: event.sandbox.reason),
    Field(
        "exit_code",
        "Of its process; null when it never ran or was lost.",
        nullable({"type": "integer"}),
        lambda event: event.sandbox.exit_code,
    ),
    Field("detail", "One line for people, often empty.", TEXT, lambda event: event.sandbox.detail),
    Field(
        "phases",
        "Where the attempt's time went, in milliseconds; null where that is not known.",
        object_schema(PHASES),
        lambda event: values_of(PHASES, event.sandbox.phases or Phases(event.attempt)),
    ),
)
_TASK_FINISHED: tuple[Field[TaskFinished], ...] = (
    Field("task", "Id of the task.", TEXT, lambda event: event.result.task_id),
    *(Field(field.key, field.description, field.schema, _of_result(field.value)) for field in TASK),
)
_EPIC_FINISHED: tuple[Field[EpicFinished], ...] = (
    Field("state", "How the epic ended.", _STATE, lambda event: event.result.state),
    Field("root_causes", "Tasks that failed themselves.", _IDS, lambda event: event.result.root_cause_ids),
)
_DONE: tuple[Field[RunDone], ...] = (
    Field("run", "Id of the run.", TEXT, lambda event: event.run_id),
    Field("state", "How the epic ended.", _STATE, lambda event: event.state),
    Field("exit_code", "Of the program that ran it.", {"type": "integer"}, lambda event: event.exit_code),
    Field("root_causes", "Tasks that failed themselves.", _IDS, lambda event: list(event.root_causes)),
)

_KINDS: dict[type[Event], _Kind] = {
    RunLaunched: _Kind("launch", "A process owns the run.", _LAUNCH),
    EpicStarted: _Kind("epic_started", "The epic begins.", _EPIC_STARTED),
    TaskStarted: _Kind("task_started", "A task got a slot.", _TASK_STARTED),
    TaskRetrying: _Kind("task_retrying", "An attempt failed and another one follows.", _TASK_RETRYING),
    TaskFinished: _Kind("task_finished", "A task reached its final state.", _TASK_FINISHED),
    EpicFinished: _Kind("epic_finished", "All dispatched sandboxes have settled.", _EPIC_FINISHED),
    RunDone: _Kind("done", "The run is over and result.json is written.", _DONE),
}


def event_document(event: Event) -> dict[str, object]:
    """An event as programs get it: `at` (UTC), `type`, and its own fields."""
    kind = _KINDS[type(event)]
    return {"at": timestamp(event.at), "type": kind.name, **values_of(kind.fields, event)}


def event_line(event: Event) -> str:
    """The same as one line of JSON, in ASCII, with its line end."""
    return _as_json(event_document(event)) + "\n"


def event_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of one event, whatever its type."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event of a dockersched run",
        "description": "Later versions may add types and keys: ignore those you do not know.",
        "oneOf": [_schema_of(kind) for kind in _KINDS.values()],
    }


def _schema_of(kind: _Kind) -> Schema:
    common: tuple[Field[Event], ...] = (
        Field("at", "When it happened, UTC.", TIME, lambda event: timestamp(event.at)),
        Field("type", "What happened.", {"const": kind.name}, lambda _: kind.name),
    )
    return {"title": kind.name, "description": kind.description, **object_schema((*common, *kind.fields))}
