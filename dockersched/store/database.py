"""The state database: runs, their resolved epics, and every attempt with its intents and its terminal record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from dockersched.epic import Epic
from dockersched.errors import FinishedRunError, StateError, UnfinishedRunError, UnknownRunError
from dockersched.results import SandboxResult
from dockersched.states import Reason
from dockersched.store import codec, history, schema
from dockersched.store.connection import connect
from dockersched.store.writer import BatchWriter, Row

FILE_NAME = "state.db"
_RUNS = "SELECT run_id, epic_id, created_at, state, exit_code FROM runs"
_NEWEST_FIRST = "ORDER BY created_at DESC, rowid DESC"
_INTEND = """
INSERT OR IGNORE INTO attempts (run_id, task_id, attempt, intended_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]') FROM json_each(?)
"""
# UPDATE … FROM needs SQLite 3.33, of 2020.
_INTEND_STOP = """
UPDATE attempts SET stop_intent = json_extract(given.value, '$[3]') FROM json_each(?) AS given
WHERE run_id = json_extract(given.value, '$[0]') AND task_id = json_extract(given.value, '$[1]')
    AND attempt = json_extract(given.value, '$[2]') AND stop_intent IS NULL
"""
_RECORD = """
UPDATE attempts SET result = json_extract(given.value, '$[3]') FROM json_each(?) AS given
WHERE run_id = json_extract(given.value, '$[0]') AND task_id = json_extract(given.value, '$[1]')
    AND attempt = json_extract(given.value, '$[2]') AND result IS NULL
"""

_DISREGARD = """
UPDATE attempts SET is_disregarded = 1 FROM json_each(?) AS given
WHERE run_id = json_extract(given.value, '$[0]') AND task_id = json_extract(given.value, '$[1]')
    AND attempt = json_extract(given.value, '$[2]')
"""

_DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR))
"""Primary result codes; an error in a statement that is right means that the tables are not ours."""

_HELD = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))


class RunRow(Struct, frozen=True):
    """A run as the database knows it; `state` is None while it is unfinished."""

    run_id: str
    epic_id: str
    created_at: str
    state: str | None
    exit_code: int | None


class AttemptRow(Struct, frozen=True):
    """One attempt; `result` is None while it has none.

    One that `is_taken_over` was made by an earlier run. Its times do not tell that: they may be of another clock.
    One that `is_disregarded` has ended, and its task gets another.
    """

    task_id: str
    attempt: int
    intended_at: datetime
    is_taken_over: bool
    stop_intent: Reason | None
    result: SandboxResult | None
    is_disregarded: bool = False


class StateStore:
    """Reads and writes one state directory's database.

    Intents and records are written by a thread of its own, and awaited; what is read, is read before a run begins.

    Raises:
        StateError: it cannot be read, or a newer dockersched wrote it.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        with self._reading() as connection:
            schema.prepare(connection)
        self._writer: BatchWriter | None = None

    def create_run(
        self,
        run_id: str,
        epic: Epic,
        images: Mapping[str, tuple[str, str]],
        succeeded: Mapping[str, SandboxResult],
    ) -> None:
        """Records a run before anything of it exists.

        Args:
            run_id: of the run.
            epic: resolved.
            images: id and digest of each image, by name.
            succeeded: results that it takes over from an earlier run, by task id.
        """
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            created_at = _now()
            connection.execute(
                "INSERT INTO runs (run_id, epic_id, epic, created_at) VALUES (?, ?, ?, ?)",
                (run_id, epic.options.epic_id, codec.dump_epic(epic), created_at),
            )
            connection.executemany(
                "INSERT INTO images VALUES (?, ?, ?, ?)", [(run_id, name, *found) for name, found in images.items()]
            )
            connection.executemany(
                "INSERT INTO attempts (run_id, task_id, attempt, intended_at, result) VALUES (?, ?, 1, ?, ?)",
                [(run_id, task_id, created_at, codec.dump_result(result)) for task_id, result in succeeded.items()],
            )
            connection.execute("COMMIT")

    def finish_run(self, run_id: str, state: str, exit_code: int) -> None:
        """Records how a run ended."""
        with self._reading() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, exit_code = ?, finished_at = ? WHERE run_id = ?",
                (state, exit_code, _now(), run_id),
            )

    def refuse_finished(self, run_id: str) -> None:
        """A run that has ended does not go on; whoever owns the run asks, since nobody else can end it then.

        Raises:
            UnknownRunError: there is no such run.
            FinishedRunError: it has ended.
        """
        run = self.run(run_id)
        if run.state is not None:
            raise FinishedRunError(run_id, run.state, run.exit_code or 0)

    def refuse_to_forget(self, epic_id: str) -> None:
        """An unfinished run is not silently left behind.

        Raises:
            UnfinishedRunError: the last run of this epic is one.
        """
        with self._reading() as connection:
            row = connection.execute(f"{_RUNS} WHERE epic_id = ? {_NEWEST_FIRST} LIMIT 1", (epic_id,)).fetchone()
        last = RunRow(*row) if row else None
        if last is not None and last.state is None:
            raise UnfinishedRunError(last.run_id, epic_id)

    def forget_run(self, run_id: str) -> None:
        """Removes everything known of a run."""
        with self._reading() as connection:
            connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))

    def runs(self) -> list[RunRow]:
        """All runs, the newest first."""
        with self._reading() as connection:
            return [RunRow(*row) for row in connection.execute(f"{_RUNS} {_NEWEST_FIRST}")]

    def run(self, run_id: str) -> RunRow:
        """One run.

        Raises:
            UnknownRunError: there is no such run.
        """
        for run in self.runs():
            if run.run_id == run_id:
                return run
        raise UnknownRunError(run_id, self._path.parent)

    def last_unfinished(self) -> RunRow:
        """The newest run that is unfinished.

        Raises:
            StateError: all are finished.
        """
        for run in self.runs():
            if run.state is None:
                return run
        raise StateError(f"no run in {self._path.parent} is unfinished")

    def run_dir(self, run_id: str) -> Path:
        """The folder of a run."""
        return self._path.parent / "runs" / run_id

    def epic(self, run_id: str) -> Epic:
        """The resolved epic of a run.

        Raises:
            UnknownRunError: there is no such run.
        """
        with self._reading() as connection:
            row = connection.execute("SELECT epic FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            raise UnknownRunError(run_id, self._path.parent)
        return codec.load_epic(row[0])

    def images(self, run_id: str) -> dict[str, tuple[str, str]]:
        """The images of a run: id and digest by name."""
        with self._reading() as connection:
            rows = connection.execute("SELECT image, image_id, digest FROM images WHERE run_id = ?", (run_id,))
            return {image: (image_id, digest) for image, image_id, digest in rows}

    def attempts(self, run_id: str) -> dict[tuple[str, int], AttemptRow]:
        """All attempts of a run, by task and number."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT task_id, attempt, intended_at, intended_at = created_at, stop_intent, result, "
                "is_disregarded FROM attempts JOIN runs USING (run_id) WHERE run_id = ?",
                (run_id,),
            )
            return {
                (task_id, attempt): AttemptRow(
                    task_id,
                    attempt,
                    codec.load_time(intended_at),
                    bool(is_taken_over),
                    codec.load_reason(stop_intent) if stop_intent else None,
                    codec.load_result(result) if result else None,
                    bool(is_disregarded),
                )
                for task_id, attempt, intended_at, is_taken_over, stop_intent, result, is_disregarded in rows
            }

    def unfinished(self, run_id: str) -> list[tuple[str, int]]:
        """Attempts of a run that were intended and have no record: task and number."""
        with self._reading() as connection:
            return connection.execute(
                "SELECT task_id, attempt FROM attempts WHERE run_id = ? AND result IS NULL", (run_id,)
            ).fetchall()

    def durations(self, epic_id: str) -> dict[str, float]:
        """How long tasks of an epic took in its last runs: the median of their successes, in seconds, by task id."""
        with self._reading() as connection:
            return history.usual_s(connection.execute(history.DURATIONS, (epic_id,)))

    async def intend(self, run_id: str, task_id: str, attempt: int, at: datetime | None = None) -> None:
        """An attempt is about to be made, now or at the time given; safe on disk when this returns."""
        await self._write(_INTEND, (run_id, task_id, attempt, codec.dump_time(at or datetime.now(UTC))))

    async def intend_stop(self, run_id: str, task_id: str, attempt: int, reason: Reason) -> None:
        """An attempt is about to be stopped; safe on disk when this returns."""
        await self._write(_INTEND_STOP, (run_id, task_id, attempt, str(reason)))

    async def disregard(self, run_id: str, task_id: str, attempt: int) -> None:
        """An attempt that has ended counts no more; safe on disk when this returns."""
        await self._write(_DISREGARD, (run_id, task_id, attempt))

    async def record(self, run_id: str, task_id: str, attempt: int, result: SandboxResult) -> None:
        """An attempt's terminal record; safe on disk when this returns. The first one stands.

        Raises:
            StateError: the attempt has one already, or was never intended.
        """
        changed = await self._write(_RECORD, (run_id, task_id, attempt, codec.dump_result(result)))
        if changed != 1:
            raise StateError(f"attempt {attempt} of task {task_id!r} in run {run_id} cannot get a second record")

    def close(self) -> None:
        """Writes what is waiting."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _write(self, sql: str, row: Row) -> int:
        if self._writer is None:
            self._writer = BatchWriter(self._path)
        return await self._writer.write(sql, row)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(connect(self._path)) as connection:
                yield connection
        except (sqlite3.Error, UnicodeError) as error:
            raise StateError(f"the state database {self._path} cannot be used ({error}): {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    """What to do; to move the database away loses all runs in it, so only where it is none, or damaged."""
    code = getattr(error, "sqlite_errorcode", None)  # Python's own errors have none: what it read is no text
    if code is None or code & 0xFF in _DAMAGED:
        return "move it away to start anew, or name another directory with --state-dir"
    if code & 0xFF in _HELD:
        return "another process holds it, try again"
    return "make room, or see to the disk, and try again"


def _now() -> str:
    return codec.dump_time(datetime.now(UTC))
