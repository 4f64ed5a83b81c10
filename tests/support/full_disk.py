"""The engine's disk, or its inodes, run out while an epic runs, and there is room again later."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from dockersched import RetryPolicy, ScheduledTask, ids
from dockersched.events import Event, TaskFinished, TaskRetrying, TaskStarted
from tests.support.private_engine import PrivateEngine, tmpfs_data_root
from tests.support.sandboxes import SMALL
from tests.support.tally import Tally
from tests.support.trials import left_of, run_epic, runner_on

Resource = Literal["bytes", "inodes"]
RESOURCES: tuple[Resource, ...] = ("bytes", "inodes")
_TASKS, _PARALLEL = 9, 3
_FULL_FOR_S = 4.0
_LIMIT_S = 120.0
_SPARE_INODES = 50


async def fill_and_give_room(folder: Path, what: Resource) -> Tally:
    """Every task succeeds in its first attempt, and none is begun while there is no room."""
    tally = Tally(f"engine's disk full ({what})", tries=1)
    started: list[str] = []
    said: list[str] = []
    ended_before: set[str] = set()
    first_end, told = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def observer(event: Event) -> None:
        if isinstance(event, TaskStarted):
            started.append(event.task_id)
        if isinstance(event, TaskFinished):
            first_end.set()
            if not told.is_set():
                ended_before.add(event.result.task_id)
        if isinstance(event, TaskRetrying):
            tally.wrong.append(f"{tally.fault}: tried again: {event}")

    def say(line: str) -> None:
        said.append(line)
        if "disk is full" in line:
            loop.call_soon_threadsafe(told.set)

    tasks = [
        ScheduledTask(str(number), [], "sh", ["-c", "echo said; sleep 0.5"], SMALL, retry=RetryPolicy(initial_s=0.1))
        for number in range(_TASKS)
    ]
    run_id = ids.new_run_id()
    with tmpfs_data_root(64) as disk, PrivateEngine(data_root=disk) as engine:
        await asyncio.to_thread(engine.load_image)
        async with await runner_on(engine.url, folder, progress=say) as runner, asyncio.timeout(_LIMIT_S):
            running = asyncio.create_task(
                run_epic(runner, tasks, epic_id="full", max_parallel=_PARALLEL, observers=[observer], run_id=run_id)
            )
            await first_end.wait()
            with _filled(disk, what):
                await told.wait()
                before = len(started)
                await asyncio.sleep(_FULL_FOR_S)
                tally.expect(f"{tally.fault}: {started[before:]} were begun", holds=len(started) == before)
                tally.expect(f"{tally.fault}: ended without room", holds=not running.done())
            result = await running
            leaked = await runner.sweep(run_id)
        with engine.client() as client:
            tally.orphans = left_of(client, run_id)
    tally.expect(f"{tally.fault}: leaked {leaked}", holds=leaked == [])
    tally.expect(f"{tally.fault}: said {said}", holds=any("room again" in line for line in said))
    cut = unsaid = 0
    for task in result.tasks.values():
        tally.expect(f"{tally.fault}: {task}", holds=task.succeeded)
        log = task.sandbox.log if task.sandbox else None
        if log is None or Path(log.path).read_bytes() != b"said\n":
            # Before the engine says that it is full, nobody can know.
            cut += 1
            unsaid += log is not None and log.complete and task.task_id in ended_before
            tally.lost += log is None or (log.complete and task.task_id not in ended_before)
    tally.measured = f"{cut} of {_TASKS} logs cut, {unsaid} of them before the engine told"
    return tally


@contextmanager
def _filled(disk: Path, what: Resource) -> Iterator[None]:
    """No room, however much is removed meanwhile; there is room again afterwards."""
    folder = disk / "filler"
    folder.mkdir()
    stopping = threading.Event()

    def fill() -> None:
        number = 0
        while not stopping.wait(0.001):  # whatever is freed is taken at once
            with suppress(OSError), (folder / str(number)).open("ab", buffering=0) as file:
                number += what == "inodes"
                while what == "bytes" and file.write(bytes(4096)) and not stopping.is_set():
                    pass

    if what == "inodes":
        found = os.statvfs(disk)
        _limit_inodes(disk, found.f_files - found.f_ffree + _SPARE_INODES)
    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        shutil.rmtree(folder)


def _limit_inodes(disk: Path, count: int) -> None:
    subprocess.run(["mount", "-o", f"remount,nr_inodes={count}", disk], check=True)
