"""Plain calls to an engine, against a stub of one on a unix socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dockersched.errors import EngineRefusedError, TransientRunnerError
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.engine_http import EngineHttp, path_of
from dockersched.sandbox.docker.image_pull import pull_messages

MORE_THAN_A_PIECE = 66_000
"""A body of this size is not read at once, and fits into a socket's buffer whatever memory the kernel has for it."""


class Stub:
    """Answers each connection's requests, which it keeps, with the answers it was given; then hangs up."""

    def __init__(self, path: Path, connections: list[list[bytes]], end: bytes) -> None:
        self._end = end
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
                    while self._end not in data:
                        data += connection.recv(65_536)
                    self.requests.append(data)
                    with suppress(BrokenPipeError):  # whoever asked does not want it all
                        connection.sendall(answer)


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@contextmanager
def talking(folder: Path, *connections: list[bytes], end: bytes = b"\r\n\r\n") -> Iterator[tuple[EngineHttp, Stub]]:
    path = folder / "engine.sock"
    stub = Stub(path, [*connections], end)
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
    assert stub.requests[1].endswith(b'\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"Image": "x"}')


def test_an_order_without_a_body_says_so(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(b""), answer(b"")]) as (calls, stub):
        calls.call("POST", "/containers/x/start")
        calls.call("DELETE", "/containers/x")

    assert b"\r\nContent-Length: 0\r\n\r\n" in stub.requests[0]
    assert b"Content-Length" not in stub.requests[1]


def test_a_body_in_pieces_goes_in_chunks_of_which_only_the_last_is_empty(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(b"")], end=b"0\r\n\r\n") as (calls, stub):
        calls.call("PUT", "/containers/x/archive", None, iter([b"0123456789", b"", b"ab"]))

    head, _, body = stub.requests[0].partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nTransfer-Encoding: chunked")
    assert body == b"A\r\n0123456789\r\n2\r\nab\r\n0\r\n\r\n"


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
        with pytest.raises(ConnectionError, match="in the middle of its answer"):
            calls.get("/info")
        assert calls.get("/info") == {}


def test_a_connection_that_was_hung_up_fails_the_call(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(b"{}")], [answer(b"{}")]) as (calls, _):
        calls.get("/info")
        with pytest.raises(OSError, match=r"closed|reset|Broken"):
            calls.get("/info")
        assert calls.get("/info") == {}


def test_what_is_not_read_of_an_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    with talking(tmp_path, [answer(bytes(MORE_THAN_A_PIECE))], [answer(b"{}")]) as (calls, _):
        with calls.answer("GET", "/containers/x/logs") as logs:
            assert next(iter(logs)).strip(bytes(1)) == b""
        assert calls.get("/info") == {}


def test_an_answer_that_is_still_being_read_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    with (
        talking(tmp_path, [answer(bytes(MORE_THAN_A_PIECE))], [answer(b"{}"), answer(b"[]")]) as (calls, _),
        calls.answer("GET", "/containers/x/logs") as logs,
    ):
        assert calls.get("/info") == {}
        assert calls.get("/info") == []
        with pytest.raises(OSError, match="Bad file descriptor"):
            logs.read()


@pytest.mark.parametrize("head", ["Connection: close\r\nContent-Length: 2", "Connection: close", "X-Length: none"])
def test_a_connection_that_the_engine_ends_is_made_anew(tmp_path: Path, head: str) -> None:
    with talking(tmp_path, [f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n{{}}".encode()], [answer(b"[]")]) as (calls, _):
        assert calls.get("/info") == {}
        assert calls.get("/info") == []


def test_what_a_head_announces_is_not_waited_for(tmp_path: Path) -> None:
    heads = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Stat: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Stat: b\r\n\r\n"]
    with talking(tmp_path, [*heads, answer(b"{}")]) as (calls, _):
        for stat in ("a", "b"):
            with calls.answer("HEAD", "/containers/x/archive") as found:
                assert (found.headers["x-stat"], found.read()) == (stat, b"")
        assert calls.get("/info") == {}


def test_a_pull_that_is_told_no_further_than_the_middle_of_a_message_may_be_tried_again(tmp_path: Path) -> None:
    told = b'{"status": "Pulling"}\r\n{"status": "Downl'
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%X\r\n%b\r\n0\r\n\r\n" % (len(told), told)
    with talking(tmp_path, [chunked]) as (calls, _):
        messages = pull_messages(calls, "app:1")
        assert next(messages) == {"status": "Pulling"}
        with pytest.raises(TransientRunnerError, match="answer could not be used"):
            next(messages)
