"""Answers of an engine, byte by byte as they may come."""

from __future__ import annotations

import gc
import socket
import threading
import tracemalloc

import pytest

from dockersched.errors import PermanentRunnerError
from dockersched.sandbox.docker.http_answer import HttpAnswer

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nX-Interim: 1\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n"


def received(*pieces: bytes) -> HttpAnswer:
    """The answer that comes in these pieces, with which the connection ends."""
    return HttpAnswer(_Coming(*pieces))


class _Coming(socket.socket):
    """A socket that receives what it was given, a piece at a time."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__(socket.AF_UNIX)
        self._pieces = [*pieces]
        self.close()

    def recv(self, _size: int, _flags: int = 0) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def by_bytes(data: bytes) -> list[bytes]:
    return [data[offset : offset + 1] for offset in range(len(data))]


@pytest.mark.parametrize(
    "data", [LENGTH, CHUNKS, INTERIM + LENGTH, INTERIM + CHUNKS, HINTS + LENGTH, ENDLESS + b"hello"]
)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(data: bytes) -> None:
    for pieces in ([data], by_bytes(data)):
        answer = received(*pieces)
        assert (answer.status, answer.read()) == (200, b"hello")
        assert "x-interim" not in answer.headers


@pytest.mark.parametrize("data", [LENGTH, CHUNKS, INTERIM + LENGTH])
def test_an_answer_that_is_cut_is_none_wherever_that_is(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(ConnectionError, match="closed the connection"):
            received(data[:end]).read()


@pytest.mark.parametrize("data", [LENGTH, CHUNKS])
@pytest.mark.parametrize("excess", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LENGTH])
def test_an_answer_that_goes_on_after_its_end_is_none(data: bytes, excess: bytes) -> None:
    with pytest.raises(ConnectionError, match=r"no HTTP|after its end"):
        received(data + excess).read()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    ],
)
def test_what_is_no_http_is_a_failed_connection(data: bytes) -> None:
    with pytest.raises(ConnectionError, match="no HTTP"):
        received(data).read()


@pytest.mark.parametrize(
    ("data", "is_usable"),
    [
        (LENGTH, True),
        (CHUNKS, True),
        (LENGTH.replace(b"1.1", b"1.0"), False),
        (LENGTH.replace(b"OK", b"OK\r\nConnection: close"), False),
        (ENDLESS, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", True),
        (b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw", False),
    ],
)
def test_a_connection_is_used_again_if_the_answer_lets_it(data: bytes, is_usable: bool) -> None:
    answer = received(data)
    answer.read()
    assert answer.leaves_connection_usable == is_usable


@pytest.mark.parametrize("status", [101, 204, 304])
def test_some_answers_have_no_body_whatever_they_say(status: int) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"
    assert received(b"HTTP/1.1 %d Odd\r\nContent-Length: 5\r\n%b\r\n" % (status, upgrade)).read() == b""


def test_an_answer_is_unread_until_its_end_has_come() -> None:
    answer = received(LENGTH[:-1], LENGTH[-1:])
    pieces = iter(answer)
    assert (next(pieces), answer.leaves_connection_usable) == (b"hell", False)
    assert (next(pieces), answer.leaves_connection_usable) == (b"o", True)
    assert next(pieces, None) is None


@pytest.mark.parametrize(
    ("head", "is_usable"),
    [
        (ENDLESS, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
    ],
)
def test_a_connection_is_used_again_after_a_head_request(head: bytes, is_usable: bool) -> None:
    answer = HttpAnswer(_Coming(head), is_head=True)
    assert (answer.read(), answer.leaves_connection_usable) == (b"", is_usable)


def test_an_answer_to_a_head_request_that_has_a_body_all_the_same_is_none() -> None:
    with pytest.raises(ConnectionError, match="after its end"):
        HttpAnswer(_Coming(LENGTH), is_head=True)


def test_a_long_body_is_never_in_memory_as_a_whole() -> None:
    ours, theirs = socket.socketpair()
    piece, count = bytes(2**15), 1_000

    def send() -> None:
        with theirs:
            theirs.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(count):
                theirs.sendall(b"%X\r\n%b\r\n" % (len(piece), piece))
            theirs.sendall(b"0\r\n\r\n")

    sending = threading.Thread(target=send)
    sending.start()
    tracemalloc.start()
    with ours:
        assert sum(map(len, HttpAnswer(ours))) == count * len(piece)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sending.join()
    assert most < 2**20


def test_an_answer_is_no_garbage_once_it_was_read() -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            received(CHUNKS).read()
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_an_answer_that_is_too_large_is_no_failure_of_the_connection() -> None:
    with pytest.raises(PermanentRunnerError, match="larger than 64 MiB"):
        received(ENDLESS, *[bytes(2**22)] * 17).read()
