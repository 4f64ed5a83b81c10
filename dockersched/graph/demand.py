"""What tasks hold while their sandboxes are there, and what all of a run may have together."""

from __future__ import annotations

import math
from typing import NamedTuple

Demand = tuple[int, int]
"""What a task holds while its sandbox is there, beside a slot: billionths of a CPU, and bytes of memory."""

NOTHING: Demand = (0, 0)


class Limits(NamedTuple):
    """Slots, billionths of a CPU, bytes of memory: what all sandboxes of a run may have together, or what is free."""

    slots: float = math.inf
    nano_cpus: float = math.inf
    memory_bytes: float = math.inf

    @property
    def cpus(self) -> float | None:
        """CPUs; None is no limit."""
        return self.nano_cpus / 1e9 if math.isfinite(self.nano_cpus) else None

    @property
    def memory(self) -> int | None:
        """Whole bytes of memory; None is no limit."""
        return int(self.memory_bytes) if math.isfinite(self.memory_bytes) else None
