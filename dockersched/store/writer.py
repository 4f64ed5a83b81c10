"""One thread that writes to the database: many writers' records in one transaction, each awaited until it is safe."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from dockersched.errors import StateError

Statement = tuple[str, Sequence[object]]
_Entry = tuple[Statement, asyncio.AbstractEventLoop, "asyncio.Future[int]"]


class BatchWriter:
    """Writes statements in the order in which they are given.

    What waits while the disk is being synchronised goes with the next transaction, so that the cost of a
    synchronisation is shared by all that wait for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: SimpleQueue[_Entry | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="dockersched-state", daemon=True)
        self._thread.start()

    async def write(self, sql: str, values: Sequence[object]) -> int:
        """Executes one statement; returns the number of rows it changed, once that is safe on disk.

        Raises:
            StateError: it could not be written.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        self._entries.put(((sql, values), loop, done))
        return await done

    def close(self) -> None:
        """Writes what is waiting, then ends the thread."""
        self._entries.put(None)
        self._thread.join()

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            while (first := self._entries.get()) is not None:
                batch = [first]
                ended = False
                while not self._entries.empty():
                    entry = self._entries.get()
                    if entry is None:
                        ended = True
                        break
                    batch.append(entry)
                outcomes: Sequence[int | StateError]
                try:
                    connection = connection or self._connect()
                    outcomes = _commit(connection, batch)
                except (sqlite3.Error, ValueError) as cause:  # ValueError: a text that is no Unicode
                    outcomes = [StateError(f"the state database {self._path} cannot be written: {cause}")] * len(batch)
                for (_, loop, done), outcome in zip(batch, outcomes, strict=True):
                    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                        loop.call_soon_threadsafe(_settle, done, outcome)
                if ended:
                    return
        finally:
            if connection is not None:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _commit(connection: sqlite3.Connection, batch: Sequence[_Entry]) -> list[int]:
    """Executes the statements of a batch, all or none; returns the number of rows that each changed."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [connection.execute(sql, tuple(values)).rowcount for (sql, values), _, _ in batch]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return outcomes


def _settle(done: asyncio.Future[int], outcome: int | StateError) -> None:
    if done.done():
        return
    if isinstance(outcome, StateError):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)
