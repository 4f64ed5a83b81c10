"""The engine's disk, or its inodes, run out while an epic runs, and there is room again later."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

from dockersched import Reason, RetryPolicy, ScheduledTask, ids
from dockersched.events import Event, TaskFinished, TaskRetrying, TaskStarted
from dockersched.results import TaskResult
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


class _Watch:
    """What is seen and said of an epic while the disk runs full; used on one event loop."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.retried: list[TaskRetrying] = []
        self.said: list[str] = []
        self.ended_unsaid: set[str] = set()
        self.first_end, self.told = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def observe(self, event: Event) -> None:
        if isinstance(event, TaskStarted):
            self.begun.append(event.task_id)
        if isinstance(event, TaskFinished):
            self.first_end.set()
            if not self.told.is_set():
                self.ended_unsaid.add(event.result.task_id)
        if isinstance(event, TaskRetrying):
            self.retried.append(event)

    def say(self, line: str) -> None:
        self.said.append(line)
        if "disk is full" in line:
            self._loop.call_soon_threadsafe(self.told.set)


async def fill_and_give_room(folder: Path, what: Resource, *, prepare_ahead: int = 0) -> Tally:
    """Every task succeeds, and none is begun while there is no room.

    Another attempt is fair if the engine failed in words that do not tell that it is full, as it does now and then.
    """
    tally = Tally(f"engine's disk full ({what})", tries=1)
    watch = _Watch()
    tasks = [
        ScheduledTask(str(number), [], "sh", ["-c", "echo said; sleep 0.5"], SMALL, retry=RetryPolicy(initial_s=0.1))
        for number in range(_TASKS)
    ]
    epic = partial(
        run_epic,
        tasks=tasks,
        epic_id="full",
        max_parallel=_PARALLEL,
        observers=[watch.observe],
        prepare_ahead=prepare_ahead,
    )
    run_id = ids.new_run_id()
    with tmpfs_data_root(64) as disk, PrivateEngine(data_root=disk) as engine:
        await asyncio.to_thread(engine.load_image)
        async with await runner_on(engine.url, folder, progress=watch.say) as runner, asyncio.timeout(_LIMIT_S):
            running = asyncio.create_task(epic(runner, run_id=run_id))
            await watch.first_end.wait()
            with _filled(disk, what):
                await asyncio.wait(
                    [running, asyncio.create_task(watch.told.wait())], return_when=asyncio.FIRST_COMPLETED
                )
                before = len(watch.begun)
                await asyncio.sleep(_FULL_FOR_S)
                tally.expect(f"{watch.begun[before:]} were begun without room", holds=len(watch.begun) == before)
                tally.expect("it ended without room", holds=not running.done())
            result = await running
            leaked = await runner.sweep(run_id)
        with engine.client() as client:
            tally.orphans = left_of(client, run_id)
    tally.expect(f"leaked {leaked}", holds=leaked == [])
    tally.expect(f"said {watch.said}", holds=any("room again" in line for line in watch.said))
    for event in watch.retried:
        tally.expect(f"tried again: {event}", holds=event.sandbox.reason is Reason.ENGINE_ERROR)
        tally.counts["attempts more"] += 1
    for task in result.tasks.values():
        _judge(task, tally, unsaid=task.task_id in watch.ended_unsaid)
    return tally


def _judge(task: TaskResult, tally: Tally, *, unsaid: bool) -> None:
    tally.expect(str(task), holds=task.succeeded)
    log = task.sandbox.log if task.sandbox else None
    if log is None or Path(log.path).read_bytes() != b"said\n":
        # Before the engine says that it is full, nobody can know.
        tally.counts["logs cut and said so"] += log is not None and not log.complete
        tally.counts["logs cut before the engine told"] += log is not None and log.complete and unsaid
        tally.lost += log is None or (log.complete and not unsaid)


@contextmanager
def _filled(disk: Path, what: Resource) -> Iterator[None]:
    """No room, however much is removed meanwhile; there is room again afterwards."""
    folder = disk / "filler"
    folder.mkdir()
    stopping = threading.Event()

    def fill() -> None:
        number = 0
        while not stopping.wait(0.001):  # whatever is freed is taken at once
            with suppress(OSError):
                while not stopping.is_set():
                    with (folder / str(number)).open("ab", buffering=0) as file:
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
