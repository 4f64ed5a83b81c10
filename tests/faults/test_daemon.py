"""The daemon goes down while tasks run, or has no room: no false success, and the run goes on when it can."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import ids
from dockersched.sandbox.docker import container
from dockersched.sandbox.docker.translate import container_name
from tests.support.engine_proxy import EngineProxy, Fault
from tests.support.executions import Executions, noted
from tests.support.full_disk import RESOURCES, fill_and_give_room
from tests.support.outages import PHASES, WAYS, Outage, Phase, Way, try_outage
from tests.support.private_engine import PrivateEngine
from tests.support.sandboxes import shell
from tests.support.spoiled_ahead import ATTACH
from tests.support.trials import runner_on

# Every two of live-restore, way and phase meet; `make chaos` tries all three together.
SAMPLE = [
    (live_restore, way, phase)
    for number, live_restore in enumerate((False, True))
    for position, way in enumerate(WAYS)
    for place, phase in enumerate(PHASES)
    if (number + position + place) % 2 == 0
]


@pytest.fixture(scope="module")
def private(request: pytest.FixtureRequest, engine: APIClient) -> Iterator[PrivateEngine]:
    del engine  # without one there is no image to load
    with PrivateEngine(live_restore=request.param) as made:
        made.load_image("dockersched/base:latest")
        yield made


@pytest.mark.parametrize(("private", "way", "phase"), SAMPLE, indirect=["private"])
async def test_a_daemon_that_goes_down_makes_no_false_success(
    private: PrivateEngine, way: Way, phase: Phase, tmp_path: Path
) -> None:
    chance = random.Random(tmp_path.name)  # noqa: S311 - only spreads moments
    tally = await try_outage(private, Outage(way, private.live_restore, phase), tmp_path, chance)
    assert tally.is_clean, tally


@pytest.mark.parametrize("private", [True], indirect=True)
async def test_a_release_that_dies_with_its_daemon_is_made_good(
    private: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_RELEASE_LIMIT_S", 1.0)
    executions = Executions(tmp_path / "executed")
    options = shell(noted("task", "echo ran"), run_id=ids.new_run_id(), mounts=[executions.mount])
    proxy = EngineProxy([Fault(ATTACH, "stall")], upstream=private.endpoint, local=True)
    try:
        async with await runner_on(proxy.url, tmp_path / "logs", allow_mounts=[executions.folder]) as runner:
            runner.start_ahead(options)
            await until_running(private, container_name(options))
            running = asyncio.create_task(runner.run(options))
            await asyncio.sleep(0.2)  # the release is under way
            await asyncio.to_thread(private.kill)
            await asyncio.to_thread(private.start)
            result = await asyncio.wait_for(running, 60)
            leaked = await runner.sweep(options.run_id)
    finally:
        proxy.close()
    assert result.succeeded, result
    assert executions.of("task") == 1
    assert leaked == []


@pytest.mark.usefixtures("engine")
async def test_a_full_engine_is_waited_for_and_nothing_begun_meanwhile(tmp_path: Path) -> None:
    tallies = await asyncio.gather(*(fill_and_give_room(tmp_path / what, what) for what in RESOURCES))
    assert [tally for tally in tallies if not tally.is_clean] == []


async def until_running(private: PrivateEngine, name: str) -> None:
    with private.client() as client:
        async with asyncio.timeout(20):
            while not client.containers(filters={"name": f"^/{name}$", "status": "running"}):
                await asyncio.sleep(0.02)
        # That is seen before the start has come back, and only then the sandbox is one that waits.
        await asyncio.sleep(0.5)
