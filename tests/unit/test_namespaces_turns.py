"""Namespaces and the engine's pool together: whoever waits goes on, in whatever order starts come to their ends."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.namespaces import Namespaces
from dockersched.sandbox.docker.pool import EnginePool
from tests.unit.test_namespaces import DEBIAN, NOW

AHEAD = 8


class Pool(EnginePool):
    """Batches take a moment, and make what has a number of its own."""

    def __init__(self, cpus: int, chance: random.Random) -> None:
        super().__init__(cast("Any", None), starts=2 * cpus, starts_ahead=cpus, closing=threading.Event())
        self._chance = chance
        self._made = 0

    async def _submit(self, _executor: object, _batch: Callable[..., Any]) -> Any:
        self._made += 1
        number = self._made
        await asyncio.sleep(self._chance.uniform(0.001, 0.004))
        return f"container-{number}"


async def start_ahead(namespaces: Namespaces, pool: Pool, task_id: str, wanted: asyncio.Event) -> None:
    await pool.core_to_spare(wanted)
    slot = await namespaces.take(task_id, wanted)
    try:
        await pool.start_when_idle(lambda _: None, wanted)
        await wanted.wait()
    finally:
        if slot:
            namespaces.give_back(slot, is_empty=True)


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("wants_last", [False, True])
async def test_a_run_ends_whatever_is_given_up(cpus: int, wants_last: bool) -> None:
    for seed in range(25):
        pool = Pool(cpus, random.Random(seed))  # noqa: S311
        background: set[asyncio.Task[None]] = set()

        def in_background(work: Coroutine[Any, Any, None], background: set[asyncio.Task[None]] = background) -> None:
            task = asyncio.create_task(work)
            background.add(task)
            task.add_done_callback(background.discard)

        engine = cast("Engine", SimpleNamespace(pool=pool, health=EngineHealth(lambda: NOW), features=DEBIAN))
        namespaces = Namespaces(
            engine, "e", "r", task_ids=list(map(str, range(40))), at_once=4, ahead=AHEAD, in_background=in_background
        )
        await namespaces.take("0")
        wanted = [asyncio.Event() for _ in range(AHEAD)]
        ahead = [asyncio.create_task(start_ahead(namespaces, pool, str(at), each)) for at, each in enumerate(wanted, 1)]
        await pool.start(lambda _: None)
        if wants_last:
            wanted[-1].set()
            await asyncio.wait_for(ahead[-1], 5)
        for each in ahead:
            each.cancel()
        await asyncio.wait(ahead)
        namespaces.end()
        async with asyncio.timeout(5):
            while background:
                await asyncio.wait(background)
