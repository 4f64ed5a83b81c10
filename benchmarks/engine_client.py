"""The least that a client of the engine can be: HTTP/1.1 over the Unix socket, one connection for each thread."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote, urlsplit

from dockersched.sandbox.docker.connection import resolve_endpoint

API = "/v1.41"


class EngineAnswerError(Exception):
    """The engine answered with an error."""


class EngineConnection:
    """One connection, kept open; for one thread.

    Args:
        host: the engine's URL; None for the one that the environment names.

    Raises:
        OSError: no engine answers on a Unix socket.
    """

    def __init__(self, host: str | None = None) -> None:
        url = urlsplit(host or resolve_endpoint().host)
        if url.scheme != "unix":
            raise OSError(f"the bench talks to an engine on a Unix socket, not to {url.geturl()}")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(url.path)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Sends one request and reads its answer; returns the JSON in it, or None.

        Raises:
            EngineAnswerError: the answer is an error.
        """
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {API}{path} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n"
        self._socket.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        status, answer = self._answer()
        if status >= 400:
            raise EngineAnswerError(f"{method} {path}: {status} {answer.decode(errors='replace').strip()}")
        return json.loads(answer) if answer else None

    def _answer(self) -> tuple[int, bytes]:
        status_line = self._answers.readline()
        if not status_line:
            raise EngineAnswerError("the engine closed the connection")
        headers = dict(iter(self._header, None))
        if headers.get("transfer-encoding") == "chunked":
            content = b"".join(iter(self._chunk, b""))
        else:
            content = self._answers.read(int(headers.get("content-length", 0)))
        return int(status_line.split()[1]), content

    def _header(self) -> tuple[str, str] | None:
        name, colon, value = self._answers.readline().decode("latin-1").partition(":")
        return (name.lower(), value.strip()) if colon else None

    def _chunk(self) -> bytes:
        chunk = self._answers.read(int(self._answers.readline(), 16))
        self._answers.readline()
        return chunk


def quoted_filters(**filters: str) -> str:
    """Filters of a listing, as part of a URL."""
    return quote(json.dumps({key: [value] for key, value in filters.items()}))
