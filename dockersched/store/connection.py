"""Connections to the state database, for whoever writes to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

BUSY_TIMEOUT_S = 30
_CACHE_KB = 256
"""Of the database in memory: SQLite's own 2 MB would fill up during a run with what is hardly ever read again."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose transactions are safe on disk when they are committed.

    Raises:
        sqlite3.Error: there is none.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = {-_CACHE_KB}")
    except BaseException:
        connection.close()
        raise
    return connection
