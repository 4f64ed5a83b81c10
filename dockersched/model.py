"""What callers hand in: tasks, their limits, and the options of an epic.

Plain frozen dataclasses, checked when built: a hundred thousand of them cost little, and importing them costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard, get_args

from dockersched import units

Network = Literal["none", "bridge"]
PullPolicy = Literal["missing", "always", "never"]

RETRY_CAUSES = ("infra", "timed_out", "oom_killed", "killed", "exit_code", "not_found", "not_executable")
"""What a retry policy can name."""

MIN_CPUS = 0.01
"""A hundredth of a core; the engine takes no less."""

MIN_MEMORY_BYTES = 6 * 2**20
"""The engine refuses a lower memory limit (Docker Engine 20.10: "Minimum memory limit allowed is 6MB")."""


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text that is not empty, not {value!r}")
    if "\0" in value:
        raise ValueError(f"{name} must not contain a NUL character")


def _texts(name: str, values: object) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a list of texts, not {values!r}")
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a list of texts, but holds {value!r}")
        if "\0" in value:
            raise ValueError(f"{name} must not contain a NUL character")
    return tuple(values)


def _seconds(name: str, value: object) -> None:
    if value is not None and not (_is_number(value) and 0 < value < math.inf):
        raise ValueError(f"{name} must be a number of seconds above 0, not {value!r}")


def _count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


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
        if cpus is not None and not (_is_number(cpus) and MIN_CPUS <= cpus < math.inf):
            raise ValueError(f"cpus must be a number of at least {MIN_CPUS}, not {cpus!r}")
        if self.pids is not None:
            _count("pids", self.pids)
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

    def __post_init__(self) -> None:
        """Checks the ranges."""
        limit: object = self.limit
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise ValueError(f"limit must be a whole number of at least 0, not {limit!r}")
        object.__setattr__(self, "on", _texts("on", self.on))
        for cause in self.on:
            _choice("on", cause, RETRY_CAUSES)
        object.__setattr__(self, "exit_codes", tuple(self.exit_codes))
        for code in self.exit_codes:
            if not isinstance(code, int) or not 1 <= code <= 255:  # type: ignore[redundant-expr]
                raise ValueError(f"exit_codes holds {code!r}, which is no exit code from 1 to 255")
        _seconds("initial_s", self.initial_s)
        _seconds("max_s", self.max_s)
        if not (_is_number(self.factor) and 1 <= self.factor < math.inf):
            raise ValueError(f"factor must be a number of at least 1, not {self.factor!r}")


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """One node of an epic's graph: a command, and what must be done before it.

    Args:
        id: unique within the epic.
        depends_on: ids of the tasks that must have succeeded before this one starts.
        command: the program, looked up in the image's PATH; never passed through a shell.
        args: its arguments.
        quota: limits; what is left out takes the runner's default.
        image: the image to run in; None is the runner's default.
        environment: variables given to the program.
        working_dir: directory the program starts in, absolute.
        user: `uid`, `uid:gid` or a name the image knows.
        network: `none` (the default) or `bridge`.
        timeout_s: seconds until the sandbox is stopped; None is the runner's default.
        stop_grace_s: seconds between the polite stop and the kill; None is the runner's default.
        pull_policy: when to pull the image: `missing` (the default), `always` or `never`.
        retry: when to try again; by default up to twice, and only what was not the task's own doing.

    Raises:
        ValueError, TypeError: a field that cannot be right whatever the engine.
    """

    id: str
    depends_on: Sequence[str]
    command: str
    args: Sequence[str] = ()
    quota: QuotaConfig | None = None
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    working_dir: str | None = None
    user: str | None = None
    network: Network | None = None
    timeout_s: float | None = None
    stop_grace_s: float | None = None
    pull_policy: PullPolicy | None = None
    retry: RetryPolicy = RetryPolicy()

    def __post_init__(self) -> None:
        """Checks the fields and freezes the sequences."""
        _text("id", self.id)
        _text("command", self.command)
        object.__setattr__(self, "depends_on", _texts("depends_on", self.depends_on))
        object.__setattr__(self, "args", _texts("args", self.args))
        if self.environment:
            object.__setattr__(self, "environment", _environment(self.environment))
        if self.image is not None:
            _text("image", self.image)
        if self.user is not None:
            _text("user", self.user)
        if self.quota is not None and not isinstance(self.quota, QuotaConfig):
            raise TypeError(f"quota must be a QuotaConfig, not {self.quota!r}")
        if not isinstance(self.retry, RetryPolicy):
            raise TypeError(f"retry must be a RetryPolicy, not {self.retry!r}")
        if self.working_dir is not None:
            _text("working_dir", self.working_dir)
            if not self.working_dir.startswith("/"):
                raise ValueError(f"working_dir must be an absolute path, not {self.working_dir!r}")
        _choice("network", self.network, get_args(Network))
        _choice("pull_policy", self.pull_policy, get_args(PullPolicy))
        _seconds("timeout_s", self.timeout_s)
        _seconds("stop_grace_s", self.stop_grace_s)


def _environment(environment: Mapping[Any, Any]) -> dict[str, str]:
    for name, value in environment.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ValueError(f"environment holds {name!r}, which cannot be the name of a variable")
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"environment[{name!r}] must be a text without NUL characters, not {value!r}")
    return dict(environment)


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
        _count("max_parallel", self.max_parallel)
        _seconds("timeout_s", self.timeout_s)
        _text("epic_id", self.epic_id)
        if self.run_id is not None:
            _text("run_id", self.run_id)
