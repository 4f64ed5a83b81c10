"""What a runner is asked for: a task of an epic as the options of a sandbox."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any

from dockersched import ids
from dockersched.model import ScheduledTask
from dockersched.sandbox.base import SandboxRunOptions

_TASK_FIELDS = {field.name for field in fields(ScheduledTask)} - {"command", "args"}
_SHARED_FIELDS = tuple(name for name in SandboxRunOptions.__struct_fields__ if name in _TASK_FIELDS)
_shared_values = attrgetter(*_SHARED_FIELDS)


def sandbox_options(
    task: ScheduledTask, epic_id: str, run_id: str, attempt: int = 1, queued_s: float | None = None
) -> SandboxRunOptions:
    """What a runner is asked to run for one attempt of a task: whatever is called the same goes over as it is."""
    sandbox_id = ids.sandbox_id(epic_id, task.id)
    # By position: by keyword it takes half as long again, and what is shared stands in one piece there.
    shared: tuple[Any, ...] = _shared_values(task)
    return SandboxRunOptions(sandbox_id, task.command, task.args, epic_id, run_id, task.id, attempt, queued_s, *shared)
