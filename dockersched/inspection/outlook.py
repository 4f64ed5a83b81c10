"""What an epic would do if it were run, without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from dockersched.epic import Epic
from dockersched.errors import EpicError
from dockersched.graph.admission import Admission
from dockersched.graph.capacity import check_capacity, share_out
from dockersched.graph.dag import TaskDAG
from dockersched.graph.demand import Demand, Limits
from dockersched.graph.forecast import Span, critical_path, forecast, makespan_s
from dockersched.graph.order import expected_s, start_order
from dockersched.graph.plan import Plan
from dockersched.sandbox.docker.defaults import SandboxDefaults


class Basis(StrEnum):
    """Where the expected duration of a task is from."""

    EXPECTED = "expected_duration"
    HISTORY = "earlier_runs"
    ASSUMED = "assumed"


class TaskOutlook(Struct, frozen=True):
    """A task of an epic that is not run yet.

    Args:
        task_id: of the task.
        wave: 1 for a task that depends on nothing, else one more than the last wave of those it depends on; `finally`
            comes after all waves of the others.
        span: when it would run.
        basis: where its duration is from.
        demand: what it asks for.
    """

    task_id: str
    wave: int
    span: Span
    basis: Basis
    demand: Demand


class Outlook(Struct, frozen=True):
    """What an epic would do.

    Args:
        epic_id: name of the epic.
        limits: what all sandboxes may have together; infinite where nothing is known of the engine.
        tasks: in the order in which they would start.
        makespan_s: how long it would take.
        critical_path: ids along the longest path of expected work.
        critical_path_s: how long that is: no limits make it faster.
        peak: the most slots, billionths of a CPU and bytes of memory that are asked for at any one time.
    """

    epic_id: str
    limits: Limits
    tasks: Sequence[TaskOutlook]
    makespan_s: float
    critical_path: Sequence[str]
    critical_path_s: float
    peak: Limits

    @property
    def waves(self) -> list[list[str]]:
        """Ids of the tasks of each wave, in the order in which they would start."""
        found: list[list[str]] = [[] for _ in range(max((task.wave for task in self.tasks), default=0))]
        for task in self.tasks:
            found[task.wave - 1].append(task.task_id)
        return found

    def based_on(self, basis: Basis) -> list[str]:
        """Ids of the tasks whose duration is from there."""
        return [task.task_id for task in self.tasks if task.basis is basis]


def look_ahead(epic: Epic, history: Mapping[str, float]) -> Outlook:
    """What an epic would do, by the rules by which it is run.

    Args:
        epic: with the limits that are meant.
        history: seconds that its tasks took in earlier runs, by task id.

    Raises:
        EpicError: a task asks for more than all may have together.
    """
    dag = epic.dag
    shares = share_out(dag, epic.options, full_quota=SandboxDefaults().fill_quota)
    if problems := check_capacity(dag, shares):
        raise EpicError(problems)
    durations = expected_s(dag, history)
    order = start_order(dag, durations)
    spans = forecast(Plan(dag, Admission(order, shares.demands, shares.limits)), durations)
    rank = {index: rank for rank, index in enumerate(order)}
    started = sorted(range(len(dag)), key=lambda index: (spans[index].start_s, rank[index]))
    waves = _waves(dag)
    path = critical_path(dag, durations)
    return Outlook(
        epic.options.epic_id,
        shares.limits,
        [
            TaskOutlook(task.id, waves[index], spans[index], _basis(task.id, task.expected_duration_s, history), demand)
            for index in started
            for task, demand in [(dag.tasks[index], shares.demands[index])]
        ],
        makespan_s(spans),
        [dag.tasks[index].id for index in path],
        sum(durations[index] for index in path),
        _peak(spans, shares.demands),
    )


def _basis(task_id: str, expected_duration_s: float | None, history: Mapping[str, float]) -> Basis:
    if expected_duration_s is not None:
        return Basis.EXPECTED
    return Basis.HISTORY if task_id in history else Basis.ASSUMED


def _waves(dag: TaskDAG) -> list[int]:
    waves = [1] * len(dag)
    for index in dag.topological:
        for dependent in dag.dependents[index]:
            if dag.tasks[dependent].finally_ == dag.tasks[index].finally_:
                waves[dependent] = max(waves[dependent], waves[index] + 1)
    main = max((wave for wave, task in zip(waves, dag, strict=True) if not task.finally_), default=0)
    return [wave + main if task.finally_ else wave for wave, task in zip(waves, dag, strict=True)]


def _peak(spans: Sequence[Span], demands: Sequence[Demand]) -> Limits:
    """The most of each resource; what ends when another begins is free for it."""
    changes = [(span.end_s, -1, demand) for span, demand in zip(spans, demands, strict=True)]
    changes += [(span.start_s, 1, demand) for span, demand in zip(spans, demands, strict=True)]
    held, peak = [0, 0, 0], [0, 0, 0]
    for _, sign, (nano_cpus, memory_bytes) in sorted(changes, key=lambda change: change[:2]):
        for at, amount in enumerate((1, nano_cpus, memory_bytes)):
            held[at] += sign * amount
            peak[at] = max(peak[at], held[at])
    return Limits(*peak)
