"""What the tasks of a run ask for, and what they may have together on an engine of a given size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from dockersched import units
from dockersched.errors import Problem
from dockersched.graph.admission import Demand, Limits, Standing
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, QuotaConfig

FullQuota = Callable[[QuotaConfig | None], QuotaConfig]
"""A quota with what a runner gives where it is silent."""

_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """What an engine has; it refuses a container with more CPUs.

    Args:
        cpus: how many CPUs.
        memory_bytes: how much memory.
    """

    cpus: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Shares:
    """What each task of a run asks for, and what they may have together.

    Args:
        quotas: of the tasks, by index, with the runner's defaults.
        limits: the whole.
        standing: what an earlier process of the run left, by index.
    """

    quotas: Sequence[QuotaConfig]
    limits: Limits
    standing: Mapping[int, Standing] = field(default_factory=dict)

    def demands(self) -> list[Demand]:
        """What admission counts of each task, by index."""
        return [demand_of(quota) for quota in self.quotas]


def demand_of(quota: QuotaConfig) -> Demand:
    """What admission counts of a quota; a limit that nobody knows counts nothing."""
    return quota.nano_cpus or 0, quota.memory_bytes or 0


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
    full = cache(full_quota)
    nano_cpus = memory_bytes = math.inf
    if options.max_cpus is not None:
        nano_cpus = round(options.max_cpus * _NANO)
    elif capacity is not None:
        nano_cpus = round(capacity.cpus * options.overcommit_cpus * _NANO)
    if options.max_memory_bytes is not None:
        memory_bytes = options.max_memory_bytes
    elif capacity is not None:
        memory_bytes = int(capacity.memory_bytes * options.overcommit_memory)
    return Shares([full(task.quota) for task in dag], Limits(options.max_parallel, nano_cpus, memory_bytes))


def check_capacity(dag: TaskDAG, shares: Shares, capacity: Capacity | None = None) -> list[Problem]:
    """Every task that asks for more than an engine has, or than all tasks together may have: it could never run.

    Args:
        dag: the graph.
        shares: of its tasks.
        capacity: of the engine.

    Returns:
        one problem for each limit that is too high, at `("tasks", id, "quota", key)`.
    """
    return [
        problem
        for task, quota in zip(dag, shares.quotas, strict=True)
        for problem in (
            _cpus_problem(task.id, quota, shares, capacity),
            _memory_problem(task.id, quota, shares, capacity),
        )
        if problem is not None
    ]


def _cpus_problem(task_id: str, quota: QuotaConfig, shares: Shares, capacity: Capacity | None) -> Problem | None:
    if quota.cpus is None or quota.nano_cpus is None:
        return None
    wanted = f"{quota.cpus:g} CPU{'' if quota.cpus == 1 else 's'}"
    if capacity is not None and quota.cpus > capacity.cpus:
        return _problem(task_id, "cpus", f"{wanted}, but the engine has {capacity.cpus:g}: lower quota.cpus")
    if quota.nano_cpus > shares.limits.nano_cpus:
        there = f"{shares.limits.nano_cpus / _NANO:g}"
        return _problem(task_id, "cpus", f"{wanted}, but {_together(there)} quota.cpus, or raise max_cpus")
    return None


def _memory_problem(task_id: str, quota: QuotaConfig, shares: Shares, capacity: Capacity | None) -> Problem | None:
    if quota.memory_bytes is None:
        return None
    wanted = f"{units.format_bytes(quota.memory_bytes)} of memory"
    if capacity is not None and quota.memory_bytes > capacity.memory_bytes:
        there = units.format_bytes(capacity.memory_bytes)
        return _problem(task_id, "memory", f"{wanted}, but the engine has {there}: lower quota.memory")
    if quota.memory_bytes > shares.limits.memory_bytes:
        there = units.format_bytes(int(shares.limits.memory_bytes))
        return _problem(task_id, "memory", f"{wanted}, but {_together(there)} quota.memory, or raise max_memory")
    return None


def _together(there: str) -> str:
    return f"all tasks together may have {there}: lower"


def _problem(task_id: str, key: str, rest: str) -> Problem:
    return Problem(f"task {task_id!r} asks for {rest}", ("tasks", task_id, "quota", key))
