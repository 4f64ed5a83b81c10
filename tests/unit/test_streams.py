"""Taking hold of a container's input: what an engine can do instead of letting one have it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dockersched import EngineUnavailableError
from dockersched.sandbox.docker import streams
from dockersched.sandbox.docker.connection import EngineEndpoint

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")
    await writer.drain()
    writer.close()


async def gone(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("answer", [silent, refusing, gone])
async def test_an_input_that_cannot_be_had_is_told_in_time(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_ATTACH_TIMEOUT_S", 0.2)
    async with await asyncio.start_unix_server(answer, tmp_path / "socket"):
        endpoint = EngineEndpoint(f"unix://{tmp_path}/socket", None, "test")
        with pytest.raises(EngineUnavailableError):
            await asyncio.wait_for(streams.open_stdin(endpoint, "1.41", "name"), 5)


async def test_what_is_sent_comes_before_the_end(tmp_path: Path) -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def lets_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        received.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_unix_server(lets_in, tmp_path / "socket"):
        stdin = await streams.open_stdin(EngineEndpoint(f"unix://{tmp_path}/socket", None, "test"), "1.41", "name")
        await stdin.send(b"\n")
        assert await asyncio.wait_for(received, 5) == b"\n"
