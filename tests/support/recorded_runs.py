"""Runs on disk as a process leaves them, made without an engine."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dockersched.epic import Epic
from dockersched.errors import StateError
from dockersched.events import EpicStarted, Event, RunLaunched, TaskFinished, TaskRetrying, TaskStarted
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, ScheduledTask
from dockersched.report.document import write_result
from dockersched.report.event_log import EventLog
from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState
from dockersched.store.database import FILE_NAME, StateStore

EPIC_ID = "watched"
AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class RecordedRun:
    """One run in a state directory, which the test tells what happened.

    Args:
        state_dir: the state directory.
        run_id: of the run.
        tasks: of its epic; none leaves the run off the record, as while images are made.
        options: of the run; those of the epic's file.
        limits: slots, CPUs and bytes of memory of all sandboxes, as the run knows them once it has an engine.
        succeeded: results that it takes over from an earlier run, by task id.
    """

    def __init__(
        self,
        state_dir: Path,
        run_id: str,
        tasks: Sequence[ScheduledTask] = (),
        *,
        options: EpicExecutionOptions | None = None,
        limits: tuple[int, float | None, int | None] = (4, None, None),
        succeeded: Mapping[str, SandboxResult] | None = None,
    ) -> None:
        self.run_id = run_id
        self.folder = state_dir / "runs" / run_id
        (self.folder / "logs").mkdir(parents=True)
        (self.folder / "owner.lock").touch()
        self.store = StateStore(state_dir)
        self._database = state_dir / FILE_NAME
        self.tell(RunLaunched(AT, EPIC_ID, run_id, os.getpid(), state_dir))
        if tasks:
            given = replace(options or EpicExecutionOptions(), epic_id=EPIC_ID, run_id=run_id)
            epic = Epic(TaskDAG(tasks), given, EPIC_ID)
            self.store.create_run(run_id, epic, {}, succeeded or {})
            self.tell(EpicStarted(AT, EPIC_ID, run_id, tuple(task.id for task in tasks), *limits))

    def tell(self, *events: Event) -> None:
        """Appends to the run's events."""
        failures: list[StateError] = []
        log = EventLog(self.folder / "events.jsonl", failures.append)
        for event in events:
            log.observe(event)
        log.close()
        assert not failures

    def start(self, task_id: str, attempt: int = 1) -> None:
        """A task starts: intent and event."""
        asyncio.run(self._intend(task_id, attempt))
        self.tell(TaskStarted(AT, task_id, f"{EPIC_ID}.{task_id}", attempt))

    def come_back(
        self, task_id: str, sandbox: SandboxResult, attempt: int = 1, *, retry_in_s: float | None = None
    ) -> None:
        """An attempt of the task ends: record and event."""
        asyncio.run(self._record(task_id, sandbox, attempt))
        if retry_in_s is not None:
            self.tell(TaskRetrying(AT, task_id, attempt, sandbox, retry_in_s))
            return
        state = TaskState.SUCCEEDED if sandbox.succeeded else TaskState.FAILED
        self.tell(
            TaskFinished(
                AT, TaskResult(task_id, state, sandbox.reason, sandbox.detail, attempts=attempt, sandbox=sandbox)
            )
        )

    def end(self, task_id: str, output: bytes = b"", exit_code: int = 0, **known: Any) -> None:
        """The task ends: record, log and event."""
        log = self.folder / "logs" / f"{task_id}.log"
        log.write_bytes(output)
        summary = LogSummary(str(log), len(output))
        sandbox = SandboxResult(f"{EPIC_ID}.{task_id}", exit_code, started_at=AT, finished_at=AT, log=summary, **known)
        self.come_back(task_id, sandbox)

    def intend_stop(self, task_id: str) -> None:
        """The task is about to be stopped."""
        asyncio.run(self._intend_stop(task_id))

    def end_without_owner(self) -> None:
        """The run is ended as `cancel` does it when its process is dead: on record, with a result, without events."""
        tasks = {
            task.id: TaskResult(task.id, TaskState.CANCELLED, Reason.CANCELLED)
            for task in self.store.epic(self.run_id).dag
        }
        result = EpicResult(EPIC_ID, self.run_id, EpicState.CANCELLED, tasks, AT, AT)
        write_result(self.folder / "result.json", result)
        self.store.finish_run(self.run_id, str(result.state), result.exit_code)

    def dump(self) -> list[str]:
        """All that the database holds."""
        with closing(sqlite3.connect(self._database)) as connection:
            return list(connection.iterdump())

    async def _intend(self, task_id: str, attempt: int) -> None:
        await self.store.intend(self.run_id, task_id, attempt)
        self.store.close()

    async def _intend_stop(self, task_id: str) -> None:
        await self.store.intend_stop(self.run_id, task_id, 1, Reason.CANCELLED)
        self.store.close()

    async def _record(self, task_id: str, sandbox: SandboxResult, attempt: int) -> None:
        await self.store.record(self.run_id, task_id, attempt, sandbox)
        self.store.close()
