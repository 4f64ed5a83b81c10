"""The engine's answer to one HTTP request, parsed by llhttp as it comes out of a socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from dockersched.errors import PermanentRunnerError

_PIECE_BYTES = 2**16
_WHOLE_BYTES = 2**26


class HttpAnswer:
    """One answer, whose head is there once this is made; its body is received as it is asked for.

    All raise `ConnectionError` for an answer that is cut, goes on after its end or is no HTTP, and what the socket
    raises.

    Args:
        connected: over which the request was sent.
        is_head: whether that was a `HEAD` request, whose answer has no body whatever it says.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, connected: socket.socket, *, is_head: bool = False) -> None:
        self._connected = connected
        self._message = _Message(is_head=is_head)
        while not self._message.status:
            self._receive()
        self.status = self._message.status

    def __iter__(self) -> Iterator[bytes]:
        """The body in the pieces that it comes in, of at most 64 KiB; none is empty."""
        message = self._message
        while True:
            if message.body:
                piece = b"".join(message.body)
                message.body.clear()
                yield piece
            elif message.is_whole:
                return
            else:
                self._receive()

    def read(self) -> bytes:
        """What is left of the body.

        Raises:
            PermanentRunnerError: it is larger than 64 MiB; the next answer would be, too.
        """
        body = bytearray()
        for piece in self:
            body += piece
            if len(body) > _WHOLE_BYTES:
                raise PermanentRunnerError(f"the engine's answer is larger than {_WHOLE_BYTES >> 20} MiB")
        return bytes(body)

    @property
    def headers(self) -> dict[str, str]:
        """Their names in lower case."""
        return self._message.headers()

    @property
    def leaves_connection_usable(self) -> bool:
        """Whether the next request can go over the same connection: the answer was received to its end."""
        return self._message.is_whole and self._message.keeps_alive

    def _receive(self) -> None:
        message = self._message
        data = self._connected.recv(_PIECE_BYTES)
        if not data:
            message.end()
            return
        try:
            message.parser.feed_data(data)
        except HttpParserUpgrade:
            message.keeps_alive = False  # what follows is of another protocol
        except HttpParserError as error:
            raise ConnectionError(f"the engine's answer is no HTTP: {error}") from error
        if message.has_excess:
            raise ConnectionError("the engine's answer goes on after its end")
        if message.is_whole:
            del message.parser  # which refers to the message: garbage that only a search would find


def explanation(body: bytes) -> str:
    """The engine's words in the body of an answer of 400 or more."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace").strip()


class _Message:
    """What the parser tells of an answer; what only announces it, such as `100 Continue`, is dropped."""

    def __init__(self, *, is_head: bool) -> None:
        self.parser = HttpResponseParser(self)
        self.status = 0
        self._headers: list[tuple[bytes, bytes]] = []  # hardly any is ever asked for
        self.body: list[bytes] = []
        self.is_whole = False
        self.keeps_alive = False
        self.has_excess = False
        self._is_head = is_head

    def on_message_begin(self) -> None:
        self.has_excess = self.has_excess or self.is_whole

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status < 200 and status != 101:
            self._headers.clear()
            return
        self.status = status
        self.is_whole = self._is_head
        self.keeps_alive = self.parser.should_keep_alive() or (self._is_head and self._asks_for_no_end())

    def on_body(self, piece: bytes) -> None:
        self.has_excess = self.has_excess or self.is_whole
        self.body.append(piece)

    def on_message_complete(self) -> None:
        self.is_whole = self.status != 0

    def headers(self) -> dict[str, str]:
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}

    def _asks_for_no_end(self) -> bool:
        # The parser does not know of HEAD: an answer without a length is to it one that the connection's end ends.
        return self.parser.get_http_version() != "1.0" and self.headers().get("connection", "").lower() != "close"

    def end(self) -> None:
        """The connection ended, which is the end of an answer that has no other."""
        if not self.status:
            raise ConnectionError("the engine closed the connection without an answer")
        if not self.headers().keys().isdisjoint(("content-length", "transfer-encoding")):
            raise ConnectionError("the engine closed the connection in the middle of its answer")
        self.is_whole = True
