"""What the tasks of a run ask for, and what they may have together on an engine of a given size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from msgspec import Struct, field
from msgspec.structs import replace

from dockersched import units
from dockersched.errors import Problem
from dockersched.graph.admission import Admission
from dockersched.graph.dag import TaskDAG
from dockersched.graph.demand import Demand, Limits
from dockersched.graph.retry import next_memory_bytes
from dockersched.graph.standing import Standing
from dockersched.model import EpicExecutionOptions, QuotaConfig, RetryPolicy

FullQuota = Callable[[QuotaConfig | None], QuotaConfig]
"""A quota with what a runner gives where it is silent."""

_NANO = 1_000_000_000


class Capacity(Struct, frozen=True):
    """What an engine has; it refuses a container with more CPUs.

    Args:
        cpus: how many CPUs.
        memory_bytes: how much memory.
    """

    cpus: float
    memory_bytes: int


class Shares(Struct, frozen=True):
    """What each task of a run asks for, and what they may have together.

    Args:
        quotas: of the tasks, by index, with the runner's defaults.
        demands: what admission counts of them, by index.
        limits: the whole.
        recorded: how many attempts of a task an earlier process of the run has put on record, by index.
        in_flight: what attempts hold that it may have started besides, by index.
    """

    quotas: Sequence[QuotaConfig]
    demands: Sequence[Demand]
    limits: Limits
    recorded: Mapping[int, int] = field(default_factory=dict)
    in_flight: Mapping[int, Demand] = field(default_factory=dict)

    def admission(self, order: Sequence[int]) -> Admission:
        """Lets the tasks in by these shares, in this order."""
        return Admission(order, self.demands, self.limits, recorded=self.recorded, in_flight=self.in_flight)


def demand_of(quota: QuotaConfig) -> Demand:
    """What admission counts of a quota; a limit that nobody knows counts nothing."""
    return quota.nano_cpus or 0, quota.memory_bytes or 0


def grown(demand: Demand, policy: RetryPolicy, oom_kills: int, limits: Limits) -> Demand:
    """What an attempt asks for after others that were killed for lack of memory.

    Args:
        demand: of the first attempt.
        policy: of the task.
        oom_kills: how many were.
        limits: of the run.
    """
    nano_cpus, memory_bytes = demand
    for _ in range(oom_kills if policy.memory_factor else 0):
        memory_bytes = next_memory_bytes(policy, memory_bytes, limits.memory_bytes)
    return nano_cpus, memory_bytes


def share_out(
    dag: TaskDAG,
    options: EpicExecutionOptions,
    capacity: Capacity | None = None,
    full_quota: FullQuota = lambda quota: quota or QuotaConfig(),
) -> Shares:
    """The shares of a run.

    Args:
        dag: the graph.
        options: of the run; `max_cpus` and `max_memory` are taken as they are, else the factors apply.
        capacity: of the engine; without it, what the options leave out is unlimited.
        full_quota: gives a task's quota the runner's defaults.
    """

    @cache
    def share(quota: QuotaConfig | None) -> tuple[QuotaConfig, Demand]:
        full = full_quota(quota)
        return full, demand_of(full)

    nano_cpus = memory_bytes = math.inf
    if options.max_cpus is not None:
        nano_cpus = round(options.max_cpus * _NANO)
    elif capacity is not None:
        nano_cpus = round(capacity.cpus * options.overcommit_cpus * _NANO)
    if options.max_memory_bytes is not None:
        memory_bytes = options.max_memory_bytes
    elif capacity is not None:
        memory_bytes = int(capacity.memory_bytes * options.overcommit_memory)
    shares = [share(task.quota) for task in dag]
    limits = Limits(options.max_parallel, nano_cpus, memory_bytes)
    return Shares([quota for quota, _ in shares], [demand for _, demand in shares], limits)


def resumed(dag: TaskDAG, shares: Shares, standing: Mapping[str, Standing]) -> Shares:
    """The shares of a run that goes on.

    Args:
        dag: the graph.
        shares: as they were when it began.
        standing: what an earlier process left, by task id.
    """
    recorded, in_flight = {}, {}
    for task_id, left in standing.items():
        index = dag.index(task_id)
        if left.recorded:
            recorded[index] = left.recorded
        if left.in_flight:
            in_flight[index] = grown(shares.demands[index], dag.tasks[index].retry, left.oom_kills, shares.limits)
    return replace(shares, recorded=recorded, in_flight=in_flight)


def check_capacity(dag: TaskDAG, shares: Shares, capacity: Capacity | None = None) -> list[Problem]:
    """Every task that asks for more than an engine has, or than all tasks together may have: it could never run.

    Args:
        dag: the graph.
        shares: of its tasks.
        capacity: of the engine.

    Returns:
        one problem for each limit that is too high, at `("tasks", id, "quota", key)`.
    """
    limits = shares.limits
    most_cpus, most_memory = limits.nano_cpus, limits.memory_bytes
    if capacity is not None:
        most_cpus, most_memory = min(most_cpus, capacity.cpus * _NANO), min(most_memory, capacity.memory_bytes)
    problems: list[Problem] = []
    for task, (nano_cpus, memory_bytes) in zip(dag, shares.demands, strict=True):
        if nano_cpus > most_cpus:
            problems.append(_cpus_problem(task.id, nano_cpus / _NANO, limits.nano_cpus / _NANO, capacity))
        if memory_bytes > most_memory:
            problems.append(_memory_problem(task.id, memory_bytes, limits.memory_bytes, capacity))
    return problems


def _cpus_problem(task_id: str, cpus: float, limit: float, capacity: Capacity | None) -> Problem:
    wanted = f"{cpus:g} CPU{'' if cpus == 1 else 's'}"
    if capacity is not None and cpus > capacity.cpus:
        return _problem(task_id, "cpus", f"{wanted}, but the engine has {capacity.cpus:g}: lower quota.cpus")
    return _problem(task_id, "cpus", f"{wanted}, but {_together(f'{limit:g}')} quota.cpus, or raise max_cpus")


def _memory_problem(task_id: str, memory_bytes: int, limit: float, capacity: Capacity | None) -> Problem:
    wanted = f"{units.format_bytes(memory_bytes)} of memory"
    if capacity is not None and memory_bytes > capacity.memory_bytes:
        there = units.format_bytes(capacity.memory_bytes)
        return _problem(task_id, "memory", f"{wanted}, but the engine has {there}: lower quota.memory")
    there = units.format_bytes(int(limit))
    return _problem(task_id, "memory", f"{wanted}, but {_together(there)} quota.memory, or raise max_memory")


def _together(there: str) -> str:
    return f"all tasks together may have {there}: lower"


def _problem(task_id: str, key: str, rest: str) -> Problem:
    return Problem(f"task {task_id!r} asks for {rest}", ("tasks", task_id, "quota", key))
