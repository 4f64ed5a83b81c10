"""What is made of the engine's events: ends, and kills for lack of memory."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from dockersched import Reason
from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker import out_of_memory
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.out_of_memory import with_late_word
from dockersched.sandbox.docker.outcome import Ending
from dockersched.sandbox.docker.watcher import ExitWatcher

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
        event = {"Action": action, "Actor": {"ID": f"id-of-{name}", "Attributes": {"name": name}}}
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
        health = EngineHealth(lambda: NOW)
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
        await watcher.out_of_memory("id-of-one", 5)
        assert watcher.told_of_out_of_memory("id-of-one")
        assert not exited.done()  # only a child may have been killed
        events.tell("die", "one")
        await asyncio.wait_for(exited, 5)


async def test_an_event_that_comes_after_the_end_is_waited_for(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, events):
        exited = watcher.watch("one")
        events.tell("die", "one")
        await asyncio.wait_for(exited, 5)
        assert not watcher.told_of_out_of_memory("id-of-one")
        asyncio.get_running_loop().call_later(0.1, events.tell, "oom", "one")
        began = time.monotonic()
        await watcher.out_of_memory("id-of-one", 60)
        assert time.monotonic() - began < 30
        assert watcher.told_of_out_of_memory("id-of-one")
        assert not watcher.told_of_out_of_memory("id-of-other")


async def test_where_none_comes_the_wait_has_an_end(tmp_path: Path) -> None:
    async with watching(tmp_path) as (watcher, _):
        began = time.monotonic()
        await watcher.out_of_memory("id-of-one", 0.2)
        assert 0.15 < time.monotonic() - began < 5
        assert not watcher.told_of_out_of_memory("id-of-one")


def ending(reason: Reason | None, exit_code: int) -> Ending:
    return Ending(exit_code, reason, started_at=NOW, finished_at=NOW)


class Asked:
    """An engine that remembers an out-of-memory kill; and the patience to ask it."""

    def __init__(self, health: EngineHealth, connected_at: datetime) -> None:
        self.health = health
        self.connected_at = connected_at
        self.asked = 0

    async def call(self, batch: partial[bool]) -> bool:
        self.asked += 1
        return self.remembers(**batch.keywords)

    def remembers(self, container: str, event: str, since: datetime) -> bool:
        return (container, event, since) == ("id-of-one", "oom", NOW)


async def late_word(watcher: ExitWatcher, engine: Asked, ending: Ending) -> Ending:
    return await with_late_word(ending, "id-of-one", watcher, engine, engine)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ending(Reason.KILLED, 137), Reason.OOM_KILLED),
        (ending(Reason.EXIT_CODE, 1), Reason.EXIT_CODE),
        (ending(Reason.TIMED_OUT, 137), Reason.TIMED_OUT),
        (ending(None, 0), None),
    ],
)
async def test_an_event_tells_why_it_was_killed_and_changes_no_other_reason(
    tmp_path: Path, before: Ending, after: Reason | None
) -> None:
    async with watching(tmp_path) as (watcher, events):
        engine = Asked(EngineHealth(lambda: NOW), NOW)
        events.tell("oom", "one")
        await watcher.out_of_memory("id-of-one", 5)
        told = await late_word(watcher, engine, before)
        assert (told.reason, told.oom_event, told.exit_code) == (after, True, before.exit_code)
        assert engine.asked == 0


async def test_only_what_was_killed_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_memory, "_DELAY_S", 0.2)
    async with watching(tmp_path) as (watcher, _):
        engine = Asked(EngineHealth(lambda: NOW), NOW)
        began = time.monotonic()
        failed, killed = ending(Reason.EXIT_CODE, 1), ending(Reason.KILLED, 137)
        assert await late_word(watcher, engine, failed) == failed
        assert time.monotonic() - began < 0.2
        assert await late_word(watcher, engine, killed) == killed
        assert engine.asked == 0


@pytest.mark.parametrize("is_resumed", [True, False])
async def test_where_an_event_may_have_come_to_nobody_the_engine_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_resumed: bool
) -> None:
    monkeypatch.setattr(out_of_memory, "_DELAY_S", 0.01)
    async with watching(tmp_path) as (watcher, _):
        engine = Asked(EngineHealth(lambda: NOW), NOW + timedelta(seconds=is_resumed))
        if not is_resumed:
            engine.health.lost()
        told = await late_word(watcher, engine, ending(Reason.KILLED, 137))
        assert (told.reason, told.oom_event) == (Reason.OOM_KILLED, True)


@pytest.mark.parametrize("steps", range(5))
async def test_who_waits_for_events_can_be_cancelled_at_any_moment(tmp_path: Path, steps: int) -> None:
    async with watching(tmp_path) as (watcher, _):
        waiting = asyncio.create_task(watcher.ready())
        for _ in range(steps):
            await asyncio.sleep(0)
        is_cancelled = waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled() == is_cancelled


@pytest.mark.parametrize("steps", range(6))
async def test_it_ends_also_while_it_connects_to_an_engine_that_is_gone(tmp_path: Path, steps: int) -> None:
    endpoint = EngineEndpoint(f"unix://{tmp_path}/none", None, "test")
    watcher = ExitWatcher(endpoint, nothing, "run=r", "1.41", EngineHealth(lambda: NOW))
    for _ in range(steps):
        await asyncio.sleep(0)
    await asyncio.wait_for(watcher.aclose(), 5)


class Listing:
    """Answers as it is told, and again the same when nothing more is said."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    async def __call__(self, _label: str) -> list[dict[str, Any]]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return cast("list[dict[str, Any]]", answer)


@asynccontextmanager
async def listing(
    folder: Path, *answers: object, head: bytes = b"200 OK"
) -> AsyncIterator[tuple[ExitWatcher, list[None]]]:
    """A watcher with these answers to its listings; and one entry for each time that it asked for events."""
    asked: list[None] = []
    hang = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(None)
        writer.write(b"HTTP/1.0 " + head + b"\r\n\r\n")
        if head.startswith(b"200"):
            await hang.wait()
        writer.close()

    async with await asyncio.start_unix_server(answer, folder / "socket"):
        endpoint = EngineEndpoint(f"unix://{folder}/socket", None, "test")
        watcher = ExitWatcher(endpoint, Listing(*answers), "run=r", "1.41", EngineHealth(lambda: NOW))
        try:
            await watcher.ready()
            yield watcher, asked
        finally:
            await watcher.aclose()
            hang.set()


@pytest.fixture
def _lists_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockersched.sandbox.docker.watcher._LISTING_INTERVAL_S", 0.02)
    monkeypatch.setattr("dockersched.sandbox.docker.watcher._OUTAGE_LIMIT_S", 0.1)


AWAY = EngineUnavailableError("no answer")


@pytest.mark.usefixtures("_lists_often")
async def test_only_what_was_started_is_given_up(tmp_path: Path) -> None:
    async with listing(tmp_path, AWAY) as (watcher, _):
        started, starting = watcher.watch("started"), watcher.watch("starting")
        watcher.started("started")
        with pytest.raises(EngineUnavailableError):
            await asyncio.wait_for(started, 5)
        assert not starting.done()


@pytest.mark.usefixtures("_lists_often")
async def test_nobody_complains_of_an_outage_that_nobody_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
    async with listing(tmp_path, AWAY) as (watcher, _):
        started = watcher.watch("started")
        watcher.started("started")
        async with asyncio.timeout(5):
            while not started.done():
                await asyncio.sleep(0.01)
        watcher.unwatch("started")
        del started
        gc.collect()
    assert said == []


@pytest.mark.usefixtures("_lists_often")
async def test_events_are_asked_for_again_once_the_engine_is_back(tmp_path: Path) -> None:
    async with listing(tmp_path, AWAY, [{"Names": ["/t"], "State": "running"}]) as (watcher, asked):
        watcher.watch("t")
        watcher.started("t")
        async with asyncio.timeout(5):
            while len(asked) < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(asked) == 2


async def test_where_there_are_no_events_nobody_waits_for_them(tmp_path: Path) -> None:
    async with listing(tmp_path, [], head=b"403 Forbidden") as (watcher, _):
        began = time.monotonic()
        await watcher.ready()
        assert time.monotonic() - began < 1
