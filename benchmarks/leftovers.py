"""What a client leaves on an engine: counted, then removed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.engine_client import EngineAnswerError, EngineConnection, quoted_filters


@dataclass(frozen=True)
class Left:
    """How much of each kind a run left behind."""

    containers: int = 0
    networks: int = 0
    volumes: int = 0

    def __str__(self) -> str:
        counts = {"containers": self.containers, "networks": self.networks, "volumes": self.volumes}
        return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing"


def clear(engine: EngineConnection, label: str) -> Left:
    """Removes everything that has a label.

    Args:
        engine: to look on.
        label: `key=value`, or a key alone.

    Raises:
        EngineAnswerError: the engine lists nothing; what it does not remove is counted all the same.
    """
    query = quoted_filters(label=label)
    containers = [item["Id"] for item in engine.call("GET", f"/containers/json?all=1&filters={query}")]
    remove_containers(engine, containers)
    networks = [item["Id"] for item in engine.call("GET", f"/networks?filters={query}")]
    _remove(engine, [f"/networks/{network}" for network in networks])
    volumes = [item["Name"] for item in engine.call("GET", f"/volumes?filters={query}")["Volumes"] or ()]
    _remove(engine, [f"/volumes/{volume}?force=1" for volume in volumes])
    return Left(len(containers), len(networks), len(volumes))


def remove_containers(engine: EngineConnection, containers: Sequence[str]) -> int:
    """Removes containers, by id, with their anonymous volumes; returns how many were there."""
    return _remove(engine, [f"/containers/{container}?v=1&force=1" for container in containers])


def _remove(engine: EngineConnection, paths: Sequence[str]) -> int:
    removed = 0
    for path in paths:
        with suppress(EngineAnswerError):
            engine.call("DELETE", path)
            removed += 1
    return removed
