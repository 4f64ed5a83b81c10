"""How the tasks of a run stand, from its events; what the events cannot tell is taken from the state database."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dockersched.graph.conditions import counted, verdict
from dockersched.graph.transitions import FINAL_STATES
from dockersched.inspection.recorded_events import read_events
from dockersched.report.fields import timestamp
from dockersched.states import Reason, TaskState
from dockersched.store.codec import load_task
from dockersched.store.decoding import UNREADABLE
from dockersched.store.reader import StateReader


class TaskView(Struct, frozen=True):
    """A task, seen from outside.

    Args:
        task_id: the task.
        state: where it stands.
        reason: why it, or its last attempt, did not succeed.
        detail: one line for people.
        root_cause: for a task that never started, the failed task that it is due to.
        exit_code: of the last attempt that has ended.
        attempt: attempts so far.
        since: when it came into this state, as documents have times; None when that is not known.
        usage: what its last attempt used, as documents have it; None while it runs, or when that was never read.
        failure_allowed: it failed, and the epic allows that.
    """

    task_id: str
    state: TaskState
    reason: Reason | None = None
    detail: str = ""
    root_cause: str | None = None
    exit_code: int | None = None
    attempt: int = 0
    since: str | None = None
    usage: Mapping[str, Any] | None = None
    failure_allowed: bool = False


def read_tasks(reader: StateReader, run_id: str, *, has_ended: bool) -> dict[str, TaskView]:
    """All tasks of a run by id, in declaration order; none while the run is not on record.

    Args:
        reader: of the state directory.
        run_id: of the run.
        has_ended: whether the run has a result; it stands above the events.

    Raises:
        StateError: what is on record of it is damaged.
    """
    epic = reader.epic(run_id)
    specs = {task["id"]: task for task in epic["tasks"]} if epic else {}
    folder = reader.run_dir(run_id)
    began, told = read_events(folder, _as_told)
    for task_id in reader.stopping(run_id):
        if task_id in told and told[task_id].state is TaskState.RUNNING:
            told[task_id] = replace(told[task_id], state=TaskState.STOPPING)
    if has_ended and any(task_id not in told or told[task_id].state not in FINAL_STATES for task_id in specs):
        told.update(_as_recorded(folder))
    at_end = reader.at_end(run_id)
    main = [told.get(task_id) for task_id in specs if task_id not in at_end]
    is_closing = all(task is not None and task.state in FINAL_STATES for task in main)
    main_ended = max((task.since for task in main if task and task.since), default=began)
    found = {}
    for task_id, spec in specs.items():
        if task_id in told:
            found[task_id] = told[task_id]
        elif task_id not in at_end:
            found[task_id] = _waiting(spec, told, began)
        elif is_closing:
            found[task_id] = _waiting(spec, told, main_ended, at_end)
        else:
            found[task_id] = TaskView(task_id, TaskState.PENDING, since=began)
    return found


def root_causes(tasks: Mapping[str, TaskView]) -> list[str]:
    """The tasks that failed themselves and were not allowed to, in declaration order."""
    return [task.task_id for task in tasks.values() if task.state is TaskState.FAILED and not task.failure_allowed]


def is_final(folder: Path, task_id: str) -> bool:
    """Whether a task is in a final state, by its run's events."""
    _, told = read_events(folder, _as_told)
    return task_id in told and told[task_id].state in FINAL_STATES


def _as_told(events: Iterable[Mapping[str, Any]]) -> tuple[str | None, dict[str, TaskView]]:
    """When the epic began, and every task that the events tell of, as they leave it."""
    began: str | None = None
    told: dict[str, TaskView] = {}
    for event in events:
        match event["type"]:
            case "epic_started":
                began = event["at"]
            case "task_started":
                task_id = event["task"]
                told[task_id] = TaskView(task_id, TaskState.RUNNING, attempt=event["attempt"], since=event["at"])
            case "task_retrying":
                told[event["task"]] = _retrying(event)
            case "task_finished":
                told[event["task"]] = _finished(event["task"], event, event["at"])
    return began, told


def _as_recorded(folder: Path) -> dict[str, TaskView]:
    """The tasks as `result.json` has them: who ends a run in the place of a dead process tells no events."""
    try:
        document = json.loads((folder / "result.json").read_bytes())
        ended_at, tasks = document["finished_at"], document["tasks"]
        return {task_id: _finished(task_id, task, ended_at) for task_id, task in tasks.items()}
    except (OSError, *UNREADABLE):  # gone, or damaged
        return {}


def _retrying(event: Mapping[str, Any]) -> TaskView:
    """A task between two attempts; that its pause is over no event tells."""
    task = TaskView(
        event["task"],
        TaskState.RETRYING,
        Reason(event["reason"]),
        event["detail"],
        exit_code=event["exit_code"],
        attempt=event["attempt"],
        since=event["at"],
    )
    ready_at = datetime.fromisoformat(event["at"]) + timedelta(seconds=event["pause_s"])
    if ready_at > datetime.now(UTC):
        return task
    return replace(task, state=TaskState.READY, since=timestamp(ready_at))


def _finished(task_id: str, fields: Mapping[str, Any], at: str) -> TaskView:
    return TaskView(
        task_id,
        TaskState(fields["state"]),
        Reason(fields["reason"]) if fields["reason"] else None,
        fields["detail"],
        fields["root_cause"],
        fields["exit_code"],
        fields["attempts"],
        # Of a task that an earlier process ran, a resumed run tells as if it had happened at once.
        fields["finished_at"] or at,
        fields.get("usage"),  # an earlier version did not tell it
        fields.get("failure_allowed", False),  # runs of earlier versions do not tell
    )


def _waiting(
    spec: dict[str, Any], told: Mapping[str, TaskView], began: str | None, at_end: Container[str] | None = None
) -> TaskView:
    """A task of which no event tells; one at the end is given what is there with it."""
    task_id, needed = spec["id"], spec["depends_on"]
    ended = [told[other] for other in needed if other in told and told[other].state in FINAL_STATES]
    if len(ended) < len(needed) or began is None or not _goes_on(spec, ended, at_end):
        return TaskView(task_id, TaskState.PENDING, since=began)
    return TaskView(task_id, TaskState.READY, since=max(filter(None, (began, *(task.since for task in ended)))))


def _goes_on(spec: dict[str, Any], ended: Iterable[TaskView], at_end: Container[str] | None) -> bool:
    """Whether a task runs after all that it depends on has ended so, by the rules of the plan."""
    when = load_task(spec).when if isinstance(spec.get("when"), dict) else spec.get("when", "success")
    forgiven = {
        task.task_id for task in ended if task.failure_allowed or (at_end is not None and task.task_id not in at_end)
    }
    states = counted(when, {task.task_id: task.state for task in ended}, forgiven)
    unknown = dict.fromkeys(states)  # a value that is against it ends the task at once: then an event tells of that
    return verdict(when, states, unknown)[0] is TaskState.READY
