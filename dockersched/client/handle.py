"""One run of a client: its events, its result, its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from dockersched.events import Event, Observer
from dockersched.results import EpicResult
from dockersched.session import Session
from dockersched.unbroken import unasked


class RunHandle:
    """A run that `Client.start` or `Client.resume` began. It goes on by itself, whether or not somebody looks at it.

    Use it on the event loop of its client.

    Attributes:
        task: of the client, which alone may cancel it; `launched` and `stop` are for the client, too.
    """

    def __init__(self, make_session: Callable[[Observer], Session]) -> None:
        self._events: list[Event] = []
        self._news = asyncio.Event()
        self._session = make_session(self._observe)
        self.task = asyncio.create_task(self._session.run(), name=f"dockersched-{self.run_id}")
        self.task.add_done_callback(lambda _: self._tell_news())

    @property
    def run_id(self) -> str:
        """The id of the run, for `dockersched status` and the other verbs."""
        return self._session.run_id

    @property
    def folder(self) -> Path:
        """The folder of the run: `events.jsonl`, `logs/`, and at the end `result.json`."""
        return self._session.run_dir

    @property
    def leaked(self) -> Sequence[str]:
        """What could not be removed from the engine, in words; empty while the run goes on."""
        has_result = self.task.done() and not self.task.cancelled() and self.task.exception() is None
        return self.task.result().leaked if has_result else ()

    async def events(self) -> AsyncIterator[Event]:
        """All events of the run from its beginning, then each as it happens; ends when the run has ended.

        Every iteration is one of its own. The run keeps its events, a handful for each task, as long as there is
        the handle: a slow consumer misses nothing and holds up nobody. The last event is `RunDone`, unless the run
        broke off, which `result` tells.
        """
        seen = 0
        while True:
            while seen < len(self._events):
                yield self._events[seen]
                seen += 1
            if self.task.done():
                return
            await self._news.wait()

    async def result(self) -> EpicResult:
        """Waits for the end of the run; a failed task is no exception, but in the result.

        When it returns no sandbox of the run is left. Giving up the waiting, as `asyncio.wait_for` does, does not end
        the run.

        Raises:
            RunnerError: the engine failed before the epic could run.
            StateError: something of the run could not be written; the run is unfinished, and `resume` goes on with it.
        """
        return (await asyncio.shield(self.task)).result

    async def cancel(self, *task_ids: str) -> None:
        """Ends the run and waits until no sandbox of it is left; what broke it, if anything did, `result` tells.

        Args:
            task_ids: only these tasks, and all that depends on them, are to be cancelled; it is not waited for them.

        Raises:
            ValueError: the epic has no such task; nothing was cancelled.
            TypeError: what is given is no task's id.
            StateError: that tasks are to be cancelled could not be written; nothing was.
        """
        for task_id in task_ids:
            if not isinstance(task_id, str):
                raise TypeError(f"each task to cancel is an id of its own, as in cancel('a', 'b'), and not {task_id!r}")
        if unknown := [task_id for task_id in task_ids if task_id not in self._session.dag]:
            raise ValueError(f"run {self.run_id} has no task {unknown[0]!r}")
        if not task_ids:
            self._session.cancel()
            await asyncio.wait([self.task])
        elif not self.task.done():
            await self._session.cancel_tasks(task_ids)

    def stop(self) -> None:
        """Orders the end of the run, and does not wait for it."""
        self._session.cancel()

    async def launched(self) -> None:
        """Waits until the run is owned; raises what prevented that. For the client, which does it before it hands out.

        A run whose beginning is not waited for any more is ended.
        """
        try:
            while not self._events and not self.task.done():
                await self._news.wait()
        except asyncio.CancelledError:
            self.stop()
            self.task.add_done_callback(unasked)  # nobody has the handle who could ask
            raise
        if not self._events:
            await self.task

    def _observe(self, event: Event) -> None:
        self._events.append(event)
        self._tell_news()

    def _tell_news(self) -> None:
        """Wakes everyone who waits; who comes later waits for the next."""
        self._news.set()
        self._news = asyncio.Event()
