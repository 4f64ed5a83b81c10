"""What one sandbox may use."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from dockersched import units
from dockersched.model.checks import count, is_number
from dockersched.model.opening import check_nofile

MIN_CPUS = 0.01
"""A hundredth of a core; the engine takes no less."""

MIN_MEMORY_BYTES = 6 * 2**20
"""The engine refuses a lower memory limit (Docker Engine 20.10: "Minimum memory limit allowed is 6MB")."""

MAX_PIDS = 2**22
"""The kernel's own limit (PID_MAX_LIMIT); a container with more does not start."""

MIN_DISK_BYTES = 4_096
MIN_FSIZE_BYTES = 1
MIN_LOG_BYTES = 64 * 2**10
"""The engine writes entries of up to 16 KiB into files of a quarter of this size."""

_SIZES = {
    "memory": (MIN_MEMORY_BYTES, "6m (the engine's lower limit)"),
    "disk": (MIN_DISK_BYTES, "4k"),
    "fsize": (MIN_FSIZE_BYTES, "1"),
    "log": (MIN_LOG_BYTES, "64k"),
}


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    """What one sandbox may use; what is left out takes the runner's default.

    Args:
        cpus: CPUs, fractions allowed (0.5 is half of one core).
        memory: bytes, or a text such as `512m`; swap is not given on top.
        pids: processes and threads together.
        disk: bytes or a text: what can be written altogether. With a read-only root this bounds the places in memory,
            else the root file system.
        nofile: files that each process may have open.
        fsize: bytes or a text: the largest file that a process can write.
        log: bytes or a text: how much of the output is kept.

    Raises:
        ValueError: a limit that no engine can enforce.
    """

    cpus: float | None = None
    memory: int | str | None = None
    pids: int | None = None
    disk: int | str | None = None
    nofile: int | None = None
    fsize: int | str | None = None
    log: int | str | None = None

    def __post_init__(self) -> None:
        """Checks the limits and turns sizes into bytes."""
        cpus: object = self.cpus
        if cpus is not None and not (is_number(cpus) and MIN_CPUS <= cpus < math.inf):
            raise ValueError(f"cpus must be a number of at least {MIN_CPUS}, not {cpus!r}")
        if self.pids is not None:
            count("pids", self.pids)
            if self.pids > MAX_PIDS:
                raise ValueError(f"pids must be at most {MAX_PIDS}, not {self.pids!r}")
        if self.nofile is not None:
            check_nofile("nofile", self.nofile)
        for name, (minimum, shown) in _SIZES.items():
            size = getattr(self, name)
            if size is not None:
                size_bytes = units.parse_bytes(size)
                if size_bytes < minimum:
                    raise ValueError(f"{name} must be at least {shown}, not {size!r}")
                object.__setattr__(self, name, size_bytes)

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory is None else int(self.memory)

    @property
    def disk_bytes(self) -> int | None:
        """How much can be written altogether."""
        return None if self.disk is None else int(self.disk)

    @property
    def fsize_bytes(self) -> int | None:
        """The largest file."""
        return None if self.fsize is None else int(self.fsize)

    @property
    def log_bytes(self) -> int | None:
        """How much of the output is kept."""
        return None if self.log is None else int(self.log)

    @property
    def nano_cpus(self) -> int | None:
        """The CPU limit as the engine takes it: billionths of a CPU."""
        return None if self.cpus is None else round(self.cpus * 1e9)

    def or_default(self, default: QuotaConfig) -> QuotaConfig:
        """This quota, with every limit that is left out taken from `default`."""
        return QuotaConfig(
            **{
                limit.name: getattr(default if getattr(self, limit.name) is None else self, limit.name)
                for limit in fields(self)
            }
        )
