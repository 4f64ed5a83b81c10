"""What sandboxes use, as the engine tells it."""

from __future__ import annotations

import pytest

from dockersched import DockerRunner
from tests.support.sandboxes import run, shell

MIB = 2**20


async def test_a_task_is_seen_to_use_what_it_uses(runner: DockerRunner) -> None:
    # Memory in /tmp is charged to the sandbox; three sleeps and their shell are processes, and the loop takes CPU.
    script = (
        "head -c 12m /dev/zero > /tmp/x; sleep 4.5 & sleep 4.5 & sleep 4.5 & "
        "end=$(($(date +%s) + 3)); while [ $(date +%s) -lt $end ]; do :; done; wait"
    )
    result = await run(runner, shell(script))
    usage = result.usage
    assert usage is not None
    assert result.started_at is not None
    assert result.finished_at is not None
    assert usage.readings >= 1
    assert result.started_at < usage.last_read_at < result.finished_at
    assert usage.memory_peak_bytes is not None
    assert 12 * MIB < usage.memory_peak_bytes <= 32 * MIB
    assert usage.pids_peak is not None
    assert 4 <= usage.pids_peak <= 8
    assert usage.cpu_s is not None
    assert 0.3 < usage.cpu_s < 3


async def test_a_short_task_costs_no_call_and_has_none(runner: DockerRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def ask(name: str) -> dict[str, object]:
        asked.append(name)
        return {}

    monkeypatch.setattr(runner._attempts._usage, "_ask", ask)
    result = await run(runner, shell("head -c 1m /dev/zero > /tmp/x"))
    assert result.usage is None
    assert asked == []
