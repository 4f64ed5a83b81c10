"""Plain calls to an engine, against a stub of one on a unix socket."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.engine_http import EngineHttp, path_of


class Stub:
    """Answers each connection's requests, which it keeps, with the answers it was given; then hangs up."""

    def __init__(self, path: Path, connections: list[list[bytes]]) -> None:
        self.requests: list[bytes] = []
        self._connections = connections
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        for answers in self._connections:
            connection, _ = self._listener.accept()
            with connection:
                for answer in answers:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += connection.recv(65_536)
                    self.requests.append(data)
                    connection.sendall(answer)


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@contextmanager
def talking(folder: Path, *connections: list[bytes]) -> Iterator[tuple[EngineHttp, Stub]]:
    path = folder / "engine.sock"
    stub = Stub(path, [*connections])
    calls = EngineHttp(EngineEndpoint(f"unix://{path}", None, "test"), "1.41", 5)
    try:
        yield calls, stub
    finally:
        calls.close()
        stub.close()


def test_calls_share_a_connection(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(b'{"a": 1}'), answer(b'{"b": 2}')]) as (calls, stub):
        assert calls.get("/info") == {"a": 1}
        assert calls.post("/containers/create", {"Image": "x"}, {"name": "a b"}) == {"b": 2}

    assert stub.requests[0].startswith(b"GET /v1.41/info HTTP/1.1\r\nHost: localhost\r\n")
    assert stub.requests[1].startswith(b"POST /v1.41/containers/create?name=a+b HTTP/1.1\r\n")


def test_names_cannot_leave_their_place_in_the_path() -> None:
    assert path_of("images", "a/b:1?x#y z", "json") == "/images/a/b:1%3Fx%23y%20z/json"


@pytest.mark.parametrize(("body", "words"), [(b'{"message": "no such thing"}', "no such thing"), (b" odd \n", "odd")])
def test_a_refusal_has_the_engines_words(tmp_path: Path, body: bytes, words: str) -> None:
    with talking(tmp_path, [answer(body, "404 Not Found")]) as (calls, _), pytest.raises(EngineRefusedError) as refused:
        calls.get("/info")

    assert (refused.value.status, refused.value.explanation) == (404, words)


def test_a_refusal_is_heard_while_the_body_is_still_being_sent(tmp_path: Path) -> None:
    with (
        talking(tmp_path, [answer(b'{"message": "no space"}', "500 Internal Server Error")]) as (calls, _),
        pytest.raises(EngineRefusedError, match="no space"),
    ):
        calls.call("PUT", "/containers/x/archive", None, (bytes(65_536) for _ in range(1_000)))


def test_a_cut_answer_is_a_failed_connection_and_the_next_call_has_a_new_one(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(b'{"a": 1}')[:-3]], [answer(b"{}")]) as (calls, _):
        with pytest.raises(http.client.IncompleteRead):
            calls.get("/info")
        assert calls.get("/info") == {}


def test_a_connection_that_was_hung_up_fails_the_call(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(b"{}")], [answer(b"{}")]) as (calls, _):
        calls.get("/info")
        with pytest.raises(OSError, match=r"closed|reset|Broken"):
            calls.get("/info")
        assert calls.get("/info") == {}


def test_what_is_not_read_of_an_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(bytes(100_000))], [answer(b"{}")]) as (calls, _):
        with calls.answer("GET", "/containers/x/logs") as logs:
            assert logs.read(10) == bytes(10)
        assert calls.get("/info") == {}
