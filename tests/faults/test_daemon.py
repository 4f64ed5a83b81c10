"""The daemon goes down while tasks run: no false success, and the run goes on when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import (
    DockerRunner,
    EpicExecutionOptions,
    EpicResult,
    ParallelTaskScheduler,
    Reason,
    RetryPolicy,
    ScheduledTask,
    TaskExecutionError,
)
from dockersched.events import Event, TaskRetrying
from tests.support.private_engine import PrivateEngine
from tests.support.sandboxes import SMALL

# Ends with 0 when it is asked to stop, as a daemon that goes down asks: the engine calls that a success.
POLITE = "trap 'exit 0' TERM; echo up; i=0; while [ $i -lt {tenths} ]; do sleep 0.1; i=$((i + 1)); done; exit 7"


@pytest.fixture(params=[False, True], ids=["live-restore-off", "live-restore-on"])
def private(
    request: pytest.FixtureRequest, engine: APIClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateEngine]:
    del engine  # without one there is no image to load
    with PrivateEngine(live_restore=request.param) as made:
        made.load_image("dockersched/base:latest")
        monkeypatch.setenv("DOCKER_HOST", made.url)
        yield made


@pytest.mark.parametrize("way", ["terminate", "kill"])
async def test_a_daemon_that_goes_down_makes_no_false_success(private: PrivateEngine, way: str, tmp_path: Path) -> None:
    retries: list[TaskRetrying] = []

    def observer(event: Event) -> None:
        if isinstance(event, TaskRetrying):
            retries.append(event)

    task = ScheduledTask(
        "polite", [], "sh", ["-c", POLITE.format(tenths=80)], SMALL, retry=RetryPolicy(limit=1, initial_s=0.1)
    )
    async with await DockerRunner.connect(logs_dir=tmp_path) as runner:
        running = asyncio.create_task(execute(runner, task, observer))
        await until_running(runner)
        await asyncio.to_thread(getattr(private, way))
        await asyncio.to_thread(private.start)
        result = await asyncio.wait_for(running, 90)
        assert await runner.sweep(result.run_id) == []
    ended = result.tasks["polite"]
    # Left alone, the task ends with 7. Whatever else it seems to have ended with was the daemon's doing.
    assert (ended.reason, ended.exit_code) == (Reason.EXIT_CODE, 7), ended
    assert all(event.sandbox.reason in {Reason.INTERRUPTED, Reason.ENGINE_ERROR} for event in retries), retries


async def execute(runner: DockerRunner, task: ScheduledTask, observer: object) -> EpicResult:
    scheduler = ParallelTaskScheduler(runner, observers=[observer])  # type: ignore[list-item]
    try:
        return await scheduler.execute_epic([task], EpicExecutionOptions(epic_id="daemon"))
    except TaskExecutionError as error:
        return error.result


async def until_running(runner: DockerRunner) -> None:
    async with asyncio.timeout(30):
        while True:
            found = await runner.engine.pool.call(lambda calls: calls.list_run("io.dockersched.epic=daemon"))
            if any(container["State"] == "running" for container in found):
                return
            await asyncio.sleep(0.1)
