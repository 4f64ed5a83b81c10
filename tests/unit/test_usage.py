"""What sandboxes use: readings of the engine's answers, and the sweep that makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dockersched.errors import EngineUnavailableError
from dockersched.results import Usage
from dockersched.sandbox.docker import usage
from dockersched.sandbox.docker.pool import EnginePool
from dockersched.sandbox.docker.usage import UsageMeter, merged, reading_of

AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)

CGROUP_V1: dict[str, Any] = {
    "read": "2026-01-31T12:00:00.000000000Z",
    "pids_stats": {"current": 3, "limit": 16},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 4096},
            {"major": 8, "minor": 0, "op": "Write", "value": 8192},
            {"major": 8, "minor": 16, "op": "Write", "value": 1},
            {"major": 8, "minor": 0, "op": "Total", "value": 12288},
        ]
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}},
    "memory_stats": {"usage": 2**20, "max_usage": 2**22, "limit": 2**25},
}


def test_a_reading_under_cgroup_v1_has_the_kernels_peak() -> None:
    assert reading_of(CGROUP_V1) == Usage(2**22, 1.5, 3, 8193, 1, AT)


def test_a_reading_under_cgroup_v2_has_what_there_is() -> None:
    memory = {"usage": 2**20, "limit": 2**25, "stats": {"anon": 1}}
    written = {"io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "write", "value": 5}]}
    found = reading_of({**CGROUP_V1, "memory_stats": memory, "blkio_stats": written})
    assert found == Usage(2**20, 1.5, 3, 5, 1, AT)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({"blkio_stats": {"io_service_bytes_recursive": None}}, Usage(2**22, 1.5, 3, None, 1, AT)),
        ({"pids_stats": {}}, Usage(2**22, 1.5, None, 8193, 1, AT)),
        ({"cpu_stats": {}}, Usage(2**22, None, 3, 8193, 1, AT)),
    ],
)
def test_what_is_not_told_is_not_zero(missing: dict[str, Any], expected: Usage) -> None:
    assert reading_of(CGROUP_V1 | missing) == expected


def test_a_container_that_has_ended_gives_no_reading() -> None:
    # As 20.10 answers; newer engines leave out more.
    ended = {"read": "0001-01-01T00:00:00Z", "pids_stats": {}, "cpu_stats": {"cpu_usage": {"total_usage": 0}}}
    assert reading_of({**ended, "memory_stats": {}}) is None


def test_readings_add_up_to_the_most() -> None:
    later = Usage(2**20, 2.0, 9, None, 1, AT + timedelta(seconds=2))
    first = reading_of(CGROUP_V1)
    assert first is not None
    assert merged(first, later) == Usage(2**22, 2.0, 9, 8193, 2, later.last_read_at)


class ScriptedEngine:
    """A pool whose calls give one answer, or fail; every batch is noted."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failures = 0
        self.asked = asyncio.Event()

    async def call(self, batch: Callable[[Any], Any]) -> Any:
        names: list[str] = []
        self.batches.append(names)
        self.asked.set()
        if self.failures:
            self.failures -= 1
            raise EngineUnavailableError("away")
        return batch(cast("Any", _Calls(names)))


class _Calls:
    def __init__(self, names: list[str]) -> None:
        self._names = names

    def stats(self, name: str) -> dict[str, Any] | None:
        self._names.append(name)
        return None if name == "gone" else CGROUP_V1


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def meter(engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UsageMeter]:
    monkeypatch.setattr(usage, "INTERVAL_S", 0.05)
    made = UsageMeter(cast("EnginePool", engine))
    yield made
    await made.aclose()


async def test_all_that_runs_is_read_in_one_batch(meter: UsageMeter, engine: ScriptedEngine) -> None:
    for name in ("a", "b", "gone"):
        meter.watch(name)
    await engine.asked.wait()
    assert engine.batches[0] == ["a", "b", "gone"]
    assert meter.forget("a") == reading_of(CGROUP_V1)
    assert meter.forget("gone") is None


async def test_many_are_read_in_batches_that_hold_no_thread_for_long(meter: UsageMeter, engine: ScriptedEngine) -> None:
    names = [str(number) for number in range(70)]
    for name in names:
        meter.watch(name)
    await asyncio.sleep(0.06)
    await meter.read(*names)
    assert [len(batch) for batch in engine.batches[-3:]] == [32, 32, 6]


async def test_what_is_younger_than_the_interval_costs_no_call(meter: UsageMeter, engine: ScriptedEngine) -> None:
    meter.watch("old")
    await engine.asked.wait()
    meter.watch("young")
    await meter.read("young", "unknown")
    assert [name for batch in engine.batches for name in batch if name != "old"] == []
    assert meter.forget("young") is None


async def test_an_engine_that_is_away_is_asked_again(meter: UsageMeter, engine: ScriptedEngine) -> None:
    engine.failures = 1
    meter.watch("a")
    await engine.asked.wait()
    assert meter._usage == {}
    engine.asked.clear()
    await engine.asked.wait()
    assert meter.forget("a") is not None


async def test_what_ended_while_it_was_read_is_forgotten(meter: UsageMeter, engine: ScriptedEngine) -> None:
    meter.watch("a")
    await asyncio.sleep(0.06)
    call = engine.call

    async def forgetful(batch: Callable[[Any], Any]) -> Any:
        meter.forget("a")
        return await call(batch)

    engine.call = forgetful  # type: ignore[method-assign]
    await meter.read("a")
    assert meter._usage == {}
