"""The layout of the state database, and how an older one becomes a newer one."""

import sqlite3
import time

from dockersched.errors import StateError
from dockersched.store.connection import BUSY_TIMEOUT_S

VERSION = 2
_PAUSE_S = 0.01

_CREATE = """
CREATE TABLE runs (
    run_id      TEXT PRIMARY KEY,
    epic_id     TEXT NOT NULL,
    epic        TEXT NOT NULL,   -- the resolved epic: tasks with all defaults, and the options of the run
    created_at  TEXT NOT NULL,
    state       TEXT,            -- NULL while the run is unfinished
    exit_code   INTEGER,
    finished_at TEXT
);
CREATE TABLE images (
    run_id   TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    image    TEXT NOT NULL,
    image_id TEXT NOT NULL,
    digest   TEXT NOT NULL,
    PRIMARY KEY (run_id, image)
) WITHOUT ROWID;
CREATE TABLE attempts (
    run_id      TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    task_id     TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    intended_at TEXT NOT NULL,   -- written before the sandbox is made; created_at of a run that took it over
    stop_intent TEXT,            -- why it was stopped; written before the signal is sent
    result      TEXT,            -- the terminal record; NULL until there is one, and never changed
    is_disregarded INTEGER NOT NULL DEFAULT 0,  -- whether its task gets another although it has ended
    PRIMARY KEY (run_id, task_id, attempt)
) WITHOUT ROWID;
"""

_UPGRADES = {1: "ALTER TABLE attempts ADD COLUMN is_disregarded INTEGER NOT NULL DEFAULT 0"}
"""What makes the layout of a version that of the next. An older dockersched that has the database open goes on."""


def prepare(connection: sqlite3.Connection) -> None:
    """Creates the tables in a new database, and brings an older one to this layout.

    Where others do the same, SQLite does not always wait for them as long as it was told to: not with the journal mode.

    Raises:
        StateError: a newer dockersched wrote this one.
        sqlite3.Error: it cannot be used, or others hold it for too long.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return _prepare(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        time.sleep(_PAUSE_S)


def _prepare(connection: sqlite3.Connection) -> None:
    found = _version(connection)
    if found > VERSION:
        raise StateError(
            f"the state database has schema version {found}, this dockersched knows {VERSION}: "
            "use the newer dockersched that wrote it, or another --state-dir"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    if found < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        found = _version(connection)  # another process may have been faster
        steps = _CREATE.split(";\n") if found == 0 else [_UPGRADES[version] for version in range(found, VERSION)]
        for statement in filter(None, steps):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
