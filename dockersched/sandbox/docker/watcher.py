"""Learns when containers end, and why: one watcher for a run, instead of one waiting call for each sandbox."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dockersched.errors import EngineUnavailableError, RunnerError
from dockersched.log import Logger
from dockersched.sandbox.docker.streams import lines, open_stream
from dockersched.unbroken import unasked

if TYPE_CHECKING:
    from dockersched.sandbox.docker.connection import EngineEndpoint
    from dockersched.sandbox.docker.health import EngineHealth

_LISTING_INTERVAL_S = 1.5
_RECONNECT_S = 0.5
_FIRST_CONNECTION_S = 2.0
_OUTAGE_LIMIT_S = 60.0
_ENDED = {"exited", "dead"}

log = Logger("watcher")

ListRun = Callable[[str], Awaitable[list[dict[str, Any]]]]


class ExitWatcher:
    """Tells when containers of one run have ended.

    Events are hints that come at once but can be lost; a listing every 1.5 s is the truth. Neither is an outcome: who
    waits looks at the container afterwards. Only that something was killed for lack of memory is taken from an event.

    Args:
        endpoint: where the events come from.
        list_run: lists all containers with a label.
        label: `key=value` that all containers of the run have.
        api_version: of the engine.
        health: told when the events end, as they do when the daemon does.
    """

    def __init__(
        self, endpoint: EngineEndpoint, list_run: ListRun, label: str, api_version: str, health: EngineHealth
    ) -> None:
        self._endpoint = endpoint
        self._health = health
        self._list_run = list_run
        self._label = label
        filters = json.dumps({"type": ["container"], "event": ["die", "destroy", "oom"], "label": [label]})
        self._path = f"/v{api_version}/events?filters={quote(filters)}"
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._started: set[str] = set()
        self._out_of_memory: dict[str, asyncio.Event] = {}
        self._tried_to_connect = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())
        self._listing = asyncio.create_task(self._list())

    async def ready(self) -> None:
        """Waits until events come in, or do not, or shortly: the listing finds exits all the same."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_CONNECTION_S):  # `wait_for` of Python 3.11 can swallow a cancellation
                await self._tried_to_connect.wait()

    def watch(self, name: str) -> asyncio.Future[None]:
        """A future that is done when the container of this name may have ended. Call it before the start.

        It raises EngineUnavailableError when the engine has been out of reach for a minute.
        """
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(unasked)  # who finds it done may have no use for why
        self._waiting[name] = future
        return future

    def started(self, name: str) -> None:
        """The container was started: from now on, its absence means that it is gone."""
        if name in self._waiting:
            self._started.add(name)

    def unwatch(self, name: str) -> None:
        """Nobody waits for this container any more."""
        self._waiting.pop(name, None)
        self._started.discard(name)

    async def out_of_memory(self, container_id: str, within_s: float) -> None:
        """Waits until the engine tells that something in a container was killed for lack of memory, or in vain."""
        told = self._out_of_memory.setdefault(container_id, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await told.wait()

    def told_of_out_of_memory(self, container_id: str) -> bool:
        """Whether the engine has told that something in a container was killed for lack of memory."""
        told = self._out_of_memory.get(container_id)
        return told is not None and told.is_set()

    async def aclose(self) -> None:
        """Stops watching."""
        self._listening.cancel()
        self._listing.cancel()
        await asyncio.gather(self._listening, self._listing, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                async with open_stream(self._endpoint, self._path) as reader:
                    self._tried_to_connect.set()
                    async for line in lines(reader):
                        self._hint(line)
                # The daemon may be gone, or be a new one already when the next call reaches it.
                self._health.lost()
            except EngineUnavailableError as error:
                log.info("watcher.events_unavailable", error=str(error))
            self._tried_to_connect.set()
            await asyncio.sleep(_RECONNECT_S)

    def _hint(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            action, actor = event["Action"], event["Actor"]
            container_id, name = str(actor["ID"]), str(actor["Attributes"]["name"])
        except (ValueError, KeyError, TypeError):
            log.warning("watcher.event_unreadable", line=line[:200])
            return
        if action == "oom":
            self._out_of_memory.setdefault(container_id, asyncio.Event()).set()
        else:
            self._resolve(name)

    async def _list(self) -> None:
        last_answer = time.monotonic()
        is_away = False
        while True:
            await asyncio.sleep(_LISTING_INTERVAL_S)
            if not self._started:
                last_answer = time.monotonic()
                continue
            expected = set(self._started)
            try:
                containers = await self._list_run(self._label)
            except RunnerError as error:
                log.warning("watcher.listing_failed", error=str(error))
                is_away = True
                if time.monotonic() - last_answer > _OUTAGE_LIMIT_S:
                    self._give_up(error)
                continue
            if is_away:
                is_away = False
                self._listen_anew()
            last_answer = time.monotonic()
            alive = {
                name.lstrip("/")
                for container in containers
                if container.get("State") not in _ENDED
                for name in container.get("Names") or ()
            }
            for name in expected - alive:
                self._resolve(name)

    def _listen_anew(self) -> None:
        """A network that was down can leave a connection on which nothing comes any more, and nobody says so."""
        self._listening.cancel()
        self._listening = asyncio.create_task(self._listen())

    def _resolve(self, name: str) -> None:
        future = self._waiting.get(name)
        if future is not None and not future.done():
            future.set_result(None)

    def _give_up(self, error: RunnerError) -> None:
        for name in self._started:  # who is about to start one has patience of its own
            if not (future := self._waiting[name]).done():
                future.set_exception(EngineUnavailableError(f"the engine is out of reach: {error}"))
