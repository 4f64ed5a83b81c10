"""What running sandboxes use: one sweep over all of them from time to time, instead of a stream for each.

The kernel forgets a container's counters with its end, so nothing is known of what lived shorter than the interval, and
of everything else only what was so at the last reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from dockersched.errors import RunnerError
from dockersched.log import Logger
from dockersched.results import Usage
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.outcome import parse_time
from dockersched.sandbox.docker.pool import EnginePool

INTERVAL_S = 2.0
_REST = 19
"""A sweep that takes long is followed by a pause of so many times its length: it takes a twentieth of one thread."""
_BATCH = 32
_Number = TypeVar("_Number", int, float)

log = Logger("usage")


class UsageMeter:
    """Reads from time to time what the sandboxes of a run use. Sandboxes younger than the interval cost no call.

    Args:
        pool: for the calls.
    """

    def __init__(self, pool: EnginePool) -> None:
        self._pool = pool
        self._since: dict[str, float] = {}
        self._usage: dict[str, Usage] = {}
        self._sweeping: asyncio.Task[None] | None = None

    def watch(self, name: str) -> None:
        """From now on this container runs."""
        self._since[name] = time.monotonic()
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())

    def forget(self, name: str) -> Usage | None:
        """The container has ended; returns what it used, None if that was never read."""
        self._since.pop(name, None)
        return self._usage.pop(name, None)

    async def read(self, *names: str) -> None:
        """Reads some containers now, as far as they are old enough and the engine answers."""
        now = time.monotonic()
        due = [name for name in names if now - self._since.get(name, now) >= INTERVAL_S]
        for start in range(0, len(due), _BATCH):
            readings = await self._pool.call(partial(_read, names=due[start : start + _BATCH]))
            for name, reading in readings.items():
                if name in self._since:  # else it was forgotten meanwhile
                    self._usage[name] = merged(self._usage.get(name), reading)

    async def aclose(self) -> None:
        """Stops reading."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def _sweep(self) -> None:
        pause_s = INTERVAL_S
        while True:
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            try:
                await self.read(*self._since)
            except RunnerError as error:
                log.info("usage.not_read", error=str(error))
            pause_s = max(INTERVAL_S, _REST * (time.monotonic() - began))


def _read(calls: EngineCalls, names: Sequence[str]) -> dict[str, Usage]:
    answers = {name: calls.stats(name) for name in names}
    readings = {name: reading_of(answer) for name, answer in answers.items() if answer is not None}
    return {name: reading for name, reading in readings.items() if reading is not None}


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
    """Bytes written to all disks; the engine gives no list where the kernel does not count them."""
    entries = (answer.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    if entries is None:
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
