"""One engine call of a task's life, spoiled once in one way, with a real engine behind."""

from __future__ import annotations

from pathlib import Path

from docker.api import APIClient

from dockersched import RetryPolicy, ScheduledTask, ids
from tests.support.engine_proxy import Action, EngineProxy, Fault
from tests.support.sandboxes import SMALL
from tests.support.tally import Tally
from tests.support.trials import left_of, run_epic, runner_on, starts_by_container

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
ACTIONS: tuple[Action, ...] = ("refuse", "drop", "error", "cut", "delay", "hang")
CASES: list[tuple[str, Action]] = [(call, action) for call in CALLS for action in ACTIONS]
_CALL_TIMEOUT_S = 3.0


async def spoil(engine: APIClient, folder: Path, call: str, action: Action) -> Tally:
    """Runs a small epic whose first `call` meets the fault: one task says something, one must be stopped."""
    tally = Tally(f"{action} on {call}", tries=1)
    proxy = EngineProxy()
    retry = RetryPolicy(initial_s=0.05)
    tasks = [
        ScheduledTask("says", [], "echo", ["said"], SMALL, retry=retry),
        ScheduledTask("endless", [], "sleep", ["60"], SMALL, timeout_s=0.5, stop_grace_s=0.5, retry=retry),
    ]
    try:
        async with await runner_on(proxy.url, folder, call_timeout_s=_CALL_TIMEOUT_S) as runner:
            # Image and connection are there; what is spoiled belongs to the tasks.
            await runner.prepare([])
            proxy.faults = [Fault(CALLS[call], action, times=1)]
            result = await run_epic(runner, tasks, epic_id="spoiled")
            leaked = await runner.sweep(result.run_id)
    finally:
        proxy.close()
    says, endless = result.tasks["says"], result.tasks["endless"]
    tally.expect(f"{tally.fault}: nothing was spoiled: {proxy.requests}", holds=bool(proxy.spoiled))
    tally.expect(f"{tally.fault}: {says}", holds=says.succeeded)
    tally.expect(f"{tally.fault}: {endless}", holds=endless.reason == "timed_out")
    tally.expect(f"{tally.fault}: leaked {leaked}", holds=leaked == [])
    starts = starts_by_container(engine, result.run_id)
    tally.double_starts = sum(count > 1 for count in starts.values())
    tally.expect(f"{tally.fault}: started {starts}", holds=len(starts) <= says.attempts + endless.attempts)
    log = folder / ids.log_name("says", says.attempts)
    tally.expect(f"{tally.fault}: the log is not whole", holds=log.is_file() and log.read_bytes() == b"said\n")
    tally.orphans = left_of(engine, result.run_id)
    return tally
