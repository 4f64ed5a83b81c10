"""The state database for those who only look: nothing is changed, and little imported, so that answers come fast."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dockersched.errors import StateError
from dockersched.store import history
from dockersched.store.connection import BUSY_TIMEOUT_S
from dockersched.store.decoding import decoding
from dockersched.store.folder import RUNS, where_it_is
from dockersched.store.schema import VERSION

if TYPE_CHECKING:
    from dockersched.results import OutputSummary

_RUN = """
SELECT run_id, epic_id, created_at, finished_at, state, exit_code,
    coalesce(json_array_length(epic, '$.tasks'), 0)
FROM runs WHERE run_id = ?
"""
_ATTEMPTS = """
SELECT attempt, result IS NOT NULL, json_extract(result, '$.log.path')
FROM attempts WHERE run_id = ? AND task_id = ? ORDER BY attempt
"""
_LAST_RESULT = """
SELECT result FROM attempts WHERE run_id = ? AND task_id = ? AND result IS NOT NULL ORDER BY attempt DESC LIMIT 1
"""
_RESULTS = "SELECT task_id, result FROM attempts WHERE run_id = ? AND result IS NOT NULL ORDER BY task_id, attempt"
_ATTEMPT_TIMES = """
SELECT task_id, attempt, intended_at, json_extract(result, '$.started_at'), json_extract(result, '$.finished_at'),
    CASE WHEN result IS NOT NULL THEN coalesce(json_extract(result, '$.reason'), 'succeeded') END,
    json_extract(result, '$.phases')
FROM attempts JOIN runs USING (run_id) WHERE run_id = ? AND intended_at != created_at
"""
_OOM_KILLS = """
SELECT task_id, count(*) FROM attempts
WHERE run_id = ? AND json_extract(result, '$.reason') = 'oom_killed' GROUP BY task_id
"""
_SECRETS = """
SELECT 1 FROM runs, json_each(runs.epic, '$.tasks') AS task
WHERE run_id = ? AND json_extract(task.value, '$.secrets') IS NOT NULL LIMIT 1
"""
_OUTPUTS = """
SELECT attempts.task_id, output.key, output.value FROM attempts, json_each(attempts.result, '$.outputs') AS output
WHERE run_id = ? AND attempt = (
    SELECT MAX(attempt) FROM attempts AS any
    WHERE any.run_id = attempts.run_id AND any.task_id = attempts.task_id AND any.result IS NOT NULL
) ORDER BY attempts.intended_at, attempts.task_id
"""
_STOPPING = "SELECT task_id FROM attempts WHERE run_id = ? AND stop_intent IS NOT NULL AND result IS NULL"


Time = Annotated[datetime, msgspec.Meta(tz=True)]
Made = TypeVar("Made")


class RecordedRun(Struct, frozen=True, array_like=True):
    """A run on record; `state` is None while it is unfinished."""

    run_id: str
    epic_id: str
    created_at: Time
    finished_at: Time | None
    state: str | None
    exit_code: int | None
    task_count: int


class RecordedAttempt(Struct, frozen=True):
    """An attempt on record.

    Args:
        number: of the attempt, as on the engine.
        has_ended: whether it has its terminal record.
        log: path of its output; None while it has not ended, or if there is none.
    """

    number: int
    has_ended: bool
    log: Path | None


class AttemptTimes(Struct, frozen=True, array_like=True):
    """An attempt in time.

    Args:
        task_id: of the task.
        number: of the attempt, as on the engine.
        intended_at: when its sandbox was asked for.
        started_at, finished_at: of its process; None where there is no record, or no process was.
        outcome: `succeeded` or its reason; None without a record.
        phases: where its time went, `dockersched.Phases` as JSON; None where that was not noted.
    """

    task_id: str
    number: int
    intended_at: Time
    started_at: Time | None
    finished_at: Time | None
    outcome: str | None
    phases: str | None


class _Task(Struct):
    id: str
    depends_on: list[str]


class _Epic(Struct):
    """What must be true of an epic on record, lest one or the other of those who look at it fails."""

    options: dict[str, Any]
    tasks: list[_Task]

    def check(self) -> None:
        """Raises `ValueError` unless dependencies lead to tasks, and to none in a circle."""
        needs = {task.id: task.depends_on for task in self.tasks}
        if unknown := {other for needed in needs.values() for other in needed} - needs.keys():
            raise ValueError(f"there is no task {min(unknown)!r}")
        TopologicalSorter(needs).prepare()


class StateReader:
    """Reads one state directory; a directory without a database has no runs.

    Args:
        state_dir: the state directory; it need not exist.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._path = state_dir / "state.db"
        self._epics: dict[str, dict[str, Any]] = {}

    def run_dir(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.state_dir / RUNS / run_id

    def where_it_is(self, recorded: str) -> Path:
        """Where a file on record is, or was."""
        return where_it_is(self.state_dir, recorded)

    def run_times(self) -> dict[str, str]:
        """When each run on record began.

        Raises:
            StateError: the database cannot be read.
        """
        return dict(self._rows(list[tuple[str, str]], "SELECT run_id, created_at FROM runs"))

    def run(self, run_id: str) -> RecordedRun | None:
        """A run; None while it is not on record."""
        rows = self._rows(list[RecordedRun], _RUN, run_id)
        return rows[0] if rows else None

    def epic(self, run_id: str) -> dict[str, Any] | None:
        """The resolved epic of a run, as JSON has it, which never changes; None while the run is not on record.

        Raises:
            StateError: it is damaged.
        """
        if run_id not in self._epics and (rows := self._select("SELECT epic FROM runs WHERE run_id = ?", run_id)):
            with decoding(f"the epic of run {run_id} in {self._path}"):
                epic = json.loads(rows[0][0])
                msgspec.convert(epic, _Epic).check()
                self._epics[run_id] = epic
        return self._epics.get(run_id)

    def dependencies(self, run_id: str) -> dict[str, list[str]]:
        """What each task of a run depends on, in declaration order; nothing while the run is not on record."""
        epic = self.epic(run_id)
        return {task["id"]: task["depends_on"] for task in epic["tasks"]} if epic else {}

    def at_end(self, run_id: str) -> set[str]:
        """Ids of a run's tasks with `finally`; none while the run is not on record."""
        epic = self.epic(run_id)
        return {task["id"] for task in epic["tasks"] if task.get("finally_")} if epic else set()

    def last_result(self, run_id: str, task_id: str) -> str | None:
        """The terminal record of a task's last attempt that has one, as JSON."""
        rows = self._rows(list[tuple[str]], _LAST_RESULT, run_id, task_id)
        return rows[0][0] if rows else None

    def results(self, run_id: str) -> list[tuple[str, str]]:
        """The terminal records of a run: tasks with a record as JSON, those of a task in their order."""
        return self._rows(list[tuple[str, str]], _RESULTS, run_id)

    def attempt_times(self, run_id: str) -> list[AttemptTimes]:
        """Each attempt that a run made itself: what is on record of its times, in no order."""
        return self._rows(list[AttemptTimes], _ATTEMPT_TIMES, run_id)

    def oom_kills(self, run_id: str) -> dict[str, int]:
        """How many attempts of tasks were killed for lack of memory, where there are any."""
        return dict(self._select(_OOM_KILLS, run_id))

    def durations(self, epic_id: str) -> dict[str, float]:
        """How long tasks of an epic took in its last runs: the median of their successes, in seconds, by task id."""
        return history.usual_s(self._select(history.DURATIONS, epic_id))

    def has_secrets(self, run_id: str) -> bool:
        """Whether any task of a run is given secrets, whose values are not on record anywhere."""
        return bool(self._select(_SECRETS, run_id))

    def stopping(self, run_id: str) -> set[str]:
        """The tasks of a run with an attempt that is being stopped."""
        return {task_id for (task_id,) in self._select(_STOPPING, run_id)}

    def attempts(self, run_id: str, task_id: str) -> list[RecordedAttempt]:
        """The attempts of a task so far, in their order."""
        return [
            RecordedAttempt(number, bool(has_ended), self.where_it_is(log) if log else None)
            for number, has_ended, log in self._rows(list[tuple[int, int, str | None]], _ATTEMPTS, run_id, task_id)
        ]

    def outputs(self, run_id: str) -> list[tuple[str, str, OutputSummary]]:
        """What came out of the tasks of a run so far: task, name and output, in the order in which the tasks began."""
        from dockersched.results import OutputSummary  # noqa: PLC0415 - who asks for something else answers sooner

        rows = self._select(_OUTPUTS, run_id)
        with decoding(f"an output of run {run_id} in {self._path}"):
            found = [(task_id, name, msgspec.json.decode(text, type=OutputSummary)) for task_id, name, text in rows]
        return [
            (task_id, name, replace(output, path=str(self.where_it_is(output.path)))) for task_id, name, output in found
        ]

    def _uri(self) -> str:
        """Of the database, read-only.

        Even to read, SQLite makes files beside the database, unless it is told that nobody writes. Who may not make
        them can be sure of that as long as there is no log of writes.
        """
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        may_write = os.access(self.state_dir, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
        is_written = self._path.with_name(f"{self._path.name}-wal").exists()
        return uri if may_write or is_written else f"{uri}&immutable=1"

    def _rows(self, kind: type[Made], sql: str, *values: str) -> Made:
        """What is selected, as a kind of list.

        Raises:
            StateError: a value in it cannot be one of its kind.
        """
        rows = self._select(sql, *values)
        with decoding(f"a record in {self._path}"):
            return msgspec.convert(rows, kind)

    def _select(self, sql: str, *values: str) -> list[Any]:
        with self._reading() as connection:
            return connection.execute(sql, values).fetchall() if connection is not None else []

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        if not self._path.exists():
            yield None
            return
        try:
            with closing(
                sqlite3.connect(self._uri(), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
            ) as connection:
                found = int(connection.execute("PRAGMA user_version").fetchone()[0])
                if found > VERSION:
                    raise StateError(
                        f"the state database has schema version {found}, this dockersched knows {VERSION}: "
                        "use the newer dockersched that wrote it, or another --state-dir"
                    )
                yield connection if found else None  # a database that is just being made has no tables yet
        except (sqlite3.Error, UnicodeError) as error:
            raise StateError(
                f"the state database {self._path} cannot be read ({error}): name another directory with --state-dir"
            ) from error
