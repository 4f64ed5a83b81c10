"""A start whose reply got lost is not made again blindly, however long the engine was away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest

from dockersched.errors import EngineRefusedError, EngineUnavailableError
from dockersched.sandbox.docker import transport
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.retries import Retries
from tests.support.engine_answers import inspected


class Engine(ThreadingMixIn, UnixStreamServer):
    """Knows one container, shown as never started; answers no start as long as it is about to go down."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder / "socket"), Answer)
        self.is_going_down = True
        self.remembers_creation = False
        self.starts = 0

    def answer(self, method: str, path: str) -> bytes | None:
        if path.endswith("/start"):
            self.starts += 1
            return None if self.is_going_down else b""
        if self.is_going_down:
            return None
        if "/events" in path:
            return b'{"Action":"create"}\n' if self.remembers_creation else b""
        info = {"SystemTime": datetime.now(UTC).isoformat(), "NCPU": 2, "MemTotal": 1}
        return json.dumps(info if path.endswith("/info") else inspected()).encode()


class Answer(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.server.answer(self.command, self.path)
        if body is None:
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(transport, "RETRIES", Retries(tries=2, first_wait_s=0.001, longest_wait_s=0.001))
    with Engine(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def batches(tmp_path: Path) -> Iterator[list[EngineCalls]]:
    """Two batches of calls to one engine."""
    health, closing = EngineHealth(lambda: datetime.now(UTC)), threading.Event()
    endpoint = EngineEndpoint(f"unix://{tmp_path}/socket", None, "test")
    made = [EngineCalls(EngineHttp(endpoint, "1.41", 5.0), closing, health) for _ in range(2)]
    yield made
    for each in made:
        each.close()


def test_a_later_batch_does_not_start_what_another_daemon_may_have_started(
    engine: Engine, batches: list[EngineCalls]
) -> None:
    first, second = batches
    with pytest.raises(EngineUnavailableError):
        first.start("c1")
    assert engine.starts == 1
    engine.is_going_down = False
    with pytest.raises(EngineRefusedError, match="went down while it started"):
        second.start("c1")
    assert engine.starts == 1


def test_a_later_batch_starts_what_the_same_daemon_did_not(engine: Engine, batches: list[EngineCalls]) -> None:
    first, second = batches
    with pytest.raises(EngineUnavailableError):
        first.start("c1")
    engine.is_going_down, engine.remembers_creation = False, True
    second.start("c1")
    assert engine.starts == 2
