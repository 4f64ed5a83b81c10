"""Starts that nobody waits for yet let the others pass."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.pool import EnginePool


class Calls:
    def close(self) -> None: ...


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    made = EnginePool(lambda: cast("EngineCalls", Calls()), starts=4, starts_ahead=1, closing=threading.Event())
    yield made
    made.close()


class Held:
    """A start that goes on until it is told to end."""

    def __init__(self, pool: EnginePool) -> None:
        self._end = threading.Event()
        self._running = asyncio.ensure_future(pool.start(self._batch))

    def _batch(self, _: EngineCalls) -> None:
        self._end.wait(10)

    async def end(self) -> None:
        self._end.set()
        await self._running


def noting(done: list[str], name: str) -> Callable[[Any], None]:
    return lambda _: done.append(name)


async def test_one_that_nobody_waits_for_begins_when_no_other_is_in_flight(pool: EnginePool) -> None:
    done: list[str] = []
    first, second = Held(pool), Held(pool)
    ahead = asyncio.ensure_future(pool.start_when_idle(noting(done, "ahead"), asyncio.Event()))
    await asyncio.sleep(0.05)
    await first.end()
    await asyncio.sleep(0.05)
    assert done == []
    await second.end()
    await asyncio.wait_for(ahead, 5)
    assert done == ["ahead"]
    await asyncio.wait_for(pool.start_when_idle(noting(done, "at once"), asyncio.Event()), 5)


async def test_one_that_somebody_comes_to_wait_for_begins_at_once(pool: EnginePool) -> None:
    done: list[str] = []
    held, turn = Held(pool), asyncio.Event()
    ahead = asyncio.ensure_future(pool.start_when_idle(noting(done, "ahead"), turn))
    await asyncio.sleep(0.05)
    turn.set()
    await asyncio.wait_for(ahead, 5)
    await held.end()


async def test_one_that_is_given_up_takes_no_turn_from_another(pool: EnginePool) -> None:
    done: list[str] = []
    held = Held(pool)
    given_up = asyncio.ensure_future(pool.start_when_idle(noting(done, "given up"), asyncio.Event()))
    waiting = asyncio.ensure_future(pool.start_when_idle(noting(done, "waiting"), asyncio.Event()))
    await asyncio.sleep(0.05)
    given_up.cancel()
    await asyncio.wait([given_up])
    await held.end()
    await asyncio.wait_for(waiting, 5)
    assert done == ["waiting"]


async def test_it_is_idle_when_nothing_starts_for_a_while(pool: EnginePool) -> None:
    await asyncio.wait_for(pool.idle(asyncio.Event()), 5)
    held = Held(pool)
    idle = asyncio.ensure_future(pool.idle(asyncio.Event()))
    await asyncio.sleep(0.1)
    assert not idle.done()
    await held.end()
    next_one = Held(pool)
    await asyncio.sleep(0.1)
    assert not idle.done()
    await next_one.end()
    await asyncio.wait_for(idle, 5)


async def test_idleness_does_not_matter_to_a_run_that_has_ended(pool: EnginePool) -> None:
    held, ended = Held(pool), asyncio.Event()
    idle = asyncio.ensure_future(pool.idle(ended))
    await asyncio.sleep(0.1)
    assert not idle.done()
    ended.set()
    await asyncio.wait_for(idle, 5)
    await held.end()


async def test_a_core_to_spare_that_one_does_not_use_is_for_the_next(pool: EnginePool) -> None:
    done: list[str] = []
    held = [Held(pool) for _ in range(2)]
    await asyncio.sleep(0)
    spare = asyncio.ensure_future(pool.core_to_spare(asyncio.Event()))
    behind = [asyncio.ensure_future(pool.start_when_idle(noting(done, name), asyncio.Event())) for name in "ab"]
    await asyncio.sleep(0.05)
    assert not spare.done()
    for each in held:
        await each.end()
    await asyncio.wait_for(asyncio.gather(spare, *behind), 5)
    assert sorted(done) == ["a", "b"]


async def test_a_batch_that_is_cancelled_has_had_its_effect_when_that_is_told(pool: EnginePool) -> None:
    begun, may_end, done = asyncio.Event(), threading.Event(), list[str]()
    loop = asyncio.get_running_loop()

    def batch(_: EngineCalls) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(10)
        done.append("effect")

    call = asyncio.ensure_future(pool.call(batch))
    await asyncio.wait_for(begun.wait(), 5)
    call.cancel()
    await asyncio.sleep(0.05)
    assert not call.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 5)
    assert done == ["effect"]


async def test_a_batch_that_is_cancelled_before_it_begins_never_does(pool: EnginePool) -> None:
    done: list[str] = []
    held = [Held(pool) for _ in range(4)]
    waiting = asyncio.ensure_future(pool.start(noting(done, "waiting")))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 1)
    for each in held:
        await each.end()
    assert done == []


async def test_a_failure_of_a_batch_that_is_cancelled_is_not_told(pool: EnginePool) -> None:
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def batch(_: EngineCalls) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(10)
        raise OSError

    call = asyncio.ensure_future(pool.call(batch))
    await asyncio.wait_for(begun.wait(), 5)
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    call.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 5)
    del call
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize("cancels", [1, 2, 3])
async def test_a_batch_has_had_its_effect_when_its_cancellation_is_told(pool: EnginePool, cancels: int) -> None:
    done: list[str] = []
    may_end = threading.Event()

    def batch(_: EngineCalls) -> None:
        may_end.wait(10)
        done.append("started")

    running = asyncio.ensure_future(pool.start(batch))
    for _ in range(cancels):
        await asyncio.sleep(0.02)
        running.cancel()
    await asyncio.sleep(0.02)
    assert not running.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert done == ["started"]


async def test_who_gives_up_an_image_does_not_wait_for_it(pool: EnginePool) -> None:
    begun, may_end, done = asyncio.Event(), threading.Event(), list[str]()
    loop = asyncio.get_running_loop()

    def batch(_: EngineCalls) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(10)
        done.append("pulled")

    pulling = asyncio.ensure_future(pool.image(batch))
    await asyncio.wait_for(begun.wait(), 5)
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(pulling, 5)
    assert done == []
    may_end.set()


ENDLESS_PULL = """
import asyncio, threading
from unittest.mock import Mock
from dockersched.sandbox.docker.pool import EnginePool

async def main():
    pool = EnginePool(Mock, starts=1, starts_ahead=1, closing=threading.Event())
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def pull(_):
        loop.call_soon_threadsafe(begun.set)
        threading.Event().wait()

    pulling = asyncio.ensure_future(pool.image(pull))
    await begun.wait()
    pulling.cancel()
    pool.close()

asyncio.run(main())
"""


def test_an_image_does_not_keep_the_program_from_ending() -> None:
    subprocess.run([sys.executable, "-c", ENDLESS_PULL], check=True, timeout=60)


async def test_a_failure_to_get_an_image_is_told(pool: EnginePool) -> None:
    def batch(_: EngineCalls) -> None:
        raise OSError("no registry")

    with pytest.raises(OSError, match="no registry"):
        await pool.image(batch)


async def test_nothing_that_takes_long_holds_up_a_call(pool: EnginePool) -> None:
    may_end = threading.Event()
    long = [asyncio.ensure_future(each(lambda _: may_end.wait(10))) for each in [pool.image, pool.copy] * 8]
    done: list[str] = []
    try:
        await asyncio.wait_for(pool.call(noting(done, "kill")), 5)
    finally:
        may_end.set()
        await asyncio.gather(*long)
    assert done == ["kill"]
