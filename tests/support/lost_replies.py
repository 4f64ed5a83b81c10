"""Every reply to a start is lost: what was started must be found out, and not started again."""

from __future__ import annotations

from pathlib import Path

from docker.api import APIClient

from dockersched import ScheduledTask, ids
from tests.support.engine_proxy import EngineProxy, Fault
from tests.support.sandboxes import SMALL
from tests.support.spoiled_calls import CALLS
from tests.support.tally import Tally
from tests.support.trials import attempt_starts, double_starts, left_of, run_epic, runner_on, watching


async def lose_start_replies(engine: APIClient, folder: Path, count: int) -> Tally:
    """So many tasks, each of which says a word when it is started."""
    tally = Tally("reply to start lost", tries=count)
    tasks = [ScheduledTask(str(number), [], "echo", ["up"], SMALL) for number in range(count)]
    run_id = ids.new_run_id()
    proxy = EngineProxy(faults=[Fault(CALLS["start"], "drop")])
    try:
        with watching(engine, f"io.dockersched.run={run_id}") as seen:
            async with await runner_on(proxy.url, folder) as runner:
                result = await run_epic(runner, tasks, epic_id="replies", run_id=run_id)
                leaked = await runner.sweep(run_id)
    finally:
        proxy.close()
    tally.expect(f"leaked {leaked}", holds=leaked == [])
    tally.expect(f"{len(proxy.spoiled)} replies were lost", holds=len(proxy.spoiled) == count)
    started = attempt_starts(seen)
    tally.expect(f"{len(started)} containers were started", holds=len(started) == count)
    for task in result.tasks.values():
        tally.expect(str(task), holds=task.succeeded and task.attempts == 1)
        log = folder / ids.log_name(task.task_id, 1)
        tally.lost += not log.is_file() or log.read_bytes() != b"up\n"
    tally.double_starts = double_starts(seen)
    tally.orphans = left_of(engine, run_id)
    return tally
