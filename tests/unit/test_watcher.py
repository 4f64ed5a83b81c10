"""What the watcher makes of the engine's events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.watcher import ExitWatcher


class Events:
    """An engine that only tells of events."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._writer: asyncio.StreamWriter

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        self._writer = writer
        self.asked.set_result(head.decode())

    def tell(self, action: str, name: str) -> None:
        event = {"Action": action, "Actor": {"Attributes": {"name": name}}}
        self._writer.write(json.dumps(event).encode() + b"\n")

    def close(self) -> None:
        self._writer.close()


async def nothing(_label: str) -> list[dict[str, Any]]:
    return []


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[tuple[ExitWatcher, Events]]:
    events = Events()
    async with await asyncio.start_unix_server(events.answer, folder / "socket"):
        endpoint = EngineEndpoint(f"unix://{folder}/socket", None, "test")
        health = EngineHealth(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        watcher = ExitWatcher(endpoint, nothing, "run=r", "1.41", health)
        try:
            await watcher.ready()
            await asyncio.wait_for(events.asked, 5)
            yield watcher, events
        finally:
            await watcher.aclose()
            events.close()


async def test_what_it_asks_for_is_what_it_reads(tmp_path: Path) -> None:
    async with watching(tmp_path) as (_, events):
        assert all(f"%22{action}%22" in events.asked.result() for action in ("die", "destroy", "oom"))


async def test_a_kill_for_memory_is_told_from_an_end(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, events):
        exited = watcher.watch("one")
        events.tell("oom", "one")
        assert await watcher.out_of_memory("one", 5)
        assert not exited.done()  # only a child may have been killed
        events.tell("die", "one")
        await asyncio.wait_for(exited, 5)


async def test_an_event_that_comes_after_the_end_is_waited_for(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, events):
        exited = watcher.watch("one")
        watcher.watch("other")
        events.tell("die", "one")
        await asyncio.wait_for(exited, 5)
        assert not await watcher.out_of_memory("one")
        asyncio.get_running_loop().call_later(0.1, events.tell, "oom", "one")
        assert await watcher.out_of_memory("one", 5)
        assert not await watcher.out_of_memory("other")


async def test_where_none_comes_the_wait_has_an_end(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, _):
        watcher.watch("one")
        began = time.monotonic()
        assert not await watcher.out_of_memory("one", 0.2)
        assert 0.15 < time.monotonic() - began < 3


async def test_nothing_is_kept_of_what_nobody_watches(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, events):
        watcher.watch("one")
        events.tell("oom", "one")
        assert await watcher.out_of_memory("one", 5)
        watcher.unwatch("one")
        exited = watcher.watch("marker")
        events.tell("oom", "one")
        events.tell("die", "marker")
        await asyncio.wait_for(exited, 5)
        watcher.watch("one")  # its name comes again with a container that is made anew
        assert not await watcher.out_of_memory("one")
