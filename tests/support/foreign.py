"""Containers of somebody else that look like ours: whatever is done to runs, they stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker.api import APIClient

from dockersched import Reason, ScheduledTask, ids
from tests.support.bench import LONG, PREFIX, Bench, look_alikes
from tests.support.sandboxes import SMALL
from tests.support.tally import Tally
from tests.support.trials import run_epic, runner_on

_TASKS = {"long": LONG, "short": {"run": "echo up; sleep 1"}}


def leave_look_alikes(engine: APIClient, folder: Path, way: Sequence[str], exit_code: int) -> Tally:
    """A run is killed; then a command mends it, or cleans up behind it, with look-alikes beside its containers."""
    tally = Tally("look-alikes left alone", tries=1)
    folder.mkdir(parents=True)
    bench = Bench(engine, folder)
    try:
        bench.begin_and_kill(_TASKS if way[0] != "resume" else {"short": _TASKS["short"]})
        with _unharmed(bench.engine, look_alikes(bench, bench.run_id), tally) as foreign:
            done = bench.run(*way, *([bench.run_id] if way[0] != "gc" else []))
            tally.expect(f"{way}: {done.returncode} {done.stderr}", holds=done.returncode == exit_code)
            tally.orphans = sum(found["Id"] not in foreign for found in bench.containers())
        if way[0] != "gc":
            tally.lost = sum(row.result is None for row in bench.store.attempts(bench.run_id).values())
    finally:
        bench.close()
    return tally


async def leave_namesakes(engine: APIClient, folder: Path, labels: Callable[[str], dict[str, str]]) -> Tally:
    """A container has the very name that ours needs, but not all its labels: the attempt fails."""
    tally = Tally("namesakes left alone", tries=1)
    run_id = ids.new_run_id()
    config = {"Image": "dockersched/base", "Cmd": ["sleep", "60"], "Labels": labels(run_id)}
    name = ids.container_name("namesakes", run_id, "task", 1)
    made = str(engine.create_container_from_config(config, name)["Id"])
    with _unharmed(engine, [made], tally):
        async with await runner_on(None, folder) as runner:
            result = await run_epic(
                runner, [ScheduledTask("task", [], "true", [], SMALL)], epic_id="namesakes", run_id=run_id
            )
            await runner.sweep(run_id)
    task = result.tasks["task"]
    tally.expect(str(task), holds=(task.reason, task.attempts) == (Reason.ENGINE_ERROR, 1))
    return tally


def no_labels(run_id: str) -> dict[str, str]:
    """As most containers have."""
    del run_id
    return {}


def another_runs_labels(run_id: str) -> dict[str, str]:
    """All of ours, of a run that is not this one."""
    del run_id
    return _labels(ids.new_run_id())


def another_attempts_labels(run_id: str) -> dict[str, str]:
    """All of ours, of another attempt."""
    return {**_labels(run_id), f"{PREFIX}.attempt": "2"}


def _labels(run_id: str) -> dict[str, str]:
    return {
        f"{PREFIX}.epic": "namesakes",
        f"{PREFIX}.run": run_id,
        f"{PREFIX}.task": "task",
        f"{PREFIX}.attempt": "1",
        f"{PREFIX}.sandbox": ids.sandbox_id("namesakes", "task"),
    }


@contextmanager
def _unharmed(engine: APIClient, foreign: list[str], tally: Tally) -> Iterator[list[str]]:
    """Foreign containers run while the block does, and are as they were when it ends."""
    try:
        for container in foreign:
            engine.start(container)
        before = [_state(engine, container) for container in foreign]
        yield foreign
        after = [_state(engine, container) for container in foreign]
        tally.expect(f"foreign containers were {before} and are {after}", holds=before == after)
    finally:
        for container in foreign:
            engine.remove_container(container, force=True)


def _state(engine: APIClient, container: str) -> dict[str, Any]:
    found = engine.containers(all=True, filters={"id": container})
    return engine.inspect_container(container)["State"] if found else {}
