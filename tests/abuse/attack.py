"""What an attack is: something done in a sandbox, and what must come of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dockersched import QuotaConfig, Reason, ScheduledTask
from dockersched.results import SandboxResult

QUOTA = QuotaConfig(cpus=0.5, memory="64m", pids=32)
TIMEOUT_S = 60.0
GVISOR_PIDS = 128
"""Under gVisor the threads of its kernel count as the sandbox's: with 32 it does not even start."""

Answers = Mapping[str, str]
"""For each thing that is tried, a regular expression of the answers that mean that it was in vain."""

NO_ANSWERS: Answers = {}


@dataclass(frozen=True, slots=True)
class Ends:
    """How a sandbox must end, and what must be in its output.

    Args:
        reason: why it fails; None when it goes on to its own end. Several when either will do.
        answers: its output, lines of `what: answer`; where the sandbox was killed, as far as it came.
    """

    reason: Reason | tuple[Reason | None, ...] | None = None
    answers: Answers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What an attack left behind, for those that must be looked at from the host.

    Args:
        result: of its sandbox.
        log: its output as it is on disk.
        logs_dir: the folder of all outputs.
        container: what the engine says of its container; empty if there was none.
        on_engine_bytes: what its output takes on the engine's disk; 0 where that cannot be seen.
    """

    result: SandboxResult
    log: bytes
    logs_dir: Path
    container: Mapping[str, Any]
    on_engine_bytes: int


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack in a sandbox.

    Args:
        name: unique; also the task's id, unless `changes` has another one.
        command: a command line.
        ends: how it must end under the engine's default runtime.
        under_gvisor: how it must end under gVisor, where that is another kernel's way.
        gvisor_answers: single answers that differ under gVisor.
        image: to run in.
        changes: other fields of the task.
        afterwards: looks at the host; asserts.
    """

    name: str
    command: tuple[str, ...]
    ends: Ends = Ends()
    under_gvisor: Ends | None = None
    gvisor_answers: Answers = field(default_factory=dict)
    image: str = "dockersched/python"
    changes: Mapping[str, Any] = field(default_factory=dict)
    afterwards: Callable[[Aftermath], None] | None = None

    @property
    def task_id(self) -> str:
        """The id of its task."""
        return str(self.changes.get("id", self.name))

    def task(self, runtime: str | None, placeholders: Mapping[str, str]) -> ScheduledTask:
        """The attack as a task of an epic; arguments that are placeholders are replaced."""
        fields: dict[str, Any] = {
            "id": self.name,
            "quota": QUOTA,
            "timeout_s": TIMEOUT_S,
            "stop_grace_s": 0.5,
            **self.changes,
        }
        if runtime:
            fields["quota"] = replace(fields["quota"], pids=GVISOR_PIDS)
        command, *args = (placeholders.get(argument, argument) for argument in self.command)
        return ScheduledTask(depends_on=[], command=command, args=args, image=self.image, runtime=runtime, **fields)

    def expected(self, runtime: str | None) -> Ends:
        """How it must end under a runtime."""
        if runtime is None:
            return self.ends
        ends = self.under_gvisor or self.ends
        return Ends(ends.reason, {**ends.answers, **self.gvisor_answers})


def shell(name: str, script: str, **fields: Any) -> Attack:
    """An attack that is a shell script in busybox."""
    return Attack(name, ("sh", "-c", script), **{"image": "dockersched/base", **fields})


def surprises(expected: Answers, log: bytes, *, complete: bool) -> list[str]:
    """Where a sandbox's output is not what is expected: answers that differ, that are new, or that lack."""
    said = dict(line.split(": ", 1) for line in log.decode("utf-8", "replace").splitlines() if ": " in line)
    wrong = [
        f"{what}: {answer}"
        for what, answer in said.items()
        if what not in expected or not re.fullmatch(expected[what], answer)
    ]
    lacking = [f"{what}: no answer" for what in expected if what not in said] if complete else []
    return wrong + lacking
