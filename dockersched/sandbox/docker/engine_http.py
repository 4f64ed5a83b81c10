"""Plain calls to the engine's API: HTTP over one socket, answers as JSON or in pieces.

The SDK needs several times the processor time for each call, and long for its import; it is used where it knows more:
for pulls, with their credentials, and for image builds.
Format: https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from http import HTTPStatus
from itertools import chain
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.dial import dial
from dockersched.sandbox.docker.http_answer import HttpAnswer, explanation

Query = Mapping[str, str | int]

_TAR = "application/x-tar"
_JSON = "application/json"


class EngineHttp:
    """Calls one after another, for one thread, over a connection that is kept until `close` or a failure.

    All raise `EngineRefusedError` for an answer of 400 or more, `OSError` for a connection that failed, also in the
    middle of an answer, and `ValueError` for an answer that is no JSON.

    Args:
        endpoint: where the engine is.
        api_version: of all calls.
        timeout_s: seconds of silence after which a call fails.
    """

    def __init__(self, endpoint: EngineEndpoint, api_version: str, timeout_s: float) -> None:
        self.endpoint = endpoint
        self.api_version = api_version
        self.timeout_s = timeout_s
        self._host = _host(endpoint)
        self._connection: socket.socket | None = None
        self._is_idle = True

    def close(self) -> None:
        """Closes the connection; the next call makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, query: Query | None = None) -> Any:
        """What the engine answers to a question."""
        return _parsed(self.call("GET", path, query))

    def post(self, path: str, body: Mapping[str, Any], query: Query | None = None) -> Any:
        """What the engine answers to an order in JSON."""
        return _parsed(self.call("POST", path, query, json.dumps(body).encode(), _JSON))

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: bytes | Iterable[bytes] | None = None,
        content_type: str = _TAR,
    ) -> bytes:
        """The engine's whole answer; the arguments are those of `answer`."""
        with self.answer(method, path, query, body, content_type) as answer:
            return answer.read()

    @contextmanager
    def answer(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: bytes | Iterable[bytes] | None = None,
        content_type: str = _TAR,
    ) -> Iterator[HttpAnswer]:
        """The engine's answer, to be read in the block; what is not read by then is given up with the connection.

        Args:
            method: of HTTP.
            path: below the API version, as `path_of` makes it.
            query: parameters.
            body: of the request; what is no bytes goes in chunks.
            content_type: of the body.
        """
        request = self._request(method, path, query, body, content_type)
        if not self._is_idle:
            self.close()  # what is left of an answer that is still being read must not be taken for this one
        self._is_idle = False
        try:
            if self._connection is None:
                self._connection = dial(self.endpoint, self.timeout_s)
            # An engine that refuses a body need not read it to its end: its answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                for piece in request:
                    self._connection.sendall(piece)
            answer = HttpAnswer(self._connection, is_head=method == "HEAD")
            if answer.status >= 400:
                raise EngineRefusedError(answer.status, explanation(answer.read()))
            yield answer
            self._is_idle = answer.leaves_connection_usable
        finally:
            if not self._is_idle:
                self.close()

    def _request(
        self, method: str, path: str, query: Query | None, body: bytes | Iterable[bytes] | None, content_type: str
    ) -> Iterable[bytes]:
        """What is to be sent, in pieces; the head and a body of bytes are one."""
        target = f"/v{self.api_version}{path}" + (f"?{urlencode(query)}" if query else "")
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nAccept-Encoding: identity\r\n"
        if body is None:
            length = "Content-Length: 0\r\n" if method in {"POST", "PUT"} else ""
            return [f"{head}{length}\r\n".encode("ascii")]
        head += f"Content-Type: {content_type}\r\n"
        if isinstance(body, bytes):
            return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body]
        return chain([f"{head}Transfer-Encoding: chunked\r\n\r\n".encode("ascii")], _chunks(body))


def _parsed(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


_NO_NAMES = frozenset({"", ".", ".."})
"""Steps of a path that its reader takes away, some with what is before them."""


def path_of(*parts: str) -> str:
    """The path of a thing of the engine, as `/containers/NAME/json`.

    Raises:
        EngineRefusedError: a name would lead to another thing.
    """
    return "".join(map(_step, parts))


@lru_cache(maxsize=1_024)  # a few words and names, each in several calls of a sandbox's life
def _step(part: str) -> str:
    if _NO_NAMES & set(part.split("/")):
        raise EngineRefusedError(HTTPStatus.BAD_REQUEST, f"invalid name: {part[:60]!r}")
    return f"/{quote(part, safe='/:')}"


def _chunks(body: Iterable[bytes]) -> Iterator[bytes]:
    for piece in body:
        if piece:  # an empty chunk is the last
            yield b"%X\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _host(endpoint: EngineEndpoint) -> str:
    url = urlsplit(endpoint.host)
    if url.scheme != "tcp":
        return "localhost"
    return url.netloc if url.netloc.isascii() else url.netloc.encode("idna").decode()
