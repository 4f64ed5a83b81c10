"""One thread that writes to the database: many writers' records in one transaction, each awaited until it is safe."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from dockersched.errors import StateError
from dockersched.store.connection import connect

Row = Sequence[str | int]
_Entry = tuple[tuple[str, Row], asyncio.AbstractEventLoop, "asyncio.Future[int]"]
_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class BatchWriter:
    """Writes rows, each by a statement that takes a JSON list of them and that changes at most one row for each.

    What waits while the disk is being synchronised goes with the next transaction, so that the cost of a
    synchronisation is shared by all that wait for it. In a transaction, rows of one statement are written together, in
    the order in which they are given, and different statements in any order: who minds waits for one before the next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: SimpleQueue[_Entry | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="dockersched-state", daemon=True)
        self._thread.start()

    async def write(self, sql: str, row: Row) -> int:
        """Writes one row; returns how many rows of the database that changed, once it is safe on disk.

        Raises:
            StateError: it could not be written.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        self._entries.put(((sql, row), loop, done))
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
                    connection = connection or connect(self._path)
                    outcomes = _commit(connection, batch)
                except (sqlite3.Error, ValueError) as cause:  # ValueError: a text that is no Unicode
                    outcomes = [StateError(f"the state database {self._path} cannot be written: {cause}")] * len(batch)
                _settle_each(batch, outcomes)
                if ended:
                    return
        finally:
            if connection is not None:
                connection.close()


def _commit(connection: sqlite3.Connection, batch: Sequence[_Entry]) -> list[int]:
    """Writes the rows of a batch, all or none; returns how many rows of the database each of them changed."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        if _write_together(connection, batch):
            outcomes = [1] * len(batch)
        else:  # some had no effect: which ones, only one at a time tells
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [connection.execute(sql, (_as_json([row]),)).rowcount for (sql, row), _, _ in batch]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return outcomes


def _write_together(connection: sqlite3.Connection, batch: Sequence[_Entry]) -> bool:
    """Executes each statement once, for all of its rows; returns whether each row had an effect.

    SQLite gives up the interpreter's lock while it executes, and gets it back only when the event loop lets go of it,
    which takes milliseconds while that is busy: so not once for each row.
    """
    rows_of: dict[str, list[Row]] = {}
    for (sql, row), _, _ in batch:
        rows_of.setdefault(sql, []).append(row)
    changed = [connection.execute(sql, (_as_json(rows),)).rowcount for sql, rows in rows_of.items()]
    return sum(changed) == len(batch)


def _settle_each(batch: Sequence[_Entry], outcomes: Sequence[int | StateError]) -> None:
    """Tells whoever waits, each event loop once: waking it takes longer than writing a row."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int | StateError]]] = {}
    for (_, loop, done), outcome in zip(batch, outcomes, strict=True):
        by_loop.setdefault(loop, []).append((done, outcome))
    for loop, settled in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: Sequence[tuple[asyncio.Future[int], int | StateError]]) -> None:
    for done, outcome in settled:
        if done.done():
            continue
        if isinstance(outcome, StateError):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)
