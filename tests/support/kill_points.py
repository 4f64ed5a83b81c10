"""Kills dockersched with SIGKILL before and after each engine call and each state write.

Run as `python -m tests.support.kill_points VERB …` it is the command itself, in which every such call passes a point.
The points that were passed are appended to the file that KILL_POINTS_PASSED names; at the one that KILL_POINTS_AT
names, the process kills itself. The product knows nothing of all that.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

from dockersched.cli import main
from dockersched.report import document, event_log
from dockersched.sandbox.docker import collecting, gatekeeper, streams
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.http_answer import HttpAnswer

T = TypeVar("T")
PASSED, AT = "KILL_POINTS_PASSED", "KILL_POINTS_AT"

_OBJECT_CALL = re.compile(r"/(\w+)/(?:.+)/(\w+)")
_STATEMENT = re.compile(r"\s*(\w+)(?:.*?\b(runs|images|attempts)\b(?:.*?SET (\w+))?)?", re.DOTALL)
_LIMIT_S = 90.0


class Points:
    """Counts the calls of each kind, and kills this process at one of them."""

    def __init__(self, passed: Path, at: str) -> None:
        self._passed = os.open(passed, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._at = at
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def around(self, kind: str, call: Callable[[], T]) -> T:
        """Makes a call between two points."""
        point = self._next(kind)
        self._pass(f"{point} before")
        try:
            return call()
        finally:
            self._pass(f"{point} after")

    def wrap(self, owner: object, name: str, kind: str) -> None:
        """Puts points around every call of a function."""
        call = getattr(owner, name)

        @wraps(call)
        def wrapped(*args: Any, **named: Any) -> Any:
            return self.around(kind, partial(call, *args, **named))

        setattr(owner, name, wrapped)

    def wrap_async(self, owner: object, name: str, kind: str) -> None:
        """The same for a coroutine function."""
        call: Callable[..., Awaitable[object]] = getattr(owner, name)

        @wraps(call)
        async def wrapped(*args: Any, **named: Any) -> Any:
            point = self._next(kind)
            self._pass(f"{point} before")
            try:
                return await call(*args, **named)
            finally:
                self._pass(f"{point} after")

        setattr(owner, name, wrapped)

    def _next(self, kind: str) -> str:
        with self._lock:
            self._counts[kind] += 1
            return f"{kind} #{self._counts[kind]}"

    def _pass(self, point: str) -> None:
        os.write(self._passed, f"{point}\n".encode())
        if point == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(_LIMIT_S)  # another thread's work must not go on while the signal comes


def install(points: Points) -> None:
    """Puts points around each request to the engine and each release, each statement and each file that is written."""
    answer = EngineHttp.answer

    @contextmanager
    def answer_at_points(http: EngineHttp, method: str, path: str, *args: Any) -> Iterator[HttpAnswer]:
        with ExitStack() as stack:
            call = partial(answer, http, method, path, *args)
            yield points.around(_request_kind(method, path), lambda: stack.enter_context(call()))

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            return _at_points(points, sql, partial(super().execute, sql, *args))

        def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
            return _at_points(points, sql, partial(super().executemany, sql, *args))

        def executescript(self, sql: str) -> sqlite3.Cursor:
            return _at_points(points, sql, partial(super().executescript, sql))

    EngineHttp.answer = answer_at_points  # type: ignore[method-assign, assignment]
    sqlite3.connect = partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]
    points.wrap_async(gatekeeper, "open_stdin", "POST containers/*/attach")
    points.wrap_async(streams.Stdin, "send", "release")
    points.wrap(event_log.EventLog, "observe", "write events.jsonl")
    points.wrap(collecting, "collect", "write log file")
    points.wrap(document, "write_atomically", "write result.json")
    points.wrap(Path, "replace", "rename file")
    points.wrap(Path, "rename", "rename folder")


def _at_points(points: Points, sql: str, call: Callable[[], T]) -> T:
    words = _STATEMENT.match(sql)
    assert words
    kind = " ".join(word for word in words.groups() if word)
    return call() if kind.startswith(("SELECT", "PRAGMA")) else points.around(f"sql {kind}", call)


def _request_kind(method: str, path: str) -> str:
    if method == "DELETE":
        return f"DELETE {'volume' if path.startswith('/volumes/') else 'container'}"
    if of_object := _OBJECT_CALL.fullmatch(path):
        return f"{method} {of_object[1]}/*/{of_object[2]}"
    return f"{method} {path.removeprefix('/')}"


if __name__ == "__main__":
    install(Points(Path(os.environ[PASSED]), os.environ.get(AT, "")))
    sys.exit(main())
