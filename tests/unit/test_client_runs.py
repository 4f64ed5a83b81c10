"""Runs of a Python program from beginning to end, on a fake engine."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import dockersched
from dockersched import EpicExecutionOptions, RunOwnedError, ScheduledTask, StateError, TaskDAG
from dockersched.epic import Epic
from dockersched.events import EpicFinished, EpicStarted, Event, TaskFinished
from dockersched.sandbox.fake import Script
from dockersched.session import Session, SessionSettings
from dockersched.store.database import StateStore
from tests.support.fake_runs import FakeEngineRunner, fake_engine

FOR_EVER = Script(duration_s=None)


def epic(name: str, *task_ids: str) -> dict[str, object]:
    return {"epic": name, "tasks": {task_id: {"command": "true"} for task_id in task_ids}}


@pytest.fixture(name="runners")
def _runners() -> Iterator[list[FakeEngineRunner]]:
    with fake_engine({"long": FOR_EVER}) as runners:
        yield runners


@pytest.mark.usefixtures("runners")
async def test_a_run_that_ends_before_it_is_owned_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with dockersched.connect(state_dir=tmp_path) as client:
        first = await client.start(epic("e", "long"))
        async for event in first.events():
            if isinstance(event, EpicStarted):
                break
        refusals = Session._refusals

        def ended_meanwhile(self: Session, runner: object) -> object:
            first.task.get_loop().call_soon_threadsafe(first.stop)
            while StateStore(tmp_path).run(first.run_id).state is None:
                pass
            return refusals(self, runner)  # type: ignore[arg-type]

        monkeypatch.setattr(Session, "_refusals", ended_meanwhile)
        async with asyncio.timeout(10):
            with pytest.raises(StateError, match=f"run {first.run_id} is finished: cancelled"):
                await client.resume(first.run_id)
            told = (first.folder / "events.jsonl").read_text()
        assert (await first.result()).state == StateStore(tmp_path).run(first.run_id).state == "cancelled"
        assert told.count('"launch"') == 1


@pytest.mark.usefixtures("runners")
async def test_the_end_is_safe_in_the_events_before_it_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, finish_run = os.fsync, StateStore.finish_run

    def noted_fsync(descriptor: int) -> None:
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        if file.name == "events.jsonl" and '"done"' in file.read_text():
            done.append("synchronised")
        fsync(descriptor)

    def noted_finish(self: StateStore, run_id: str, state: str, exit_code: int) -> None:
        done.append("finished")
        finish_run(self, run_id, state, exit_code)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(StateStore, "finish_run", noted_finish)
    async with dockersched.connect(state_dir=tmp_path) as client:
        await (await client.start(epic("e", "a"))).result()
    assert done[:2] == ["synchronised", "finished"]


@pytest.mark.usefixtures("runners")
async def test_what_an_earlier_process_left_of_an_output_goes_at_the_end(tmp_path: Path) -> None:
    left: list[Path] = []

    def leave(event: Event) -> None:
        if isinstance(event, TaskFinished):
            left.append(session.run_dir / "artifacts" / "a" / ".tmp-0123" / "deep")
            left[0].mkdir(parents=True)

    run = Epic(TaskDAG([ScheduledTask("a", (), "true")]), EpicExecutionOptions())
    session = Session(run, SessionSettings(tmp_path, observers=(leave,)), StateStore(tmp_path))
    await session.run()
    assert list(left[0].parent.parent.iterdir()) == []


def raising(error: BaseException, seen: list[object]) -> Callable[..., None]:
    def call(*given: object) -> None:
        seen.append(given)
        raise error

    return call


@pytest.mark.parametrize(
    "error",
    [ValueError("mine"), FileNotFoundError(2, "gone", "/mine"), StateError("mine"), asyncio.CancelledError()],
)
async def test_what_a_display_raises_is_logged_once_and_the_run_goes_on(
    tmp_path: Path, runners: list[FakeEngineRunner], capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    seen: list[object] = []
    async with dockersched.connect(state_dir=tmp_path, on_progress=raising(error, seen)) as client:
        handle = await client.start(epic("e", "a", "b"), on_event=raising(error, seen))
        assert (await handle.result()).succeeded
        for _ in range(2):
            runners[0].settings["progress"]("a line")
    assert len(seen) == 2
    assert [line.count("callback.failed") for line in capsys.readouterr().err.splitlines()] == [1, 1]
    assert StateStore(tmp_path).run(handle.run_id).state == "succeeded"


@pytest.mark.parametrize("error", [ValueError("ours"), asyncio.CancelledError()])
async def test_nothing_is_left_of_a_run_that_an_exception_ends(
    tmp_path: Path, runners: list[FakeEngineRunner], capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def observe(event: Event) -> None:
        if isinstance(event, TaskFinished):
            runners[0].unremovable.append("container stubborn")
            raise error

    run = Epic(TaskDAG([ScheduledTask(name, (), "true") for name in ("a", "long")]), EpicExecutionOptions())
    session = Session(run, SessionSettings(tmp_path, observers=(observe,)), StateStore(tmp_path))
    with pytest.raises(type(error)):
        await session.run()
    assert [runner.sweeps for runner in runners] == [1]
    assert "container stubborn" in capsys.readouterr().err  # who gets no result is told of it nevertheless
    assert StateStore(tmp_path).run(session.run_id).state is None


@pytest.mark.usefixtures("runners")
async def test_a_run_that_goes_on_began_when_it_was_put_on_record(tmp_path: Path) -> None:
    def die(event: Event) -> None:
        if isinstance(event, TaskFinished):
            raise ValueError

    run = Epic(TaskDAG([ScheduledTask("a", (), "true")]), EpicExecutionOptions())
    session = Session(run, SessionSettings(tmp_path, observers=(die,)), StateStore(tmp_path))
    with pytest.raises(ValueError, match=r"^$"):
        await session.run()
    async with dockersched.connect(state_dir=tmp_path) as client:
        handle = await client.resume(session.run_id)
        result = await handle.result()
        told = [event.result.started_at async for event in handle.events() if isinstance(event, EpicFinished)]

    began = datetime.fromisoformat(StateStore(tmp_path).run(session.run_id).created_at)
    assert (result.started_at, told) == (began, [began])


async def _is_async(*_: object) -> None:
    pass


class _IsAsync:
    async def __call__(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("runners")
@pytest.mark.parametrize("callback", [5, "print", _is_async, functools.partial(_is_async, 1), _IsAsync()])
async def test_what_is_no_callback_is_refused_before_anything_starts(tmp_path: Path, callback: Any) -> None:
    with pytest.raises(TypeError, match="on_progress"):
        dockersched.connect(on_progress=callback)
    async with dockersched.connect(state_dir=tmp_path) as client:
        with pytest.raises(TypeError, match="on_event"):
            await client.start(epic("e", "a"), on_event=callback)
        with pytest.raises(TypeError, match="on_output"):
            await client.start(epic("e", "a"), on_output=callback)
        with pytest.raises(TypeError, match="on_output"):
            await client.resume("run", on_output=callback)
    assert StateStore(tmp_path).runs() == []


async def test_of_two_runs_of_an_epic_the_second_is_refused_before_anybody_hears_of_it(
    tmp_path: Path, runners: list[FakeEngineRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = asyncio.Event()

    async def prepare(self: FakeEngineRunner, _sandboxes: object) -> dict[str, str]:
        await ready.wait()
        return {}

    monkeypatch.setattr(FakeEngineRunner, "prepare", prepare)
    told: list[Event] = []
    async with dockersched.connect(state_dir=tmp_path) as client:
        first = await client.start(epic("e", "a"))
        with pytest.raises(RunOwnedError, match=f"run {first.run_id} is owned by process {os.getpid()}: .*new=True"):
            await client.start(epic("e", "a"), on_event=told.append)
        beside = await client.start(epic("e", "a"), new=True)
        other = await client.start(epic("other", "a"))
        ready.set()
        for handle in (first, beside, other):
            assert (await handle.result()).succeeded
        assert (await (await client.start(epic("e", "a"))).result()).succeeded
    assert told == []
    assert len(runners) == len(list((tmp_path / "runs").iterdir())) == 4
    assert list(tmp_path.glob(".begins-*")) == []


async def test_a_run_on_record_stands_in_the_way_of_the_next(tmp_path: Path, runners: list[FakeEngineRunner]) -> None:
    async with dockersched.connect(state_dir=tmp_path) as client:
        first = await client.start(epic("e", "long"))
        async with asyncio.timeout(10):
            while not runners[0].alive:
                await asyncio.sleep(0.01)
        assert list(tmp_path.glob(".begins-*")) == []
        with pytest.raises(RunOwnedError, match=first.run_id):
            await client.start(epic("e", "long"))


async def test_the_folder_of_a_run_that_was_announced_stays(
    tmp_path: Path, runners: list[FakeEngineRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(StateStore, "create_run", fail)
    async with dockersched.connect(state_dir=tmp_path) as client:
        handle = await client.start(epic("e", "a"))
        with pytest.raises(StateError, match="the disk is full"):
            await handle.result()
        assert (handle.folder / "events.jsonl").exists()
        monkeypatch.undo()
    assert runners[0].started == []
