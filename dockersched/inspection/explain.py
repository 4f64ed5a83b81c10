"""Why a task of a run stands where it stands, from what is on record."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dockersched.errors import StateError
from dockersched.graph.admission import Admission
from dockersched.graph.capacity import demand_of, grown
from dockersched.graph.demand import Limits
from dockersched.graph.retry import INFRASTRUCTURE, wants_retry
from dockersched.graph.transitions import FINAL_STATES
from dockersched.graph.waiting import Resource, wait_of
from dockersched.inspection.recorded_events import last_event
from dockersched.inspection.runs import RunView
from dockersched.inspection.tasks import TaskView, read_tasks
from dockersched.model import EpicExecutionOptions, RetryPolicy, ScheduledTask
from dockersched.results import SandboxResult
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.states import TaskState
from dockersched.store.codec import load_result, load_task
from dockersched.store.decoding import decoding
from dockersched.store.reader import StateReader

_UNITS: Mapping[Resource, float] = {"slots": 1, "cpus": 1e9, "memory": 1}
_HOLDING = (TaskState.RUNNING, TaskState.STOPPING)


class Shortage(Struct, frozen=True):
    """A resource of which not enough is free for a task.

    Args:
        resource: `slots`, `cpus` or `memory`.
        needed, free, whole: how much the task asks for, nobody holds, and all may have together; memory in bytes.
        held_by: the running tasks that hold some, those that hold most first.
    """

    resource: Resource
    needed: float
    free: float
    whole: float
    held_by: Sequence[str]


class Explanation(Struct, frozen=True):
    """Why a task stands where it stands.

    Args:
        run: its run.
        task: how it stands.
        policy: when it is tried again.
        unmet: the tasks whose ends it waits for, and how they stand.
        shortages: what a ready task lacks.
        path: from the task that is the root cause to this one, both included; empty where there is none.
        last: how its last attempt that has ended came back; None if there is none.
    """

    run: RunView
    task: TaskView
    policy: RetryPolicy
    unmet: Mapping[str, TaskState]
    shortages: Sequence[Shortage]
    path: Sequence[str]
    last: SandboxResult | None

    @property
    def attempts_left(self) -> int:
        """How many attempts its policy would still give it."""
        return max(0, self.policy.limit + 1 - self.task.attempt)

    @property
    def is_infrastructure(self) -> bool:
        """Whether it is not the task's own doing, so that the next try may succeed."""
        return self.task.reason in INFRASTRUCTURE

    @property
    def is_covered(self) -> bool:
        """Whether its policy names why it, or its last attempt, did not succeed."""
        ended = SandboxResult("", self.task.exit_code, self.task.reason)
        return self.task.reason is not None and wants_retry(self.policy, ended, attempt=0)


def explain(reader: StateReader, run: RunView, task_id: str) -> Explanation:
    """Why a task stands where it stands.

    Args:
        reader: of the state directory.
        run: whose tasks are on record.
        task_id: one of them.

    Raises:
        StateError: a record cannot be read, or there are no tasks on record yet.
    """
    tasks = read_tasks(reader, run.run_id, has_ended=run.has_ended)
    if not tasks:
        raise StateError(f"run {run.run_id} has no tasks on record")
    task, needs = tasks[task_id], reader.dependencies(run.run_id)
    unmet, shortages = {}, []
    if task.state is TaskState.PENDING:
        unmet = _unmet(task_id, needs, reader.at_end(run.run_id), tasks)
    elif task.state is TaskState.READY:
        shortages = _shortages(reader, run, tasks, task_id)
    path = _path(needs, tasks, task.root_cause, task_id) if task.root_cause else []
    last = reader.last_result(run.run_id, task_id)
    (spec,) = _specs(reader, run, [task_id])
    return Explanation(run, task, spec.retry, unmet, shortages, path, _result(reader, last) if last else None)


def _result(reader: StateReader, text: str) -> SandboxResult:
    """A terminal record, whose log is where it is now."""
    result = load_result(text)
    if result.log is None:
        return result
    return replace(result, log=replace(result.log, path=str(reader.where_it_is(result.log.path))))


def _unmet(
    task_id: str, needs: Mapping[str, Sequence[str]], at_end: Container[str], tasks: Mapping[str, TaskView]
) -> dict[str, TaskState]:
    """What a pending task waits for, with its state; one at the end waits for all that is not."""
    needed = needs[task_id]
    if task_id in at_end:
        needed = [other for other in needs if other not in at_end or other in needed]
    return {other: tasks[other].state for other in needed if tasks[other].state not in FINAL_STATES}


def _specs(reader: StateReader, run: RunView, task_ids: Iterable[str]) -> list[ScheduledTask]:
    fields = {task["id"]: task for task in (reader.epic(run.run_id) or {"tasks": []})["tasks"]}
    return [load_task(fields[task_id]) for task_id in task_ids]


def _shortages(reader: StateReader, run: RunView, tasks: Mapping[str, TaskView], task_id: str) -> list[Shortage]:
    """What a ready task lacks, by the rules of admission, with what runs now as what is held."""
    holding = [task.task_id for task in tasks.values() if task.state in _HOLDING]
    specs = _specs(reader, run, [*holding, task_id])
    limits = _limits(last_event(run.folder, "epic_started"), (reader.epic(run.run_id) or {})["options"])
    kills = reader.oom_kills(run.run_id) if any(spec.retry.memory_factor for spec in specs) else {}
    fill_quota = SandboxDefaults().fill_quota
    demands = [grown(demand_of(fill_quota(spec.quota)), spec.retry, kills.get(spec.id, 0), limits) for spec in specs]
    admission = Admission(range(len(specs)), demands, limits, in_flight=dict(enumerate(demands[:-1])))
    asking = len(holding)
    admission.add(asking)
    wait = wait_of(admission, asking)
    slots, *free = admission.free()
    available = dict(zip(_UNITS, (slots - asking, *free), strict=True))
    wanted, whole = dict(zip(_UNITS, (1, *demands[asking]), strict=True)), dict(zip(_UNITS, limits, strict=True))
    return [
        Shortage(
            resource,
            wanted[resource] / _UNITS[resource],
            max(0.0, available[resource]) / _UNITS[resource],
            whole[resource] / _UNITS[resource],
            [holding[index] for index in wait.holders[resource]],
        )
        for resource in wait.lacks
    ]


def _limits(started: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Limits:
    """What all may have together: as the run told when it began, else what its epic says."""
    told = started or {}
    with decoding():
        given = EpicExecutionOptions(**options)
    cpus = told.get("max_cpus", given.max_cpus)
    memory_bytes = told.get("max_memory", given.max_memory_bytes)
    return Limits(
        given.max_parallel,
        math.inf if cpus is None else cpus * _UNITS["cpus"],
        math.inf if memory_bytes is None else memory_bytes,
    )


def _path(needs: Mapping[str, Sequence[str]], tasks: Mapping[str, TaskView], cause: str, task_id: str) -> list[str]:
    """A shortest way from a root cause to a task that never started because of it."""
    after = {task_id: ""}
    frontier = [task_id]
    for other in frontier:  # grows while it is walked
        if other == cause:
            break
        for needed in needs[other]:
            if needed not in after and (needed == cause or tasks[needed].state is not TaskState.SUCCEEDED):
                after[needed] = other
                frontier.append(needed)
    path, at = [], cause if cause in after else ""
    while at:
        path.append(at)
        at = after[at]
    return path
