"""What one sandbox may use."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dockersched import units
from dockersched.model.checks import count, is_number

MIN_CPUS = 0.01
"""A hundredth of a core; the engine takes no less."""

MIN_MEMORY_BYTES = 6 * 2**20
"""The engine refuses a lower memory limit (Docker Engine 20.10: "Minimum memory limit allowed is 6MB")."""


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    """What one sandbox may use; what is left out takes the runner's default.

    Args:
        cpus: CPUs, fractions allowed (0.5 is half of one core).
        memory: bytes, or a text such as `512m`; swap is not given on top.
        pids: processes and threads together.

    Raises:
        ValueError: a limit that no engine can enforce.
    """

    cpus: float | None = None
    memory: int | str | None = None
    pids: int | None = None

    def __post_init__(self) -> None:
        """Checks the limits and turns `memory` into bytes."""
        cpus: object = self.cpus
        if cpus is not None and not (is_number(cpus) and MIN_CPUS <= cpus < math.inf):
            raise ValueError(f"cpus must be a number of at least {MIN_CPUS}, not {cpus!r}")
        if self.pids is not None:
            count("pids", self.pids)
        if self.memory is not None:
            memory = units.parse_bytes(self.memory)
            if memory < MIN_MEMORY_BYTES:
                raise ValueError(f"memory must be at least 6m (the engine's lower limit), not {self.memory!r}")
            object.__setattr__(self, "memory", memory)

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory is None else int(self.memory)

    @property
    def nano_cpus(self) -> int | None:
        """The CPU limit as the engine takes it: billionths of a CPU."""
        return None if self.cpus is None else round(self.cpus * 1e9)

    def or_default(self, default: QuotaConfig) -> QuotaConfig:
        """This quota, with every limit that is left out taken from `default`."""
        return QuotaConfig(
            cpus=self.cpus if self.cpus is not None else default.cpus,
            memory=self.memory if self.memory is not None else default.memory,
            pids=self.pids if self.pids is not None else default.pids,
        )
