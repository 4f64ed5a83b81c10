"""Why a ready task has not started: what it lacks, and who has that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from dockersched.graph.admission import Admission

Resource = Literal["slots", "cpus", "memory"]


class Wait(Struct, frozen=True):
    """What a ready task waits for.

    Args:
        lacks: the resources of which not enough is free, or of which too much is kept for another task.
        holders: for each of them, the running tasks that hold some, those that hold most first.
        kept_for: the other task for which room is kept, if there is one.
        behind: the ready tasks that come before it in order.
    """

    lacks: Sequence[Resource]
    holders: dict[Resource, list[int]]
    kept_for: int | None
    behind: Sequence[int]


def wait_of(admission: Admission, index: int) -> Wait:
    """What a ready task waits for; where it lacks nothing, it starts after those before it.

    Args:
        admission: of a plan.
        index: of the task.
    """
    kept_for = None if admission.kept_for == index else admission.kept_for
    slots = admission.free().slots - len(admission.in_flight)
    _, nano_cpus, memory_bytes = admission.free() if kept_for is None else admission.room()
    wanted_cpus, wanted_memory = admission.demand(index)
    lacks: list[Resource] = []
    if slots < 1:
        lacks.append("slots")
    if wanted_cpus > nano_cpus:
        lacks.append("cpus")
    if wanted_memory > memory_bytes:
        lacks.append("memory")
    ready = admission.ready()
    return Wait(
        lacks, {resource: holders(admission, resource) for resource in lacks}, kept_for, ready[: ready.index(index)]
    )


def holders(admission: Admission, resource: Resource) -> list[int]:
    """The running tasks that hold some of a resource, those that hold most first, else as they started.

    Those that an earlier process of the run started, and that are still to be resumed, hold theirs, too.

    Args:
        admission: of a plan.
        resource: which.
    """
    shares = admission.in_flight | admission.holding

    def held(index: int) -> int:
        nano_cpus, memory_bytes = shares[index]
        return {"slots": 1, "cpus": nano_cpus, "memory": memory_bytes}[resource]

    return sorted(filter(held, shares), key=held, reverse=True)
