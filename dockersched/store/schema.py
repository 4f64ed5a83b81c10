"""The layout of the state database, and how an older one becomes a newer one."""

import sqlite3

from dockersched.errors import StateError

VERSION = 1

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
    PRIMARY KEY (run_id, task_id, attempt)
) WITHOUT ROWID;
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Creates the tables in a new database.

    Raises:
        StateError: a newer dockersched wrote this one.
    """
    found = _version(connection)
    if found > VERSION:
        raise StateError(
            f"the state database has schema version {found}, this dockersched knows {VERSION}: "
            "use the newer dockersched that wrote it, or another --state-dir"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    if found == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) == 0:  # else another process was faster
            for statement in filter(None, _CREATE.split(";\n")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
