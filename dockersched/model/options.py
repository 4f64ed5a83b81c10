"""How an epic is run."""

from __future__ import annotations

from dataclasses import dataclass

from dockersched.model.checks import count, seconds, text


@dataclass(frozen=True, slots=True)
class EpicExecutionOptions:
    """How an epic is run.

    Args:
        max_parallel: sandboxes that may run side by side; 4 uses a typical multi-core machine without overwhelming it.
        timeout_s: seconds for the whole epic; None is no limit.
        fail_fast: stop everything at the first failure; by default independent branches go on.
        epic_id: name of the epic, part of every sandbox's identity.
        run_id: name of this run; None makes a new one.

    Raises:
        ValueError: a value out of range.
    """

    max_parallel: int = 4
    timeout_s: float | None = None
    fail_fast: bool = False
    epic_id: str = "epic"
    run_id: str | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        count("max_parallel", self.max_parallel)
        seconds("timeout_s", self.timeout_s)
        text("epic_id", self.epic_id)
        if self.run_id is not None:
            text("run_id", self.run_id)
