"""What an engine is and can do, as it says: what a sandbox asks for is held against it before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class EngineFeatures:
    """What an engine says of itself.

    Args:
        cpus, memory_bytes: of its host.
        runtimes: names of the OCI runtimes that it can run containers with.
    """

    cpus: int
    memory_bytes: int
    runtimes: frozenset[str]

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """The features in the engine's own answer.

        Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System/operation/SystemInfo
        """
        return cls(
            cpus=int(info["NCPU"]),
            memory_bytes=int(info["MemTotal"]),
            runtimes=frozenset(info.get("Runtimes") or ()),
        )
