"""Every engine call of a task's life, spoiled in every way, with a real engine behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import (
    DockerRunner,
    EpicExecutionOptions,
    EpicResult,
    ParallelTaskScheduler,
    RetryPolicy,
    ScheduledTask,
    TaskExecutionError,
    ids,
)
from tests.support.engine_proxy import Action, EngineProxy, Fault
from tests.support.sandboxes import SMALL

CALLS = {
    "create": r"POST /v[\d.]+/containers/create",
    "inspect": r"GET /v[\d.]+/containers/[^/]+/json$",
    "start": r"POST /v[\d.]+/containers/[^/]+/start",
    "events": r"GET /v[\d.]+/events",
    "list": r"GET /v[\d.]+/containers/json",
    "log": r"GET /v[\d.]+/containers/[^/]+/logs",
    "remove": r"DELETE /v[\d.]+/containers/",
    "kill": r"POST /v[\d.]+/containers/[^/]+/kill",
}
QUICK: tuple[Action, ...] = ("refuse", "drop", "error", "cut", "delay")
CASES: list[tuple[str, Action]] = [(call, action) for call in CALLS for action in QUICK]
HANGS: list[tuple[str, Action]] = [("create", "hang"), ("start", "hang"), ("log", "hang"), ("inspect", "hang")]
CALL_TIMEOUT_S = 3.0


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProxy]:
    made = EngineProxy()
    monkeypatch.setenv("DOCKER_HOST", made.url)
    yield made
    made.close()


@pytest.mark.parametrize(("call", "action"), CASES + HANGS)
async def test_a_spoiled_call_changes_no_outcome(
    engine: APIClient, proxy: EngineProxy, tmp_path: Path, call: str, action: Action
) -> None:
    async with await DockerRunner.connect(logs_dir=tmp_path, call_timeout_s=CALL_TIMEOUT_S) as runner:
        # Image and connection are there; what is spoiled belongs to the tasks.
        await runner.prepare([])
        proxy.faults = [Fault(CALLS[call], action, times=1)]
        result = await run_epic(runner)
        leaked = await runner.sweep(result.run_id)
    assert proxy.spoiled, f"nothing was spoiled: {proxy.requests}"
    assert leaked == []
    # One task says something, one must be stopped; the rest of its minute would be a lost kill.
    assert result.tasks["says"].succeeded, result.tasks["says"]
    assert result.tasks["endless"].reason == "timed_out", result.tasks["endless"]
    starts = starts_by_container(engine, result.run_id)
    attempts = {task_id: task.attempts for task_id, task in result.tasks.items()}
    assert all(count == 1 for count in starts.values()), starts
    assert len(starts) <= sum(attempts.values())
    assert (tmp_path / ids.log_name("says", attempts["says"])).read_bytes() == b"said\n"
    assert engine.containers(all=True, filters={"label": f"io.dockersched.run={result.run_id}"}) == []


async def run_epic(runner: DockerRunner) -> EpicResult:
    retry = RetryPolicy(initial_s=0.05)
    tasks = [
        ScheduledTask("says", [], "echo", ["said"], SMALL, retry=retry),
        ScheduledTask("endless", [], "sleep", ["60"], SMALL, timeout_s=0.5, stop_grace_s=0.5, retry=retry),
    ]
    try:
        return await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(epic_id="spoiled"))
    except TaskExecutionError as error:
        return error.result


def starts_by_container(engine: APIClient, run_id: str) -> dict[str, int]:
    """How often each container of a run was started, by the engine's own record."""
    filters = {"label": f"io.dockersched.run={run_id}", "event": "start"}
    counts: dict[str, int] = {}
    for event in engine.events(since=0, until=engine_time(engine), filters=filters, decode=True):
        name = event["Actor"]["Attributes"]["name"]
        counts[name] = counts.get(name, 0) + 1
    return counts


def engine_time(engine: APIClient) -> int:
    """Seconds since the epoch, by the engine's clock, rounded up."""
    return int(datetime.fromisoformat(engine.info()["SystemTime"]).timestamp()) + 1
