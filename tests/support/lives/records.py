"""The world's records and requests in place of a state directory's, as one process reads and writes them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from dockersched import Reason, SandboxResult
from dockersched.epic import Epic
from dockersched.store.codec import dump_time
from dockersched.store.database import AttemptRow, RunRow, StateStore
from dockersched.store.requests import CancelRequests
from tests.support.lives.lifetime import Lifetime
from tests.support.lives.world import EPOCH, Attempt, World


class Records(StateStore):
    """What is on record is read at once, and written if the process lives for so long."""

    def __init__(self, world: World, lifetime: Lifetime) -> None:  # there is no database to open
        self._world = world
        self._lifetime = lifetime

    def run_dir(self, run_id: str) -> Path:
        return Path(run_id)

    def run(self, run_id: str) -> RunRow:
        return RunRow(run_id, self._world.epic.options.epic_id, dump_time(EPOCH), None, None)

    def epic(self, run_id: str) -> Epic:
        return self._world.epic

    def attempts(self, run_id: str) -> dict[Attempt, AttemptRow]:
        return dict(self._world.rows)

    async def intend(self, run_id: str, task_id: str, attempt: int, at: datetime | None = None) -> None:
        assert at is not None, "the journal tells the order by its own times"
        await self._lifetime.effect(lambda: self._world.intend((task_id, attempt), at))

    async def intend_stop(self, run_id: str, task_id: str, attempt: int, reason: Reason) -> None:
        await self._lifetime.effect(lambda: self._world.intend_stop((task_id, attempt), reason))

    async def disregard(self, run_id: str, task_id: str, attempt: int) -> None:
        await self._lifetime.effect(lambda: self._world.disregard((task_id, attempt)))

    async def record(self, run_id: str, task_id: str, attempt: int, result: SandboxResult) -> None:
        await self._lifetime.effect(lambda: self._world.record((task_id, attempt), result))


class Requests(CancelRequests):
    """What was asked for by name."""

    def __init__(self, world: World) -> None:  # there is no folder
        self._world = world

    def of_tasks(self) -> list[list[str]]:
        return [list(task_ids) for task_ids in self._world.named]
