"""When a task that did not succeed is tried again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dockersched import units
from dockersched.model.checks import choice, is_number, seconds, texts

RETRY_CAUSES = ("infra", "timed_out", "oom_killed", "killed", "exit_code", "not_found", "not_executable")
"""What a retry policy can name."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a task that did not succeed is tried again.

    Args:
        limit: attempts beside the first.
        on: causes: `infra` (the engine failed, or took the sandbox down), or a reason such as `timed_out`,
            `oom_killed`, `killed`.
        exit_codes: exit codes of the task that are tried again too.
        initial_s: pause before the second attempt.
        factor: by which each further pause grows.
        max_s: longest pause.
        jitter: take a random part of each pause, so that many tasks do not come back in step.
        memory_factor: by which the memory limit grows after an attempt that was `oom_killed`; None keeps it.
        memory_max: up to which it grows, bytes or a text such as `4g`; None is what the run may have.

    Raises:
        ValueError: a value out of range.
    """

    limit: int = 2
    on: Sequence[str] = ("infra",)
    exit_codes: Sequence[int] = ()
    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0
    jitter: bool = True
    memory_factor: float | None = None
    memory_max: int | str | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        limit: object = self.limit
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise ValueError(f"limit must be a whole number of at least 0, not {limit!r}")
        object.__setattr__(self, "on", texts("on", self.on))
        for cause in self.on:
            choice("on", cause, RETRY_CAUSES)
        object.__setattr__(self, "exit_codes", tuple(self.exit_codes))
        for code in self.exit_codes:
            if not isinstance(code, int) or not 1 <= code <= 255:  # type: ignore[redundant-expr]
                raise ValueError(f"exit_codes holds {code!r}, which is no exit code from 1 to 255")
            check_exit_code(code)
        seconds("initial_s", self.initial_s)
        seconds("max_s", self.max_s)
        if not (is_number(self.factor) and 1 <= self.factor < math.inf):
            raise ValueError(f"factor must be a number of at least 1, not {self.factor!r}")
        if self.memory_factor is not None and not (
            is_number(self.memory_factor) and 1 <= self.memory_factor < math.inf
        ):
            raise ValueError(f"memory_factor must be a number of at least 1, not {self.memory_factor!r}")
        if self.memory_max is not None:
            object.__setattr__(self, "memory_max", units.parse_bytes(self.memory_max))

    @property
    def memory_max_bytes(self) -> int | None:
        """Up to which the memory limit grows."""
        return None if self.memory_max is None else int(self.memory_max)


_SIGKILL_EXIT = 128 + 9


def check_exit_code(code: int) -> None:
    """Refuses the code of a process that was killed, which is never the reason that a result has."""
    if code == _SIGKILL_EXIT:
        raise ValueError(f"{code} is never told as an exit code: name killed or oom_killed instead")
