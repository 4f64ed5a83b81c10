"""What sandboxes use: readings of the engine's answers, and the sweep that makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dockersched.errors import EngineUnavailableError
from dockersched.results import Usage
from dockersched.sandbox.docker import usage
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
        # What 20.10 says under cgroup v1 with kernel 6.18, whatever was written.
        ({"blkio_stats": {"io_service_bytes_recursive": []}}, Usage(2**22, 1.5, 3, None, 1, AT)),
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
    """Gives one answer for whatever it is asked, or fails; each question is noted with its time."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures = 0
        self.at_once = self.most_at_once = 0
        self.something = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()

    async def ask(self, name: str) -> dict[str, Any]:
        self.asked.append(name)
        self.something.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.answering.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.failures:
            self.failures -= 1
            raise EngineUnavailableError("away")
        return {} if name == "gone" else CGROUP_V1

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < times:
                self.something.clear()
                await self.something.wait()
        await asyncio.sleep(0.01)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def meter(engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UsageMeter]:
    monkeypatch.setattr(usage, "INTERVAL_S", 0.05)
    monkeypatch.setattr(usage, "_BATCH_INTERVAL_S", 0.0)
    made = UsageMeter(engine.ask, at_once=3)
    yield made
    await made.aclose()


async def test_what_runs_is_read_together(meter: UsageMeter, engine: ScriptedEngine) -> None:
    for name in ("a", "b", "gone"):
        meter.watch(name)
    await engine.until_asked(3)
    assert engine.asked[:3] == ["a", "b", "gone"]
    assert engine.most_at_once == 3
    assert meter.forget("a") == reading_of(CGROUP_V1)
    assert meter.forget("gone") is None


async def test_many_are_read_a_few_at_a_time(meter: UsageMeter, engine: ScriptedEngine) -> None:
    names = [str(number) for number in range(10)]
    for name in names:
        meter.watch(name)
    await engine.until_asked(10)
    assert engine.asked[:10] == names
    assert engine.most_at_once == 3


async def test_what_is_younger_than_the_interval_costs_no_call(meter: UsageMeter, engine: ScriptedEngine) -> None:
    meter.watch("old")
    await asyncio.sleep(0.03)
    meter.watch("young")
    await engine.until_asked(1)
    assert engine.asked == ["old"]
    assert meter.forget("young") is None


async def test_what_cannot_be_read_is_asked_for_again(meter: UsageMeter, engine: ScriptedEngine) -> None:
    engine.failures = 1
    meter.watch("a")
    await engine.until_asked(1)
    assert meter._usage == {}
    await engine.until_asked(2)
    assert meter.forget("a") is not None


async def test_what_ended_while_it_was_read_is_forgotten(meter: UsageMeter, engine: ScriptedEngine) -> None:
    engine.answering.clear()
    meter.watch("a")
    await engine.until_asked(1)
    assert meter.forget("a") is None
    engine.answering.set()
    await asyncio.sleep(0.01)
    assert meter._usage == {}


@pytest.mark.parametrize("answer", [{"read": "soon"}, {"read": 1}, CGROUP_V1 | {"blkio_stats": [1]}])
async def test_an_answer_that_makes_no_sense_ends_nothing(answer: dict[str, Any], meter: UsageMeter) -> None:
    async def ask(_name: str) -> dict[str, Any]:
        return answer

    meter._ask = ask
    meter._since["a"] = 0
    await meter._read("a")
    assert meter._usage == {}
