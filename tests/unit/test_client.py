"""Runs of a Python program, as far as they need no engine."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

import dockersched
from dockersched import EngineUnavailableError, RunnerError, ScheduledTask, StateError, TaskDAG
from dockersched.client import RunHandle
from dockersched.client.client import _finished
from dockersched.events import Event, Observer, RunDone, RunLaunched, TaskStarted
from dockersched.report.commands import Commands
from dockersched.report.digest import Digest
from dockersched.results import EpicResult
from dockersched.session import Session, SessionResult
from dockersched.states import EpicState

NOW = datetime.fromtimestamp(0, UTC)
LAUNCHED = RunLaunched(NOW, "e", "r", 1, Path("/state"))
DONE = RunDone(NOW, "r", EpicState.SUCCEEDED, 0, ())
RESULT = EpicResult("e", "r", EpicState.SUCCEEDED, {}, NOW, NOW)


class ScriptedSession:
    """Launches unless it is not to, and ends when it is told to, or when it is cancelled."""

    run_id = "r"
    run_dir = Path("/state/runs/r")
    dag = TaskDAG([ScheduledTask(id="a", depends_on=[], command="true")])

    def __init__(self, observe: Observer, fails: Exception | None, *, launches: bool) -> None:
        self.observe = observe
        self.ending = asyncio.Event()
        self.cancelled: list[Sequence[str] | None] = []
        self.fails_at_its_end: Exception | None = None
        self._fails = fails
        self._launches = launches

    async def run(self) -> SessionResult:
        if self._fails is not None:
            raise self._fails
        if self._launches:
            self.observe(LAUNCHED)
        await self.ending.wait()
        if self.fails_at_its_end is not None:
            raise self.fails_at_its_end
        self.observe(DONE)
        return SessionResult(RESULT, 0, Digest(0, (), 0, Commands()), self.run_dir / "result.json", ["container x"])

    async def cancel_tasks(self, task_ids: Sequence[str]) -> None:
        self.cancel(task_ids)

    def cancel(self, task_ids: Sequence[str] | None = None) -> None:
        self.cancelled.append(task_ids)
        if task_ids is None:
            self.ending.set()


def started(fails: Exception | None = None, *, launches: bool = True) -> tuple[RunHandle, ScriptedSession]:
    sessions: list[ScriptedSession] = []

    def make(observe: Observer) -> Session:
        sessions.append(ScriptedSession(observe, fails, launches=launches))
        return cast("Session", sessions[0])

    return RunHandle(make), sessions[0]


async def collected(handle: RunHandle) -> list[Event]:
    return [event async for event in handle.events()]


async def test_every_consumer_gets_all_events_and_comes_to_an_end() -> None:
    handle, session = started()
    early = asyncio.create_task(collected(handle))
    await handle.launched()
    session.observe(TaskStarted(NOW, "a", "e.a", 1))
    late = asyncio.create_task(collected(handle))
    await asyncio.sleep(0)
    session.ending.set()
    await handle.result()
    afterwards = await collected(handle)
    assert await early == await late == afterwards == [LAUNCHED, TaskStarted(NOW, "a", "e.a", 1), DONE]


async def test_a_slow_consumer_holds_up_nothing_and_misses_nothing() -> None:
    handle, session = started()
    slow = handle.events()
    assert await anext(slow) == LAUNCHED
    events = [TaskStarted(NOW, f"t{number}", "e.t", 1) for number in range(10_000)]
    for event in events:
        session.observe(event)
    session.ending.set()
    assert await handle.result() == RESULT
    assert [event async for event in slow] == [*events, DONE]


async def test_giving_up_the_waiting_does_not_end_the_run() -> None:
    handle, session = started()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handle.result(), 0.01)
    assert session.cancelled == []
    session.ending.set()
    assert await handle.result() == RESULT


async def test_cancel_waits_for_the_end() -> None:
    handle, session = started()
    await handle.launched()
    assert list(handle.leaked) == []
    await handle.cancel()
    assert session.cancelled == [None]
    assert handle.task.done()
    assert handle.leaked == ["container x"]


async def test_tasks_that_are_cancelled_are_not_waited_for() -> None:
    handle, session = started()
    await handle.cancel("a")
    assert session.cancelled == [("a",)]
    assert not handle.task.done()
    await handle.cancel()


async def test_a_task_that_is_not_there_cannot_be_cancelled() -> None:
    handle, session = started()
    with pytest.raises(ValueError, match="no task 'b'"):
        await handle.cancel("a", "b")
    assert session.cancelled == []
    await handle.cancel()


async def test_what_prevents_the_launch_is_raised_by_it() -> None:
    handle, _ = started(RunnerError("no"))
    with pytest.raises(RunnerError, match="no"):
        await handle.launched()
    assert await collected(handle) == []
    assert list(handle.leaked) == []


async def test_a_launch_that_is_not_waited_for_any_more_is_ended() -> None:
    handle, session = started(launches=False)
    launching = asyncio.create_task(handle.launched())
    await asyncio.sleep(0)
    launching.cancel()
    with suppress(asyncio.CancelledError):
        await launching
    assert session.cancelled == [None]
    assert await handle.result() == RESULT


async def test_the_end_is_waited_for_however_often_that_is_cancelled() -> None:
    release = asyncio.Event()
    running = asyncio.create_task(release.wait())
    waiting = asyncio.create_task(_finished([running]))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert running.done()


async def test_a_client_is_used_in_its_block() -> None:
    client = dockersched.connect()
    with pytest.raises(RuntimeError, match="async with"):
        await client.start("epic.yaml")


async def test_no_engine_is_told_on_entering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailableError):
        await dockersched.connect(state_dir=tmp_path / "state").__aenter__()


async def test_a_state_directory_that_is_none_is_told_on_entering(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be used"):
        await dockersched.connect(state_dir=tmp_path / "file").__aenter__()


async def test_run_refuses_to_block_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match=r"async with dockersched\.connect"):
        dockersched.run("epic.yaml")


def started_by_a_client() -> None:
    async def start() -> None:
        await dockersched.connect().start("epic.yaml", handle_signals=True)

    asyncio.run(start())


@pytest.mark.parametrize("start", [lambda: dockersched.run("epic.yaml", handle_signals=True), started_by_a_client])
def test_signals_are_for_the_main_thread(start: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as thread, pytest.raises(RuntimeError, match="main thread only"):
        thread.submit(start).result()


@pytest.mark.parametrize("source", [None, 5, b"epic.yaml", "", ["epic.yaml"]])
def test_what_is_no_epic_is_told_what_one_is(source: Any) -> None:
    with pytest.raises(TypeError, match="an epic is the path of an epic file, data with the keys of one, or"):
        dockersched.run(source)


@pytest.mark.parametrize("given", [["a"], 5, None])
async def test_what_is_no_task_id_is_told_how_to_cancel_tasks(given: Any) -> None:
    handle, session = started()
    with pytest.raises(TypeError, match="as in cancel"):
        await handle.cancel(given)
    assert session.cancelled == []
    await handle.cancel()


async def test_the_failure_of_a_launch_that_was_given_up_is_nobodys() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    handle, session = started(launches=False)
    launching = asyncio.create_task(handle.launched())
    await asyncio.sleep(0)
    launching.cancel()
    session.fails_at_its_end = RunnerError("no")
    await asyncio.wait([launching, handle.task])
    del handle, session, launching
    gc.collect()
    assert told == []
