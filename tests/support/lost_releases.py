"""The connection that releases a gate breaks around the byte: no task runs twice, waits for ever or is told wrong."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from docker.api import APIClient

from dockersched import ScheduledTask, TaskResult, ids
from tests.support.engine_proxy import Action, EngineProxy, Fault
from tests.support.executions import Executions, noted
from tests.support.sandboxes import SMALL
from tests.support.spoiled_ahead import ATTACH
from tests.support.tally import Tally
from tests.support.trials import left_of, run_epic, runner_on

INPUT_ACTIONS: tuple[Action, ...] = ("lose", "last", "late", "stall")
_AT_ONCE = 20
_LATE_S = 1.0
_CLOCK_S = 2.0
"""Executions are noted in whole seconds, and the engine notes a start a moment after it was."""


async def lose_releases(engine: APIClient, folder: Path, count: int, action: Action) -> Tally:
    """So many tasks after a first one; each is started ahead, and its release meets the fault."""
    tally = Tally(f"{action}: the release of sandboxes started ahead", tries=count)
    executions = Executions(folder / "executed")
    names = [f"task-{number}" for number in range(count)]
    tasks = [
        ScheduledTask("first", [], "sleep", ["1"], SMALL),
        *(
            ScheduledTask(
                name, ["first"], "sh", ["-c", noted(name, "echo ran")], SMALL, mounts=[executions.mount], timeout_s=60
            )
            for name in names
        ),
    ]
    run_id = ids.new_run_id()
    proxy = EngineProxy([Fault(ATTACH, action, seconds=_LATE_S)], local=True)
    began = time.monotonic()
    try:
        async with await runner_on(proxy.url, folder, allow_mounts=[executions.folder]) as runner:
            result = await run_epic(
                runner,
                tasks,
                epic_id="releases",
                run_id=run_id,
                max_parallel=min(count, _AT_ONCE),
                prepare_ahead=min(count, _AT_ONCE),
            )
            leaked = await runner.sweep(run_id)
    finally:
        proxy.close()
    tally.measured = f"{len(proxy.spoiled)} releases, {time.monotonic() - began:.0f} s"
    tally.expect(f"leaked {leaked}", holds=leaked == [])
    tally.expect(f"{len(proxy.spoiled)} releases met it", holds=len(proxy.spoiled) >= min(count, _AT_ONCE))
    for name in names:
        times_s = executions.times_s(name)
        tally.double_starts += len(times_s) > 1
        tally.expect(f"{result.tasks[name]}: executed at {times_s}", holds=_is_true(result.tasks[name], times_s))
        log = folder / ids.log_name(name, 1)
        tally.lost += not log.is_file() or log.read_bytes() != b"ran\n"
    tally.orphans = left_of(engine, run_id)
    return tally


def _is_true(task: TaskResult, times_s: list[int]) -> bool:
    """Whether a task succeeded at its first attempt, and was executed when its result says."""
    sandbox = task.sandbox
    if not task.succeeded or task.attempts != 1 or sandbox is None or len(times_s) != 1:
        return False
    return _seconds(sandbox.started_at) - _CLOCK_S <= times_s[0] <= _seconds(sandbox.finished_at) + _CLOCK_S


def _seconds(moment: datetime | None) -> float:
    assert moment is not None
    return moment.timestamp()
