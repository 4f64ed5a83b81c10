"""Streams of the engine (events, output that is still growing), read on the event loop instead of in threads."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker.dial import dial, tls_context

if TYPE_CHECKING:
    from dockersched.sandbox.docker.connection import EngineEndpoint

_DIAL_TIMEOUT_S = 10.0
_ATTACH_TIMEOUT_S = 20.0
_LINE_LIMIT = 2**20
_CHUNK = 65_536
_FRAME_HEADER = struct.Struct(">BxxxL")
_ENGINES_OWN = 3
"""The stream of what the engine itself has to say; those before are the container's."""
_WORDS_MAX = 500


@asynccontextmanager
async def open_stream(endpoint: EngineEndpoint, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """GETs `path` and gives its body as it grows; the body ends when the engine or the connection does.

    The request is HTTP/1.0, to which the engine answers without chunks: the body is everything behind the head.

    Raises:
        EngineUnavailableError: no connection, or an answer other than 200.
    """
    reader, writer = await _request(endpoint, f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n", b"200")
    try:
        yield reader
    finally:
        writer.transport.abort()


class Stdin:
    """The standard input of one container; when it is closed, by whatever ends this process too, that ends as well."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Sends the last that the container is to read.

        Raises:
            OSError: the connection is gone; whether anything arrived is not known.
        """
        self._writer.write(data)
        await self._writer.drain()
        self._writer.close()

    def close(self) -> None:
        """Ends the input."""
        self._writer.transport.abort()


async def open_stdin(endpoint: EngineEndpoint, api_version: str, container: str) -> Stdin:
    """Takes hold of the standard input of a container that was made with one.

    Raises:
        EngineUnavailableError: no connection, or the engine refuses it, or does not answer in time.
    """
    path = f"/v{api_version}/containers/{container}/attach?stream=1&stdin=1"
    upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    try:
        async with asyncio.timeout(_ATTACH_TIMEOUT_S):
            _, writer = await _request(endpoint, f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n", b"101")
    except TimeoutError as error:
        raise EngineUnavailableError(f"the engine does not let go of the input of {container}") from error
    return Stdin(writer)


async def _request(
    endpoint: EngineEndpoint, request: str, expected: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends a request and reads the head of its answer, which must have the expected status."""
    try:
        async with asyncio.timeout(_DIAL_TIMEOUT_S):  # `wait_for` of Python 3.11 can swallow a cancellation
            reader, writer = await _connect(endpoint)
    except (OSError, TimeoutError) as error:
        raise EngineUnavailableError(f"no stream from the engine: {error}") from error
    try:
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
    except BaseException as error:
        writer.transport.abort()
        if isinstance(error, (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)):
            raise EngineUnavailableError(f"no stream from the engine: {error}") from error
        raise
    if head.split(b" ", 2)[1:2] != [expected]:
        writer.transport.abort()
        raise EngineUnavailableError(f"no stream from the engine: {head[:200]!r}")
    return reader, writer


async def _connect(endpoint: EngineEndpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if endpoint.socket is not None:
        return await asyncio.open_unix_connection(endpoint.socket, limit=_LINE_LIMIT)
    url = urlsplit(endpoint.host)
    if url.scheme == "ssh":
        socket = await asyncio.to_thread(dial, endpoint, _DIAL_TIMEOUT_S)
        socket.setblocking(False)
        return await asyncio.open_connection(sock=socket, limit=_LINE_LIMIT)
    context = tls_context(endpoint.tls) if endpoint.tls else None
    return await asyncio.open_connection(url.hostname, url.port, ssl=context, limit=_LINE_LIMIT)


class FrameDecoder:
    """Takes the payloads out of the engine's multiplexed output, whatever the chunks it comes in.

    Format: 1 byte stream, 3 bytes zero, 4 bytes big-endian length, payload
    (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).

    Attributes:
        frames: headers seen so far; the log driver has one entry for each.
        size: of the payloads so far.
        trouble: why not all of the output is there, in the engine's words; empty while nothing is known of that.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.size = 0
        self.trouble = ""
        self._header = b""
        self._stream = 0
        self._left = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[int, memoryview]]:
        """The payload bytes in the next chunk, each piece with the container's stream that it is of."""
        view = memoryview(chunk)
        while view:
            if self._left:
                payload, view = view[: self._left], view[self._left :]
                self._left -= len(payload)
                if self._stream < _ENGINES_OWN:
                    self.size += len(payload)
                    yield self._stream, payload
                elif not self.trouble:
                    self.trouble = _told(self._stream, payload)
            else:
                missing = _FRAME_HEADER.size - len(self._header)
                self._header += bytes(view[:missing])
                view = view[missing:]
                if len(self._header) == _FRAME_HEADER.size:
                    self._stream, self._left = _FRAME_HEADER.unpack(self._header)
                    self._header = b""
                    self.frames += 1

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing; False after a stream that was cut, or one that the engine could not read."""
        return not self._left and not self._header and not self.trouble


def _told(stream: int, payload: memoryview) -> str:
    if stream > _ENGINES_OWN:
        return f"the engine's answer is not in frames: there is no stream {stream}"
    return f"the engine could not read its log: {bytes(payload[:_WORDS_MAX]).decode(errors='replace').strip()}"


async def pieces(reader: asyncio.StreamReader) -> AsyncIterator[Iterator[tuple[int, memoryview]]]:
    """What each chunk of a multiplexed stream brings, until the stream ends, for whatever reason."""
    decoder = FrameDecoder()
    while chunk := await _read(reader):
        yield decoder.feed(chunk)


async def payloads(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The payloads alone."""
    async for brought in pieces(reader):
        data = b"".join([payload for _, payload in brought])
        if data:
            yield data


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, until it ends, for whatever reason."""
    while True:
        try:
            line = await reader.readline()
        except (OSError, ValueError):  # ValueError: a line longer than the limit
            return
        if not line:
            return
        yield line


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""
