"""Containers that are created before their tasks may run: what they are, who takes them, and what becomes of others."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient
from docker.errors import NotFound

from dockersched import DockerRunner, Reason, ScheduledTask, TaskState
from dockersched.data.run_files import RunFiles
from dockersched.errors import PermanentRunnerError
from dockersched.model import Output
from dockersched.sandbox.base import SandboxCancelled, SandboxRunOptions
from dockersched.sandbox.docker.namespaces import Namespaces, Slot
from dockersched.sandbox.docker.translate import LABEL_PREFIX, LABEL_RUN, container_name
from tests.support.sandboxes import sandbox
from tests.support.trials import run_epic, until


@pytest.fixture
async def runner(engine: APIClient, tmp_path: Path) -> AsyncIterator[DockerRunner]:
    async with await DockerRunner.connect(logs_dir=tmp_path / "logs", files=RunFiles.of_run(tmp_path)) as connected:
        yield connected


def found(engine: APIClient, run_id: str, task_id: str, **filters: str) -> list[dict[str, Any]]:
    labels = [f"{LABEL_RUN}={run_id}", f"{LABEL_PREFIX}.task={task_id}"]
    return list(engine.containers(all=True, filters={"label": labels, **filters}))


async def created(engine: APIClient, run_id: str, task_id: str) -> dict[str, Any]:
    """The container of a task that was created and not started, as the engine tells of it."""
    await until(lambda: bool(found(engine, run_id, task_id, status="created")))
    (container,) = found(engine, run_id, task_id, status="created")
    await until(lambda: is_known(engine, container["Id"]))
    inspected: dict[str, Any] = engine.inspect_container(container["Id"])
    return inspected


def is_known(engine: APIClient, container_id: str) -> bool:
    """An engine can list a container a moment before it answers what is asked of it."""
    try:
        engine.inspect_container(container_id)
    except NotFound:
        return False
    return True


def tasks(**second: Any) -> list[ScheduledTask]:
    return [ScheduledTask("a", [], "sleep", args=["1"]), ScheduledTask("b", ["a"], "true", **second)]


async def test_a_task_gets_the_container_that_was_created_while_it_waited(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    running = asyncio.ensure_future(run_epic(runner, tasks(), epic_id="e", run_id=run_id))
    waiting = await created(engine, run_id, "b")
    assert waiting["State"]["Pid"] == 0, "no process of the task is there"
    assert not waiting["State"]["StartedAt"].startswith("20")
    async with asyncio.timeout(20):
        while not engine.inspect_container(waiting["Id"])["State"]["StartedAt"].startswith("20"):
            await asyncio.sleep(0.005)
    result = await running
    assert result.tasks["b"].state is TaskState.SUCCEEDED


async def test_nothing_is_left_of_it_when_its_task_never_runs(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    failing = [ScheduledTask("a", [], "sh", args=["-c", "sleep 1; exit 1"]), ScheduledTask("b", ["a"], "true")]
    running = asyncio.ensure_future(run_epic(runner, failing, epic_id="e", run_id=run_id))
    await created(engine, run_id, "b")
    result = await running
    assert result.tasks["b"].state is TaskState.UPSTREAM_FAILED
    await until(lambda: not found(engine, run_id, "b"))


async def test_one_for_which_files_must_be_made_is_not_created_ahead(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    graph = tasks(outputs={"o": Output("o.txt")}, allow_failure=True)
    running = asyncio.ensure_future(run_epic(runner, graph, epic_id="e", run_id=run_id))
    await until(lambda: bool(found(engine, run_id, "a", status="running")))
    while found(engine, run_id, "a", status="running"):
        assert found(engine, run_id, "b") == []
        await asyncio.sleep(0.02)
    assert (await running).tasks["b"].attempts == 1


def shared(runner: DockerRunner, run_id: str) -> Namespaces:
    """The namespaces of a run with many tasks, one at a time."""
    many = [sandbox("true", task_id=f"t{number}", run_id=run_id) for number in range(20)]
    runner.share_namespaces(many, at_once=1)
    return runner._attempts.namespaces[run_id]


async def let_one_be_made(namespaces: Namespaces) -> None:
    assert await namespaces.take("t0") is None
    await until(lambda: bool(namespaces._idle))


async def with_one_taken(runner: DockerRunner, run_id: str) -> tuple[Namespaces, Slot]:
    """The namespaces of a run, of which a sandbox has the only one."""
    namespaces = shared(runner, run_id)
    await let_one_be_made(namespaces)
    slot = await namespaces.take("t1")
    assert slot is not None
    return namespaces, slot


def waiting_one(run_id: str) -> SandboxRunOptions:
    return sandbox("readlink", "/proc/self/ns/net", task_id="waits", run_id=run_id)


async def test_it_joins_the_namespace_in_which_another_one_still_is(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    namespaces, slot = await with_one_taken(runner, run_id)
    runner.create_ahead(waiting_one(run_id))
    waiting = await created(engine, run_id, "waits")
    assert waiting["HostConfig"]["NetworkMode"] == slot.network_mode
    namespaces.give_back(slot, is_empty=True)
    assert (await runner.run(waiting_one(run_id))).succeeded
    assert engine.inspect_container(container_name(waiting_one(run_id)))["Id"] == waiting["Id"]


async def test_one_that_would_join_a_namespace_that_is_not_free_is_made_anew(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    namespaces, slot = await with_one_taken(runner, run_id)
    runner.create_ahead(waiting_one(run_id))
    waiting = await created(engine, run_id, "waits")
    assert (await runner.run(waiting_one(run_id))).succeeded
    used = engine.inspect_container(container_name(waiting_one(run_id)))
    assert used["Id"] != waiting["Id"]
    assert used["HostConfig"]["NetworkMode"] == "none"
    namespaces.give_back(slot, is_empty=True)


async def test_it_is_made_anew_where_a_namespace_is_there_by_now(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    namespaces = shared(runner, run_id)
    runner.create_ahead(waiting_one(run_id))
    waiting = await created(engine, run_id, "waits")
    assert waiting["HostConfig"]["NetworkMode"] == "none"
    await let_one_be_made(namespaces)
    assert (await runner.run(waiting_one(run_id))).succeeded
    assert engine.inspect_container(container_name(waiting_one(run_id)))["Id"] != waiting["Id"]


async def test_a_task_that_is_cancelled_before_its_start_says_no_more(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = sandbox("true", run_id=run_id)
    runner.create_ahead(options)
    await created(engine, run_id, "task")
    may_end = threading.Event()
    busy = [asyncio.ensure_future(runner.engine.pool.start(lambda _: may_end.wait(20))) for _ in range(8)]
    running = asyncio.ensure_future(runner.run(options))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(SandboxCancelled) as cancelled:
        await running
    may_end.set()
    await asyncio.gather(*busy)
    result = cancelled.value.result
    assert (result.reason, result.detail, result.started_at) == (Reason.CANCELLED, "", None)
    assert found(engine, run_id, "task") == []


async def test_it_goes_where_nothing_comes_of_its_attempt(
    runner: DockerRunner, engine: APIClient, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = sandbox("true", run_id=run_id)
    runner.create_ahead(options)
    await created(engine, run_id, "task")

    async def refuse(*_: Any, **__: Any) -> None:
        raise PermanentRunnerError("no")

    monkeypatch.setattr(runner._attempts, "make", refuse)
    with pytest.raises(PermanentRunnerError):
        await runner.run(options)
    assert found(engine, run_id, "task") == []


async def test_a_container_that_somebody_removed_meanwhile_is_made_anew(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = sandbox("true", run_id=run_id)
    runner.create_ahead(options)
    waiting = await created(engine, run_id, "task")
    engine.remove_container(waiting["Id"])
    assert (await runner.run(options)).succeeded


async def test_what_was_changed_on_it_meanwhile_is_found_out(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = sandbox("true", run_id=run_id)
    runner.create_ahead(options)
    waiting = await created(engine, run_id, "task")
    engine.update_container(waiting["Id"], mem_limit=16 * 2**20)
    refused = await runner.run(options)
    assert not refused.succeeded
    assert "Memory" in refused.detail
