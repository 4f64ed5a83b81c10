"""The daemon dies at a chosen moment of a task's life, and comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from dockersched import DockerRunner, Reason, RetryPolicy, ScheduledTask, ids
from dockersched.events import Event, TaskRetrying, TaskStarted
from tests.support.engine_proxy import EngineProxy
from tests.support.executions import Executions, noted
from tests.support.private_engine import PrivateEngine
from tests.support.sandboxes import SMALL
from tests.support.tally import Tally
from tests.support.trials import left_of, run_epic, runner_on

Way = Literal["terminate", "kill"]
Phase = Literal["creating", "running", "exiting", "preparing", "waiting", "releasing"]
WAYS: tuple[Way, ...] = ("terminate", "kill")
PHASES: tuple[Phase, ...] = ("creating", "running", "exiting")
PHASES_AHEAD: tuple[Phase, ...] = ("preparing", "waiting", "releasing")
"""In which two sandboxes are started ahead of their tasks, which come after another."""

# Ends with 0 when it is asked to stop, as a daemon that goes down asks: the engine calls that a success.
# Left alone it ends with 7. Whatever else it seems to have ended with was the daemon's doing.
_POLITE = "trap 'exit 0' TERM; echo up; i=0; while [ $i -lt {tenths} ]; do sleep 0.1; i=$((i + 1)); done; exit 7"
_TENTHS = {"creating": 20, "running": 30, "exiting": 5, "preparing": 5, "waiting": 5, "releasing": 5}
# The other way round: it succeeds, unless it is asked to stop.
_FIRST = "trap 'exit 7' TERM; i=0; while [ $i -lt {tenths} ]; do sleep 0.1; i=$((i + 1)); done"
_FIRST_TENTHS = 20
_LIMIT_S = 120.0
_INFRASTRUCTURE = {Reason.INTERRUPTED, Reason.ENGINE_ERROR}


@dataclass(frozen=True)
class Outage:
    """How and when the daemon dies."""

    way: Way
    live_restore: bool
    phase: Phase

    def __str__(self) -> str:
        """In a few words."""
        return f"daemon {self.way}, live-restore {'on' if self.live_restore else 'off'}, {self.phase}{self._ahead}"

    @property
    def _ahead(self) -> str:
        return ", with sandboxes started ahead" if self.phase in PHASES_AHEAD else ""


async def try_outage(private: PrivateEngine, outage: Outage, folder: Path, chance: random.Random) -> Tally:
    """One death of a daemon that runs; it runs again afterwards."""
    tally = Tally(str(outage), tries=1)
    retries: list[TaskRetrying] = []
    released = asyncio.Event()
    is_ahead = outage.phase in PHASES_AHEAD
    executions = Executions(folder / "executed")

    def observer(event: Event) -> None:
        if isinstance(event, TaskRetrying):
            retries.append(event)
        if isinstance(event, TaskStarted) and event.task_id in names:
            released.set()

    names = ("one", "two")
    script = _POLITE.format(tenths=_TENTHS[outage.phase])
    task = partial(ScheduledTask, command="sh", quota=SMALL, retry=RetryPolicy(limit=2, initial_s=0.1))
    first = [task("first", [], args=["-c", _FIRST.format(tenths=_FIRST_TENTHS)])] if is_ahead else []
    tasks = [
        task(
            name,
            [each.id for each in first],
            args=["-c", noted(name, script)],
            mounts=[executions.mount],
        )
        for name in names
    ]
    run_id = ids.new_run_id()
    proxy = EngineProxy(upstream=private.endpoint, local=True)
    try:
        async with await runner_on(proxy.url, folder, allow_mounts=[executions.folder]) as runner:
            epic = partial(run_epic, runner, [*first, *tasks], epic_id="outage", observers=[observer], run_id=run_id)
            running = asyncio.create_task(epic(prepare_ahead=2 if is_ahead else 0))
            if outage.phase == "releasing":
                await asyncio.wait_for(released.wait(), _LIMIT_S)
                await asyncio.sleep(chance.uniform(0, 0.1))
            else:
                await _moment(runner, proxy, outage.phase, run_id, chance)
            await asyncio.to_thread(getattr(private, outage.way))
            await asyncio.to_thread(private.start)
            result = await asyncio.wait_for(running, _LIMIT_S)
            leaked = await runner.sweep(run_id)
    finally:
        proxy.close()
    for each in first:
        tally.expect(f"{outage}: {result.tasks[each.id]}", holds=result.tasks[each.id].succeeded)
    for name in names:
        ended, count = result.tasks[name], executions.of(name)
        tally.expect(f"{outage}: {ended}", holds=(ended.reason, ended.exit_code) == (Reason.EXIT_CODE, 7))
        tally.expect(f"{outage}: executed {count} times: {ended}", holds=1 <= count <= ended.attempts)
    for event in retries:
        tally.expect(f"{outage}: tried again after {event}", holds=event.sandbox.reason in _INFRASTRUCTURE)
    tally.expect(f"{outage}: leaked {leaked}", holds=leaked == [])
    tally.lost = len([*first, *tasks]) - len(result.tasks)
    # A container that is started twice goes on with the log of the first time.
    tally.double_starts = sum(path.read_text().count("up") > 1 for path in folder.glob("*.log"))
    with private.client() as client:
        tally.orphans = left_of(client, run_id)
    return tally


async def _moment(runner: DockerRunner, proxy: EngineProxy, phase: Phase, run_id: str, chance: random.Random) -> None:
    """Waits for the moment in which the daemon is to die, give or take a little."""
    if phase in PHASES_AHEAD:
        gates = 2 if phase == "waiting" else 1
        await _until(lambda: sum("/attach" in request for request in proxy.requests) >= gates)
        await asyncio.sleep(chance.uniform(0.2, 0.5) if phase == "waiting" else chance.uniform(0, 0.3))
        return
    if phase == "creating":
        await _until(lambda: any("/containers/create" in request for request in proxy.requests))
        await asyncio.sleep(chance.uniform(0, 0.3))
        return
    async with asyncio.timeout(_LIMIT_S):
        while True:
            found = await runner.engine.pool.call(lambda calls: calls.list_run(f"io.dockersched.run={run_id}"))
            if any(container["State"] in {"running", "exited"} for container in found):
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(chance.uniform(0, 0.5) if phase == "running" else chance.uniform(0.1, 0.7))


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while not holds():
            await asyncio.sleep(0.005)


async def try_outages(
    live_restore: bool,
    ways: tuple[Way, ...],
    phases: Sequence[Phase],
    *,
    tries: int,
    folder: Path,
    on_try: Callable[[Tally], object],
) -> list[Tally]:
    """Many deaths of the daemons of one engine, in these phases; a tally for each way and phase."""
    chance = random.Random(7)  # noqa: S311 - only spreads moments
    found: list[Tally] = []
    private = PrivateEngine(live_restore=live_restore)
    await asyncio.to_thread(private.__enter__)
    try:
        await asyncio.to_thread(private.load_image, "dockersched/base:latest")
        for outage in (Outage(way, live_restore, phase) for way in ways for phase in phases):
            total = Tally(str(outage))
            for number in range(tries):
                logs = folder / f"{outage}-{number}"
                try:
                    tally = await try_outage(private, outage, logs, chance)
                except Exception as error:  # noqa: BLE001 - a trial that broke is a wrong outcome
                    tally = Tally(str(outage), tries=1, wrong=[f"{outage}: {error!r}"])
                on_try(tally)
                total.add(tally)
            found.append(total)
    finally:
        await asyncio.to_thread(private.__exit__, None, None, None)
    return found
