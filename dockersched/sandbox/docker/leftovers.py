"""What runs leave on the engine: containers, holders and volumes with our labels. Found by run, and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct, field

from dockersched import ids
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.pool import EnginePool
from dockersched.sandbox.docker.translate import LABEL_PREFIX, LABEL_RUN
from dockersched.sandbox.docker.volumes import LABEL_VOLUME


class Leftovers(Struct, frozen=True):
    """Names of what one run has on the engine."""

    containers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def of_containers(self, names: Collection[str]) -> Leftovers:
        """What of it are containers with these names, their holders and volumes."""
        of_theirs = tuple(f"{name}-" for name in names)

        def theirs(found: Sequence[str]) -> list[str]:
            return [name for name in found if name in names or name.startswith(of_theirs)]

        return Leftovers(theirs(self.containers), theirs(self.volumes))

    @property
    def things(self) -> list[str]:
        """All of it, in words: `container NAME`, `volume NAME`."""
        return [f"container {name}" for name in self.containers] + [f"volume {name}" for name in self.volumes]


async def find(pool: EnginePool, label: str) -> dict[str, Leftovers]:
    """What there is on the engine with a label, by run; only what dockersched made.

    A thing with our labels whose name does not agree with them belongs to somebody else.
    """
    # Volumes first: one whose sandbox is being removed meanwhile then still comes after its container.
    volumes, containers = await pool.call(lambda calls: (calls.list_volumes(label), calls.list_run(label)))
    found: dict[str, Leftovers] = {}
    for container in containers:
        labels = container.get("Labels") or {}
        for name in container.get("Names") or ():
            if _agrees(name.removeprefix("/"), labels):
                found.setdefault(labels[LABEL_RUN], Leftovers()).containers.append(name.removeprefix("/"))
    for name, labels in volumes.items():
        if _agrees(name, labels):
            found.setdefault(labels[LABEL_RUN], Leftovers()).volumes.append(name)
    return found


async def remove(pool: EnginePool, leftovers: Leftovers) -> list[str]:
    """Removes containers side by side, then the volumes that they had; returns in words what could not be removed."""
    containers = await _each(pool, EngineCalls.remove, leftovers.containers)
    volumes = await _each(pool, EngineCalls.remove_volume, leftovers.volumes)
    return Leftovers(containers, volumes).things


async def _each(pool: EnginePool, remove_one: Callable[[EngineCalls, str], None], names: Sequence[str]) -> list[str]:
    """Removes things side by side; returns the names of those that could not be removed."""

    def batch(name: str) -> Callable[[EngineCalls], None]:
        return lambda calls: remove_one(calls, name)

    outcomes = await asyncio.gather(*(pool.call(batch(name)) for name in names), return_exceptions=True)
    return [name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, BaseException)]


def _agrees(name: str, labels: Mapping[str, str]) -> bool:
    """Whether a name is the one that follows from the labels, or that of a volume or holder of that sandbox."""
    epic_id, run_id, task_id, attempt = (
        labels.get(f"{LABEL_PREFIX}.{key}", "") for key in ("epic", "run", "task", "attempt")
    )
    if not attempt.isdecimal():
        return False
    container = ids.container_name(epic_id, run_id, task_id, int(attempt))
    return name == container or (name.startswith(f"{container}-") and labels.get(LABEL_VOLUME) == name)
