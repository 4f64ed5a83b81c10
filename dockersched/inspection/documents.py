"""What `ps`, `status` and `wait` say to programs, and the JSON Schemas, from the same tables of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dockersched.inspection.runs import OpenState, RunView
from dockersched.inspection.tasks import TaskView, root_causes
from dockersched.report.fields import (
    COUNT,
    FLAG,
    OUTCOME,
    TEXT,
    TIME,
    Field,
    Schema,
    map_of,
    nullable,
    object_schema,
    values_of,
)
from dockersched.report.task_fields import USAGE
from dockersched.states import EpicState, TaskState

SCHEMA_VERSION = 1
"""Raised when a key is removed or changes its meaning; not when one is added."""

HEAD = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
MAY_GROW = "Every key is always there. Later versions may add keys: ignore those you do not know."


def run_states() -> Schema:
    """The schema of where a run stands."""
    return {"enum": [*OpenState, *EpicState]}


class _Status(NamedTuple):
    run: RunView
    tasks: Mapping[str, TaskView]


def _of_run(value: Callable[[RunView], object]) -> Callable[[_Status], object]:
    return lambda status: value(status.run)


VERSION: Field[Any] = Field(
    "schema_version", "Version of this format.", {"const": SCHEMA_VERSION}, lambda _: SCHEMA_VERSION
)
_RUN: tuple[Field[RunView], ...] = (
    Field("run", "Id of the run.", TEXT, lambda run: run.run_id),
    Field(
        "epic", "Name of the epic; null for a run cut off at its beginning.", nullable(TEXT), lambda run: run.epic_id
    ),
    Field("state", "Where the run stands, or how it ended.", run_states(), lambda run: run.state),
    Field(
        "exit_code",
        "Of the program that ran it; null while it has not ended.",
        nullable({"type": "integer"}),
        lambda run: run.exit_code,
    ),
    Field(
        "pid",
        "Of the process that owns it; null without one, 0 when it is not known.",
        nullable(COUNT),
        lambda run: run.pid,
    ),
    Field("started_at", "When it began, UTC.", nullable(TIME), lambda run: run.started_at),
    Field("finished_at", "When it ended, UTC.", nullable(TIME), lambda run: run.finished_at),
    Field("tasks_done", "Tasks in a final state.", COUNT, lambda run: run.tasks_done),
    Field("tasks_total", "All tasks; 0 while they are not on record.", COUNT, lambda run: run.task_count),
    Field("folder", "Absolute path of the folder with its files.", TEXT, lambda run: str(run.folder)),
)
_TASK: tuple[Field[TaskView], ...] = (
    Field("state", "Where the task stands.", {"enum": [*TaskState]}, lambda task: task.state),
    *OUTCOME,
    Field(
        "exit_code",
        "Of the last attempt that ended; null when there is none.",
        nullable({"type": "integer"}),
        lambda task: task.exit_code,
    ),
    Field("failure_allowed", "It failed, and the epic allows that.", FLAG, lambda task: task.failure_allowed),
    Field("attempt", "Attempts so far, the running one included.", COUNT, lambda task: task.attempt),
    Field("since", "When it came into this state, UTC.", nullable(TIME), lambda task: task.since),
    Field(USAGE.key, USAGE.description, USAGE.schema, lambda task: task.usage),
)
_STATUS: tuple[Field[_Status], ...] = (
    VERSION,
    *(Field(field.key, field.description, field.schema, _of_run(field.value)) for field in _RUN),
    Field(
        "root_causes",
        "Ids of the tasks that failed themselves, so far.",
        {"type": "array", "items": TEXT},
        lambda status: root_causes(status.tasks),
    ),
    Field(
        "tasks",
        "Every task of the epic by its id, in declaration order.",
        map_of(object_schema(_TASK), "How one task stands."),
        lambda status: {task_id: values_of(_TASK, task) for task_id, task in status.tasks.items()},
    ),
)
_PS: tuple[Field[Sequence[RunView]], ...] = (
    VERSION,
    Field(
        "runs",
        "Every run of the state directory, the newest first.",
        {"type": "array", "items": object_schema(_RUN)},
        lambda runs: [values_of(_RUN, run) for run in runs],
    ),
)


def task_fields() -> tuple[Field[TaskView], ...]:
    """What `status` says of each task, for documents that show a task too."""
    return _TASK


def runs_document(runs: Sequence[RunView]) -> dict[str, object]:
    """What `ps` says of runs."""
    return values_of(_PS, runs)


def run_document(run: RunView) -> dict[str, object]:
    """What `wait` says of a run."""
    return values_of((VERSION, *_RUN), run)


def status_document(run: RunView, tasks: Mapping[str, TaskView]) -> dict[str, object]:
    """What `status` says of a run."""
    return values_of(_STATUS, _Status(run, tasks))


def runs_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of `ps --output json`."""
    return {**HEAD, "title": "Runs of a state directory", "description": MAY_GROW, **object_schema(_PS)}


def run_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of `wait --output json`."""
    return {**HEAD, "title": "A dockersched run", "description": MAY_GROW, **object_schema((VERSION, *_RUN))}


def status_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of `status --output json`."""
    return {**HEAD, "title": "Status of a dockersched run", "description": MAY_GROW, **object_schema(_STATUS)}
