"""What outlives a process of a run: records, containers, requests, and what somebody was told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from msgspec.structs import replace

from dockersched import Reason, RunnerError, SandboxResult, TaskState
from dockersched.store.database import AttemptRow
from tests.support.lives.random_epics import random_epic

Attempt = tuple[str, int]
"""Id of a task, and the number of the attempt on record."""

ENDED = (TaskState.SUCCEEDED, TaskState.FAILED)
SLACK_S = 1e-4
"""The order of intents is told by times that lie microseconds apart."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Container:
    """A container that was made at some time.

    Attributes:
        began_at_s, ends_at_s: when it runs.
        outcome: exit code and reason, or the error of the engine that is met in the end.
        is_gone: it was removed.
    """

    began_at_s: float
    ends_at_s: float
    outcome: tuple[int | None, Reason | None] | RunnerError
    is_gone: bool = False

    def stop(self, now_s: float) -> None:
        """Ends it now; one that ended before has its own end."""
        if self.ends_at_s > now_s or isinstance(self.outcome, RunnerError):
            self.outcome, self.ends_at_s = (137, Reason.CANCELLED), now_s


class World:
    """All that there is but a process. Whatever happens is noted in `log`, in order, with its time in seconds.

    Args:
        seed: all that is left to chance follows from it.

    Attributes:
        chance: the source of it.
        epic: what is run.
        rows: the records of attempts.
        containers: every one that was ever made, the last one of each attempt.
        named: the requests to cancel tasks by name.
        told: how tasks ended that were attempted, as somebody was told.
        failed_at_s: when somebody was first told of a failure that stops the run.
        deaths: of processes.
        broken: promises that did not hold, in words.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - it is to be repeated
        self.epic = random_epic(self.chance)
        self.rows: dict[Attempt, AttemptRow] = {}
        self.containers: dict[Attempt, Container] = {}
        self.named: list[list[str]] = []
        self.told: dict[str, TaskState] = {}
        self.failed_at_s: float | None = None
        self.deaths = 0
        self.broken: list[str] = []
        self.log: list[str] = []

    @property
    def now_s(self) -> float:
        """Seconds since the world began."""
        return asyncio.get_running_loop().time()

    def now(self, _zone: tzinfo) -> datetime:
        """The same as a time of day."""
        return EPOCH + timedelta(seconds=self.now_s)

    def say(self, what: str) -> None:
        """Something has happened."""
        self.log.append(f"{self.now_s:.4f} {what}")

    def expect(self, what: str, *, holds: bool) -> None:
        """Notes as broken what was promised and does not hold."""
        if not holds:
            self.say(f"BROKEN: {what}")
            self.broken.append(what)

    def intend(self, attempt: Attempt, at: datetime) -> None:
        """An attempt is on record; the first time stands."""
        self.say(f"{shown(attempt)} is intended")
        self.rows.setdefault(attempt, AttemptRow(*attempt, at, is_taken_over=False, stop_intent=None, result=None))

    def intend_stop(self, attempt: Attempt, reason: Reason) -> None:
        """An attempt is on record as one to be stopped; the first reason stands."""
        self.say(f"{shown(attempt)} is to be stopped: {reason}")
        row = self.rows[attempt]
        self.rows[attempt] = replace(row, stop_intent=row.stop_intent or reason)

    def disregard(self, attempt: Attempt) -> None:
        """An attempt that has ended does not count, on record."""
        self.say(f"{shown(attempt)} is disregarded")
        row = self.rows[attempt]
        self.expect(f"{shown(attempt)} has a record", holds=row.result is not None)
        self.rows[attempt] = replace(row, is_disregarded=True)

    def record(self, attempt: Attempt, result: SandboxResult) -> None:
        """An attempt has ended, on record."""
        self.say(f"{shown(attempt)} is recorded: {result.reason or 'succeeded'}")
        row = self.rows.get(attempt)
        self.expect(f"{shown(attempt)} was intended, and has no record yet", holds=row is not None and not row.result)
        if row is not None:
            self.rows[attempt] = replace(row, result=result)

    def remove(self, attempt: Attempt) -> None:
        """Nothing is left of an attempt's container."""
        if container := self.containers.get(attempt):
            self.say(f"{shown(attempt)} is removed")
            container.is_gone, container.ends_at_s = True, min(container.ends_at_s, self.now_s)

    def running(self) -> list[str]:
        """The tasks whose containers run now."""
        return [
            task_id
            for (task_id, _), container in self.containers.items()
            if not container.is_gone and container.ends_at_s > self.now_s
        ]

    def successes(self, task_id: str) -> Iterable[AttemptRow]:
        """The attempts of a task that succeeded, on record."""
        return (row for row in self.rows.values() if row.task_id == task_id and row.result and row.result.succeeded)

    def last_container(self, task_id: str) -> Container | None:
        """The one of a task that began last."""
        own = [container for (other, _), container in self.containers.items() if other == task_id]
        return max(own, key=lambda container: container.began_at_s, default=None)

    def mains_until_s(self) -> float:
        """Until when main tasks ran, or were about to."""
        ends = self._of_mains({attempt: container.ends_at_s for attempt, container in self.containers.items()})
        intents = self._of_mains({attempt: seconds(row.intended_at) for attempt, row in self.rows.items()})
        return max([0.0, *ends, *intents])

    def went_on_after(self, at: datetime) -> bool:
        """Whether a main task ran after a time, or was about to."""
        ends = self._of_mains({attempt: container.ends_at_s for attempt, container in self.containers.items()})
        intents = [row.intended_at for (task_id, _), row in self.rows.items() if not self.epic.dag[task_id].finally_]
        return max(ends, default=0) > seconds(at) + SLACK_S or any(intended_at > at for intended_at in intents)

    def _of_mains(self, times_s: Mapping[Attempt, float]) -> Sequence[float]:
        return [at_s for (task_id, _), at_s in times_s.items() if not self.epic.dag[task_id].finally_]


def seconds(at: datetime) -> float:
    """A time of day as seconds since the world began."""
    return (at - EPOCH).total_seconds()


def shown(attempt: Attempt) -> str:
    """An attempt as it is called in words."""
    return f"{attempt[0]}@{attempt[1]}"
