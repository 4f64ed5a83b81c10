"""How an epic is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dockersched import units
from dockersched.model.checks import count, is_number, seconds, text
from dockersched.model.quota import MIN_CPUS, MIN_MEMORY_BYTES

OVERCOMMIT_CPUS = 1.0
OVERCOMMIT_MEMORY = 0.8
"""The rest is for the engine itself, and for what else its host does."""


@dataclass(frozen=True, slots=True)
class EpicExecutionOptions:
    """How an epic is run.

    Args:
        max_parallel: sandboxes that may run side by side; 4 uses a typical multi-core machine without overwhelming it.
        timeout_s: seconds for the whole epic; None is no limit.
        fail_fast: stop everything at the first failure; by default independent branches go on.
        epic_id: name of the epic, part of every sandbox's identity.
        run_id: name of this run; None makes a new one.
        max_cpus: what the CPU quotas of the sandboxes that run side by side may add up to; None is `overcommit_cpus`
            times the engine's CPUs.
        max_memory: the same of their memory, bytes or a text such as `4g`; None is `overcommit_memory` times the
            engine's memory.
        overcommit_cpus, overcommit_memory: these factors.
        prepare_ahead: sandboxes that may be started behind a gate before their tasks may run, beside `max_parallel`;
            0 starts nothing of a task before its dependencies are done.

    Raises:
        ValueError: a value out of range.
    """

    max_parallel: int = 4
    timeout_s: float | None = None
    fail_fast: bool = False
    epic_id: str = "epic"
    run_id: str | None = None
    max_cpus: float | None = None
    max_memory: int | str | None = None
    overcommit_cpus: float = OVERCOMMIT_CPUS
    overcommit_memory: float = OVERCOMMIT_MEMORY
    prepare_ahead: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges and turns the size into bytes."""
        count("max_parallel", self.max_parallel)
        count("prepare_ahead", self.prepare_ahead, least=0)
        seconds("timeout_s", self.timeout_s)
        text("epic_id", self.epic_id)
        if self.run_id is not None:
            text("run_id", self.run_id)
        if self.max_cpus is not None and not (is_number(self.max_cpus) and MIN_CPUS <= self.max_cpus < math.inf):
            raise ValueError(f"max_cpus must be a number of at least {MIN_CPUS}, not {self.max_cpus!r}")
        if self.max_memory is not None:
            size_bytes = units.parse_bytes(self.max_memory)
            if size_bytes < MIN_MEMORY_BYTES:
                raise ValueError(f"max_memory must be at least 6m, not {self.max_memory!r}")
            object.__setattr__(self, "max_memory", size_bytes)
        for name in ("overcommit_cpus", "overcommit_memory"):
            factor = getattr(self, name)
            if not (is_number(factor) and 0 < factor < math.inf):
                raise ValueError(f"{name} must be a number above 0, not {factor!r}")

    @property
    def max_memory_bytes(self) -> int | None:
        """What the memory limits may add up to, if that is given."""
        return None if self.max_memory is None else int(self.max_memory)
