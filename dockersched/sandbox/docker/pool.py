"""The few threads in which blocking engine calls run, so that the event loop never does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from dockersched.sandbox.docker.turns import Turns, first_of
from dockersched.unbroken import ended, unasked

if TYPE_CHECKING:
    from dockersched.sandbox.docker.calls import EngineCalls

T = TypeVar("T")

_CALL_THREADS = 4
_LONG_THREADS = 4
_IDLE_S = 0.05
"""A run that has all its starts waiting for the engine never leaves it alone for so long."""


class EnginePool:
    """Runs batches of engine calls in threads; their number does not grow with the sandboxes.

    Starts have threads of their own: the engine starts fastest with about as many starts in flight as it has cores,
    and a slow start must not hold up a kill. Nor must what can take minutes: images that are pulled or built, and files
    that are copied out.

    Args:
        connect: makes the calls of one batch; each batch gets a client of its own, which no other thread shares.
        starts: starts in flight.
        starts_ahead: with fewer starts in flight than that, one for which nobody waits yet may begin.
        closing: set when retries should give up.
    """

    def __init__(
        self, connect: Callable[[], EngineCalls], *, starts: int, starts_ahead: int, closing: threading.Event
    ) -> None:
        self._connect = connect
        self._closing = closing
        self._starts_ahead = starts_ahead
        self._starting = 0
        self._is_idle = asyncio.Event()
        self._will_be_idle: asyncio.TimerHandle | None = None
        self._turns = Turns()
        self._starts = ThreadPoolExecutor(starts, "dockersched-start")
        self._calls = ThreadPoolExecutor(_CALL_THREADS, "dockersched-call")
        self._images = asyncio.Semaphore(_LONG_THREADS)
        self._copies = ThreadPoolExecutor(_LONG_THREADS, "dockersched-copy")

    async def start(self, batch: Callable[[EngineCalls], T]) -> T:
        """Runs a batch that starts a container."""
        self._starting += 1
        self._is_idle.clear()
        if self._will_be_idle is not None:
            self._will_be_idle.cancel()
        try:
            return await self._submit(self._starts, batch)
        finally:
            self._starting -= 1
            if not self._starting:
                self._await_idleness()
            if self._starting < self._starts_ahead:
                self._turns.give()

    async def start_when_idle(self, batch: Callable[[EngineCalls], T], wanted: asyncio.Event) -> T:
        """Runs a batch that starts a container for which nobody waits yet, once the engine has a core to spare for it.

        Args:
            batch: the calls.
            wanted: set when somebody waits for it after all: then it begins at once.
        """
        await self.core_to_spare(wanted)
        return await self.start(batch)

    async def core_to_spare(self, wanted: asyncio.Event) -> None:
        """Returns when the engine has a core to spare for what nobody waits for yet, or somebody waits for it."""
        while self._starting >= self._starts_ahead and not wanted.is_set():
            await self._turns.wait(wanted)
        if self._starting < self._starts_ahead:
            self._turns.give()  # this one need not start anything

    async def idle(self, ended: asyncio.Event) -> None:
        """Returns once no container has been starting for a while, or when that does not matter any more.

        Args:
            ended: set when it does not.
        """
        if self._will_be_idle is None and not self._starting:  # nothing has been started yet
            self._await_idleness()
        await first_of(self._is_idle, ended)

    def _await_idleness(self) -> None:
        self._will_be_idle = asyncio.get_running_loop().call_later(_IDLE_S, self._is_idle.set)

    async def call(self, batch: Callable[[EngineCalls], T]) -> T:
        """Runs any other batch that is over soon."""
        return await self._submit(self._calls, batch)

    async def image(self, batch: Callable[[EngineCalls], T]) -> T:
        """Runs a batch that may pull or build an image; who is cancelled does not wait for its end.

        It can take as long as a registry likes, and leaves nothing behind that would have to be removed. So its thread
        is a daemon, which does not keep the program from ending either.
        """
        async with self._images:
            outcome: Future[T] = Future()
            outcome.set_running_or_notify_cancel()  # from now on, who gives up waiting for it leaves it alone
            work = partial(self._run_into, outcome, batch)
            threading.Thread(target=work, name="dockersched-image", daemon=True).start()
            return await asyncio.wrap_future(outcome)

    async def copy(self, batch: Callable[[EngineCalls], T]) -> T:
        """Runs a batch that copies files out of a sandbox."""
        return await self._submit(self._copies, batch)

    def close(self) -> None:
        """Lets the threads go once they are idle; retries give up."""
        self._closing.set()
        for executor in (self._starts, self._calls, self._copies):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _submit(self, executor: ThreadPoolExecutor, batch: Callable[[EngineCalls], T]) -> T:
        future = executor.submit(self._run, batch)
        try:
            return await asyncio.wrap_future(future)  # whose cancellation keeps a batch that waits from beginning
        except asyncio.CancelledError:
            # A thread cannot be interrupted, and who cleans up must know that the batch has had its effect.
            if not future.cancelled():
                outcome = asyncio.wrap_future(future)
                outcome.add_done_callback(unasked)
                await ended(outcome)
            raise

    def _run_into(self, outcome: Future[T], batch: Callable[[EngineCalls], T]) -> None:
        try:
            outcome.set_result(self._run(batch))
        except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
            outcome.set_exception(error)

    def _run(self, batch: Callable[[EngineCalls], T]) -> T:
        calls = self._connect()
        try:
            return batch(calls)
        finally:
            calls.close()
