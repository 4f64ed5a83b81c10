"""What dockersched promises in seconds: ends are seen, deadlines are kept, second owners are refused."""

from __future__ import annotations

import time
from pathlib import Path

from docker.api import APIClient

from dockersched import ScheduledTask, ids
from dockersched.events import Event, TaskFinished
from tests.support.bench import LONG, Bench
from tests.support.engine_proxy import EngineProxy, Fault
from tests.support.sandboxes import SMALL
from tests.support.spoiled_calls import CALLS
from tests.support.tally import Tally
from tests.support.trials import double_starts, left_of, run_epic, runner_on, watching

EXIT_SEEN_LIMIT_S = 2.0
_TIMEOUT_S, _GRACE_S = 1.0, 1.0
GONE_LIMIT_S = _GRACE_S + 2.0
REFUSED_LIMIT_S = 1.0


async def see_exits_without_events(engine: APIClient, folder: Path, count: int) -> Tally:
    """The engine tells no events; every other task ends a little later, so that no two need be seen at once."""
    tally = Tally("events blocked: end to task finished ≤ 2 s", tries=count)
    late: list[float] = []

    def observer(event: Event) -> None:
        if isinstance(event, TaskFinished) and event.result.sandbox and event.result.sandbox.finished_at:
            late.append((event.at - event.result.sandbox.finished_at).total_seconds())

    tasks = [
        ScheduledTask(str(number), [], "sleep", [f"{0.5 + number % 7 * 0.3:.1f}"], SMALL) for number in range(count)
    ]
    run_id = ids.new_run_id()
    proxy = EngineProxy(faults=[Fault(CALLS["events"], "hang")])
    try:
        async with await runner_on(proxy.url, folder) as runner:
            result = await run_epic(
                runner, tasks, epic_id="blocked", max_parallel=4, observers=[observer], run_id=run_id
            )
            await runner.sweep(run_id)
    finally:
        proxy.close()
    tally.expect("events were not blocked", holds=bool(proxy.spoiled))
    for task in result.tasks.values():
        tally.expect(str(task), holds=task.succeeded)
    tally.lost = count - len(late)
    _measure(tally, late, EXIT_SEEN_LIMIT_S)
    tally.orphans = left_of(engine, run_id)
    return tally


async def keep_deadlines(engine: APIClient, folder: Path, count: int) -> Tally:
    """Tasks do not end when they are asked; from their deadline to their container's removal, by the engine's clock."""
    tally = Tally("deadline to container gone ≤ grace + 2 s", tries=count)
    command = ["-c", "trap '' TERM; while :; do sleep 1; done"]
    tasks = [
        ScheduledTask(str(number), [], "sh", command, SMALL, timeout_s=_TIMEOUT_S, stop_grace_s=_GRACE_S)
        for number in range(count)
    ]
    run_id = ids.new_run_id()
    with watching(engine, f"io.dockersched.run={run_id}") as seen:
        async with await runner_on(None, folder) as runner:
            result = await run_epic(runner, tasks, epic_id="deadlines", max_parallel=4, run_id=run_id)
            await runner.sweep(run_id)
    started = {event.name: event.at_s for event in seen if event.what == "start" and event.is_of_an_attempt}
    gone = {event.name: event.at_s for event in seen if event.what == "destroy"}
    for task in result.tasks.values():
        tally.expect(str(task), holds=task.reason == "timed_out" and task.attempts == 1)
    tally.lost = count - len(result.tasks)
    took = [gone[name] - at_s - _TIMEOUT_S for name, at_s in started.items() if name in gone]
    tally.expect(f"{len(took)} containers were seen", holds=len(took) == count)
    _measure(tally, took, GONE_LIMIT_S)
    tally.double_starts = double_starts(seen)
    tally.orphans = left_of(engine, run_id)
    return tally


def refuse_second_owners(engine: APIClient, folder: Path, count: int) -> Tally:
    """A run has an owner: others that want it end with exit code 5, and say whose it is. Python's start is counted."""
    tally = Tally("second owner refused ≤ 1 s", tries=count)
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(engine, folder)
    took = []
    try:
        owner = bench.begin({"long": LONG})
        ways = (["resume"], ["resume", bench.run_id], ["run", "epic.json"])
        for number in range(count):
            began = time.monotonic()
            second = bench.run(*ways[number % len(ways)])
            took.append(time.monotonic() - began)
            said = second.returncode == 5 and f"process {owner.pid}" in second.stderr
            tally.expect(f"ended with {second.returncode}: {second.stderr}", holds=said)
        owner.terminate()
        owner.wait(30)
        _measure(tally, took, REFUSED_LIMIT_S)
        tally.orphans = len(bench.containers())
        tally.lost = sum(row.result is None for row in bench.store.attempts(bench.run_id).values())
    finally:
        bench.close()
    return tally


def _measure(tally: Tally, took: list[float], limit_s: float) -> None:
    took = sorted(took) or [float("inf")]
    tally.measured = f"median {took[len(took) // 2]:.2f} s, at most {took[-1]:.2f} s"
    tally.wrong += [f"{tally.fault}: took {seconds:.2f} s" for seconds in took if seconds > limit_s]
