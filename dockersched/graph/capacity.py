"""What a graph asks of an engine, against what the engine has."""

from collections.abc import Iterable

from dockersched import units
from dockersched.errors import Problem
from dockersched.model import ScheduledTask


def check_capacity(tasks: Iterable[ScheduledTask], *, cpus: int, memory_bytes: int) -> list[Problem]:
    """Every task whose quota is more than an engine has, so that it could never run there.

    Args:
        tasks: a graph, or any tasks.
        cpus: how many CPUs the engine has; it refuses a container with more.
        memory_bytes: how much memory the engine has.

    Returns:
        one problem for each limit that is too high, at `("tasks", id, "quota", key)`.
    """
    problems: list[Problem] = []
    for task in tasks:
        quota = task.quota
        if quota is None:
            continue
        if quota.cpus is not None and quota.cpus > cpus:
            wanted, there = f"{quota.cpus:g} CPUs", str(cpus)
            problems.append(_problem(task.id, "cpus", wanted, there))
        if quota.memory_bytes is not None and quota.memory_bytes > memory_bytes:
            wanted, there = units.format_bytes(quota.memory_bytes), units.format_bytes(memory_bytes)
            problems.append(_problem(task.id, "memory", f"{wanted} of memory", there))
    return problems


def _problem(task_id: str, key: str, wanted: str, there: str) -> Problem:
    message = f"task {task_id!r} asks for {wanted}, but the engine has {there}: lower quota.{key}"
    return Problem(message, ("tasks", task_id, "quota", key))
