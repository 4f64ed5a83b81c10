"""A pull from an engine that says no more of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker import image_pull
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth

PULLING = b'{"status": "Pulling from x"}\r\n'
BEGUN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(PULLING), PULLING)


@contextmanager
def falling_silent(path: Path, said: bytes) -> Iterator[list[bytes]]:
    """An engine that says this to whoever asks and then nothing more; gives what it was asked."""
    asked: list[bytes] = []
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connected, _ = listener.accept()
                except OSError:
                    return
                with connected:
                    asked.append(connected.recv(65_536))
                    connected.sendall(said)
                    connected.recv(1)  # until the other side has enough

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize(("said", "told"), [(b"", []), (BEGUN, ["pull Pulling from x"])])
@pytest.mark.parametrize("folder", ["plain", "a#b"])
def test_one_of_which_nothing_is_heard_is_given_up(
    said: bytes, told: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_pull, "_SILENCE_MAX_S", 0.2)
    path = tmp_path / folder / "socket"
    path.parent.mkdir()
    progress: list[str] = []
    with falling_silent(path, said) as asked:
        http = EngineHttp(EngineEndpoint(f"unix://{path}", None, "test"), "1.41", 60)
        health = EngineHealth(lambda: datetime.now(UTC))
        with (
            closing(EngineCalls(http, threading.Event(), health)) as calls,
            pytest.raises(EngineRefusedError, match="nothing was heard of it for"),
        ):
            calls.pull("app:1", progress.append)
    assert progress == told
    assert len(asked) == 1
