"""What running sandboxes use: one sweep over all of them from time to time, instead of a stream for each.

The kernel forgets a container's counters with its end, so nothing is known of what lived shorter than the interval, and
of everything else only what was so at the last reading. There is none at the very end: the engine takes its readings
once a second for all (20.10, whatever `one-shot` says), and no task is to be held up for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Self, TypeVar

from dockersched.errors import EngineUnavailableError
from dockersched.log import Logger
from dockersched.results import Usage
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.outcome import parse_time
from dockersched.sandbox.docker.streams import open_stream

INTERVAL_S = 2.0
_BATCH_INTERVAL_S = 1.0
_AT_ONCE = 20
"""A reading costs an engine 2 ms of CPU, measured with 20.10: so many a second are a twentieth of a core."""
_AT_ONCE_BY_SSH = 2
_ANSWER_TIMEOUT_S = 10.0

_Number = TypeVar("_Number", int, float)
Ask = Callable[[str], Awaitable[Mapping[str, Any]]]

log = Logger("usage")


class UsageMeter:
    """Reads from time to time what the sandboxes of a run use. Sandboxes younger than the interval cost no call.

    All are read every two or three seconds as long as they are few, and more of them batch by batch, each a second
    after the one before.

    Args:
        ask: asks the engine what a container uses.
        at_once: containers in a batch.
    """

    def __init__(self, ask: Ask, at_once: int = _AT_ONCE) -> None:
        self._ask = ask
        self._at_once = at_once
        self._since: dict[str, float] = {}
        self._usage: dict[str, Usage] = {}
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    def on(cls, engine: Engine) -> Self:
        """One for an engine; each reading is a connection, which is a process by ssh."""
        by_ssh = engine.endpoint.host.startswith("ssh:")
        return cls(partial(_stats, engine.endpoint, engine.api_version), _AT_ONCE_BY_SSH if by_ssh else _AT_ONCE)

    def watch(self, name: str) -> None:
        """From now on this container runs."""
        self._since[name] = time.monotonic()
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())

    def forget(self, name: str) -> Usage | None:
        """The container has ended; returns what it used, None if that was never read."""
        self._since.pop(name, None)
        return self._usage.pop(name, None)

    async def aclose(self) -> None:
        """Stops reading."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            names = self._due()
            for start in range(0, len(names), self._at_once):
                if start:
                    await asyncio.sleep(_BATCH_INTERVAL_S)
                await asyncio.gather(*map(self._read, names[start : start + self._at_once]))

    def _due(self) -> list[str]:
        before = time.monotonic() - INTERVAL_S
        return [name for name, since in self._since.items() if since <= before]

    async def _read(self, name: str) -> None:
        """Takes one reading, if the container still runs and the engine answers."""
        if name not in self._since:
            return
        try:
            reading = reading_of(await self._ask(name))
        except (EngineUnavailableError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.info("usage.not_read", name=name, error=str(error))
            return
        if reading is not None and name in self._since:  # else it was forgotten meanwhile
            self._usage[name] = merged(self._usage.get(name), reading)


async def _stats(endpoint: EngineEndpoint, api_version: str, name: str) -> dict[str, Any]:
    path = f"/v{api_version}/containers/{name}/stats?stream=0&one-shot=1"
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S), open_stream(endpoint, path) as reader:
            answer: dict[str, Any] = json.loads(await reader.read())
            return answer
    except (OSError, TimeoutError) as error:
        raise EngineUnavailableError(f"no usage from the engine: {error}") from error


def reading_of(answer: Mapping[str, Any]) -> Usage | None:
    """What an answer of the engine says of a container; None when the container had ended, whose counters are gone."""
    read_at = parse_time(answer.get("read"))
    memory: Mapping[str, Any] = answer.get("memory_stats") or {}
    if read_at is None or not memory:
        return None
    cpu_ns = _number(answer, "cpu_stats", "cpu_usage", "total_usage")
    return Usage(
        # Under cgroup v1 the kernel knows the most there ever was; under v2 the engine tells only what there is.
        memory_peak_bytes=_number(memory, "max_usage") or _number(memory, "usage"),
        cpu_s=None if cpu_ns is None else cpu_ns / 1e9,
        pids_peak=_number(answer, "pids_stats", "current"),
        written_bytes=_written_bytes(answer),
        readings=1,
        last_read_at=read_at,
    )


def merged(before: Usage | None, reading: Usage) -> Usage:
    """What is known after one more reading."""
    if before is None:
        return reading
    return Usage(
        memory_peak_bytes=_highest(before.memory_peak_bytes, reading.memory_peak_bytes),
        cpu_s=_highest(before.cpu_s, reading.cpu_s),
        pids_peak=_highest(before.pids_peak, reading.pids_peak),
        written_bytes=_highest(before.written_bytes, reading.written_bytes),
        readings=before.readings + reading.readings,
        last_read_at=max(before.last_read_at, reading.last_read_at),
    )


def _written_bytes(answer: Mapping[str, Any]) -> int | None:
    """Bytes written to all disks; an empty list comes also where the kernel does not count them, and so is no zero."""
    entries = (answer.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    if not entries:
        return None
    return sum(int(entry["value"]) for entry in entries if entry["op"].lower() == "write")


def _number(answer: Mapping[str, Any], *path: str) -> int | None:
    """A number at a path of keys; None where the engine does not tell it."""
    found: object = answer
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, int) else None


def _highest(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None else one if other is None else max(one, other)
