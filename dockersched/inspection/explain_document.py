"""What `explain` says to programs, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockersched.inspection.documents import HEAD, MAY_GROW, VERSION, run_states, task_fields
from dockersched.inspection.explain import Explanation, Shortage
from dockersched.inspection.explain_text import explanation_lines
from dockersched.inspection.tasks import TaskView
from dockersched.model import RetryPolicy
from dockersched.report.fields import COUNT, FLAG, SECONDS, TEXT, Field, Schema, object_schema, values_of
from dockersched.report.task_fields import QUOTAS
from dockersched.states import TaskState

_IDS: Schema = {"type": "array", "items": TEXT}
_UNMET: tuple[Field[tuple[str, TaskState]], ...] = (
    Field("task", "Id of a task that it depends on.", TEXT, lambda unmet: unmet[0]),
    Field("state", "Where that one stands.", {"enum": [*TaskState]}, lambda unmet: unmet[1]),
)
_SHORTAGE: tuple[Field[Shortage], ...] = (
    Field("resource", "What is short.", {"enum": ["slots", "cpus", "memory"]}, lambda lack: lack.resource),
    Field("needed", "How much it asks for; memory in bytes.", SECONDS, lambda lack: lack.needed),
    Field("free", "How much no sandbox holds.", SECONDS, lambda lack: lack.free),
    Field("whole", "How much all sandboxes may have together.", SECONDS, lambda lack: lack.whole),
    Field("held_by", "Ids of the tasks that hold some, those with most first.", _IDS, lambda lack: list(lack.held_by)),
)
_POLICY: tuple[Field[RetryPolicy], ...] = (
    Field("limit", "Attempts that its policy allows beside the first.", COUNT, lambda policy: policy.limit),
    Field("on", "Causes that are tried again.", _IDS, lambda policy: list(policy.on)),
    Field(
        "exit_codes",
        "Exit codes that are tried again, too.",
        {"type": "array", "items": COUNT},
        lambda policy: list(policy.exit_codes),
    ),
)


def _of_policy(value: Callable[[RetryPolicy], object]) -> Callable[[Explanation], object]:
    return lambda found: value(found.policy)


def _of_task(value: Callable[[TaskView], object]) -> Callable[[Explanation], object]:
    return lambda found: value(found.task)


_RETRY: tuple[Field[Explanation], ...] = (
    *(Field(field.key, field.description, field.schema, _of_policy(field.value)) for field in _POLICY),
    Field("attempts_left", "Attempts that the policy has left.", COUNT, lambda found: found.attempts_left),
    Field("covered", "Whether the policy names the reason.", FLAG, lambda found: found.is_covered),
    Field(
        "infrastructure",
        "Whether the reason is not the task's own doing, so that another try may succeed.",
        FLAG,
        lambda found: found.is_infrastructure,
    ),
)
_EXPLANATION: tuple[Field[Explanation], ...] = (
    VERSION,
    Field("run", "Id of the run.", TEXT, lambda found: found.run.run_id),
    Field("run_state", "Where the run stands, or how it ended.", run_states(), lambda found: found.run.state),
    Field("task", "Id of the task.", TEXT, lambda found: found.task.task_id),
    *(Field(field.key, field.description, field.schema, _of_task(field.value)) for field in task_fields()),
    Field("explanation", "The same in words for people, line by line.", _IDS, explanation_lines),
    Field(
        "waits_for",
        "Of a pending task: what it depends on and has not ended.",
        {"type": "array", "items": object_schema(_UNMET)},
        lambda found: [values_of(_UNMET, unmet) for unmet in found.unmet.items()],
    ),
    Field(
        "lacks",
        "Of a ready task: what it asks for and is not free.",
        {"type": "array", "items": object_schema(_SHORTAGE)},
        lambda found: [values_of(_SHORTAGE, lack) for lack in found.shortages],
    ),
    Field(
        "path",
        "Ids of the tasks from the root cause to this one, each depending on the one before; empty without one.",
        _IDS,
        lambda found: list(found.path),
    ),
    Field(
        "quota",
        "Limits of the last attempt that has ended.",
        object_schema(QUOTAS),
        lambda found: values_of(QUOTAS, found.last),
    ),
    Field("retry", "Whether another attempt can help.", object_schema(_RETRY), lambda found: values_of(_RETRY, found)),
)


def explain_document(found: Explanation) -> dict[str, Any]:
    """What `explain` says of a task."""
    return values_of(_EXPLANATION, found)


def explain_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of `explain --output json`."""
    return {
        **HEAD,
        "title": "Why a task of a dockersched run stands where it does",
        "description": MAY_GROW,
        **object_schema(_EXPLANATION),
    }
