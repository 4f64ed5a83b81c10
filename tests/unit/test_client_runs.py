"""Runs of a Python program from beginning to end, on a fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import dockersched
from dockersched import StateError
from dockersched.events import EpicStarted
from dockersched.sandbox.fake import Script
from dockersched.session.run import Session
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
