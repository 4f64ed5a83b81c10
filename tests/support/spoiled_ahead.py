"""One engine call of a run that starts sandboxes ahead, spoiled once in one way, with a real engine behind."""

from __future__ import annotations

from pathlib import Path

from docker.api import APIClient

from dockersched import RetryPolicy, ScheduledTask, ids
from tests.support.engine_proxy import Action, EngineProxy, Fault
from tests.support.executions import Executions, noted
from tests.support.sandboxes import SMALL
from tests.support.spoiled_calls import CALLS
from tests.support.tally import Tally
from tests.support.trials import left_of, run_epic, runner_on

ATTACH = r"POST /v[\d.]+/containers/[^/]+/attach"
AHEAD_CALLS = {
    **CALLS,
    "create volume": r"POST /v[\d.]+/volumes/create",
    "attach": ATTACH,
}
OCCURRENCES = 4
"""How many calls of a kind are spoiled: those of the first task, of the gate's volume and of both behind gates."""

_CALL_TIMEOUT_S = 3.0


async def spoil_ahead(engine: APIClient, folder: Path, call: str, action: Action, skip: int = 0) -> Tally:
    """Runs an epic in which a `call` meets the fault: one task says something, one must be stopped, both after another.

    Args:
        engine: that it runs on.
        folder: a new one.
        call: which.
        action: the fault.
        skip: how many calls of the kind are made before it. If there are no more, it counts as no try.
    """
    tally = Tally(f"{action} on {call} #{skip + 1}, ahead")
    executions = Executions(folder / "executed")
    proxy = EngineProxy(local=True)
    retry = RetryPolicy(initial_s=0.05)
    tasks = [
        ScheduledTask("first", [], "sleep", ["0.7"], SMALL, retry=retry),
        *(
            ScheduledTask(
                name,
                ["first"],
                "sh",
                ["-c", noted(name, script)],
                SMALL,
                timeout_s=timeout_s,
                stop_grace_s=0.5,
                retry=retry,
                mounts=[executions.mount],
            )
            for name, script, timeout_s in (("says", "echo said", 30), ("endless", "sleep 60", 0.5))
        ),
    ]
    try:
        async with await runner_on(
            proxy.url, folder, call_timeout_s=_CALL_TIMEOUT_S, allow_mounts=[executions.folder]
        ) as runner:
            # Image and connection are there; what is spoiled belongs to the tasks.
            await runner.prepare([])
            proxy.faults = [Fault(AHEAD_CALLS[call], action, times=1, skip=skip)]
            result = await run_epic(runner, tasks, epic_id="spoiled", prepare_ahead=2)
            leaked = await runner.sweep(result.run_id)
    finally:
        proxy.close()
    tally.tries = int(bool(proxy.spoiled))
    says, endless = result.tasks["says"], result.tasks["endless"]
    tally.expect(f"{tally.fault}: nothing was spoiled: {proxy.requests}", holds=bool(skip or proxy.spoiled))
    tally.expect(f"{tally.fault}: {result.tasks['first']}", holds=result.tasks["first"].succeeded)
    tally.expect(f"{tally.fault}: {says}", holds=says.succeeded)
    tally.expect(f"{tally.fault}: {endless}", holds=endless.reason == "timed_out")
    tally.expect(f"{tally.fault}: leaked {leaked}", holds=leaked == [])
    for task in (says, endless):
        count = executions.of(task.task_id)
        tally.double_starts += count > task.attempts
        tally.expect(f"{tally.fault}: executed {count} times: {task}", holds=1 <= count <= task.attempts)
    log = folder / ids.log_name("says", says.attempts)
    tally.expect(f"{tally.fault}: the log is not whole", holds=log.is_file() and log.read_bytes() == b"said\n")
    tally.orphans = left_of(engine, result.run_id)
    return tally
