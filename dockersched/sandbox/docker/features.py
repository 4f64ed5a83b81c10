"""What an engine is and can do, as it says: what a sandbox asks for is held against it before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from msgspec import Struct

from dockersched.graph.capacity import Capacity

_LIMITING_DRIVERS = {"btrfs", "zfs"}


class EngineFeatures(Struct, frozen=True):
    """What an engine says of itself.

    Args:
        cpus, memory_bytes: of its host.
        runtimes: names of the OCI runtimes that it can run containers with.
        default_runtime: the one that it takes when none is asked for.
        architecture: of its host, as the kernel names it.
        is_local: whether it sees the same files as this process, as far as its address tells.
        data_root: its own folder on its host.
        storage: how it keeps images and containers, in words.
        may_limit_disk: whether this kind of storage can bound the root file system of a container. For overlay2 on
            xfs that also takes a mount option that the engine does not tell of: it refuses the container without it.
    """

    cpus: int
    memory_bytes: int
    runtimes: frozenset[str]
    default_runtime: str = ""
    architecture: str = ""
    is_local: bool = True
    data_root: str = "/var/lib/docker"
    storage: str = "unknown"
    may_limit_disk: bool = False

    @property
    def capacity(self) -> Capacity:
        """What its host has for sandboxes."""
        return Capacity(self.cpus, self.memory_bytes)

    def runs_by_runc(self, runtime: str | None) -> bool:
        """Whether a container with this runtime, None for the default one, shares the host's kernel by runc."""
        return (runtime or self.default_runtime) == "runc"

    @classmethod
    def of(cls, info: Mapping[str, Any], *, is_local: bool) -> Self:
        """The features in the engine's own answer.

        Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System/operation/SystemInfo
        """
        driver = str(info.get("Driver") or "unknown")
        backing = dict(info.get("DriverStatus") or ()).get("Backing Filesystem", "")
        return cls(
            cpus=int(info["NCPU"]),
            memory_bytes=int(info["MemTotal"]),
            runtimes=frozenset(info.get("Runtimes") or ()),
            default_runtime=str(info.get("DefaultRuntime") or ""),
            architecture=str(info.get("Architecture") or ""),
            is_local=is_local,
            data_root=str(info.get("DockerRootDir") or "/var/lib/docker"),
            storage=f"{driver} on {backing}" if backing else driver,
            may_limit_disk=driver in _LIMITING_DRIVERS or (driver == "overlay2" and backing == "xfs"),
        )
