"""How tasks end, told apart on the real engine."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest
from docker.api import APIClient

from dockersched import DockerRunner, QuotaConfig, Reason, SandboxCancelled, SandboxRunOptions
from tests.support.sandboxes import log_of, run, sandbox, shell

HOG = 'x=$(head -c 100000000 /dev/zero | tr "\\\\0" x)'


@pytest.mark.parametrize(
    ("script", "exit_code", "reason"),
    [
        ("exit 0", 0, None),
        ("exit 3", 3, Reason.EXIT_CODE),
        ("exit 127", 127, Reason.EXIT_CODE),
        ("nosuch", 127, Reason.EXIT_CODE),
        ("kill -9 $$", 137, Reason.KILLED),
        ("exit 137", 137, Reason.KILLED),
        ("kill -TERM $$", 143, Reason.EXIT_CODE),
    ],
)
async def test_exit_codes(runner: DockerRunner, script: str, exit_code: int, reason: Reason | None) -> None:
    result = await run(runner, shell(script))
    assert (result.exit_code, result.reason) == (exit_code, reason)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (sandbox("nosuch"), Reason.NOT_FOUND),
        (sandbox("/no/such/program"), Reason.NOT_FOUND),
        (sandbox("/etc/passwd"), Reason.NOT_EXECUTABLE),
        (sandbox("true", user="nobody-knows-me"), Reason.BAD_USER),
        (sandbox("true", user="4294967295"), Reason.BAD_USER),
        (sandbox("true", working_dir="/proc/x"), Reason.BAD_WORKING_DIR),
        (sandbox("echo hello"), Reason.NOT_FOUND),
        (sandbox("true", working_dir="/etc/passwd"), Reason.BAD_WORKING_DIR),
        (sandbox("true", image="dockersched-tests/no-such-image", pull_policy="never"), Reason.IMAGE_UNAVAILABLE),
        (sandbox("true", quota=QuotaConfig(cpus=4096)), Reason.REJECTED),
    ],
)
async def test_what_cannot_start_is_told_apart(
    runner: DockerRunner, options: SandboxRunOptions, reason: Reason
) -> None:
    result = await run(runner, options)
    assert result.reason is reason
    assert result.detail
    assert not result.succeeded


async def test_memory_over_the_quota_is_oom_killed(runner: DockerRunner) -> None:
    # The pause is for the engine: it can miss an out-of-memory kill when the container is gone a moment later.
    script = f"sh -c '{HOG}'; code=$?; sleep 0.3; exit $code"
    result = await run(runner, shell(script, quota=QuotaConfig(memory="16m")))
    assert (result.exit_code, result.reason, result.oom_event) == (137, Reason.OOM_KILLED, True)


async def test_memory_over_the_quota_of_the_only_process_is_a_kill(runner: DockerRunner) -> None:
    result = await run(runner, shell(HOG, quota=QuotaConfig(memory="16m")))
    assert result.exit_code == 137
    assert result.reason in {Reason.OOM_KILLED, Reason.KILLED}
    assert result.oom_event == (result.reason is Reason.OOM_KILLED)


async def test_an_out_of_memory_kill_of_which_the_engine_tells_late_is_one(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    names = [f"hog-{number}" for number in range(16)]
    seen: dict[tuple[str, str], int] = {}

    def note(events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            seen[event["Actor"]["Attributes"]["io.dockersched.task"], event["Action"]] = event["timeNano"]

    filters = {"event": ["die", "oom"], "label": f"io.dockersched.run={run_id}"}
    events = engine.events(decode=True, filters=filters)
    noting = asyncio.create_task(asyncio.to_thread(note, events))
    hogs = [shell(HOG, task_id=name, run_id=run_id, quota=QuotaConfig(memory="16m")) for name in names]
    try:
        results = await asyncio.gather(*map(runner.run, hogs))
        await asyncio.sleep(1)
    finally:
        await asyncio.to_thread(events.close)
        await noting
    for name, result in zip(names, results, strict=True):
        late_ns = seen.get((name, "oom"), 0) - seen[name, "die"]
        if (name, "oom") in seen and late_ns < 0.5e9:
            assert result.reason is Reason.OOM_KILLED, name
        elif (name, "oom") not in seen:
            assert result.reason is Reason.KILLED, name


async def test_a_child_killed_for_memory_is_an_event_not_the_outcome(runner: DockerRunner) -> None:
    # The child asks to be the one: else the kernel takes the shell now and then.
    script = f"sh -c 'echo 1000 > /proc/self/oom_score_adj; {HOG}'; sleep 0.3; exit 0"
    result = await run(runner, shell(script, quota=QuotaConfig(memory="16m")))
    assert (result.exit_code, result.reason, result.oom_event) == (0, None, True)


async def test_processes_over_the_quota_are_refused(runner: DockerRunner) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 2 & done; wait"
    result = await run(runner, shell(script, quota=QuotaConfig(pids=8)))
    assert result.exit_code != 0
    assert b"can't fork" in log_of(result)


async def test_cpu_over_the_quota_is_throttled(runner: DockerRunner) -> None:
    script = "i=0; while [ $i -lt 120000 ]; do i=$((i+1)); done"
    free = await run(runner, shell(script, quota=QuotaConfig(cpus=1)))
    throttled = await run(runner, shell(script, quota=QuotaConfig(cpus=0.1)))
    durations = []
    for result in (free, throttled):
        assert result.succeeded
        assert result.started_at is not None
        assert result.finished_at is not None
        durations.append((result.finished_at - result.started_at).total_seconds())
    assert durations[1] > 3 * durations[0]


async def test_effective_quota_is_read_back(runner: DockerRunner) -> None:
    quota = QuotaConfig(cpus=0.25, memory="24m", pids=9, disk="3m", nofile=64, fsize="2m", log="1m")
    result = await run(runner, sandbox("true", quota=quota))
    assert (result.quota_requested, result.quota_effective) == (quota, quota)


async def test_a_silent_task_gets_the_defaults(runner: DockerRunner) -> None:
    result = await run(runner, sandbox("true", quota=None))
    assert result.quota_effective == QuotaConfig(1.0, "512m", 128, disk="576m", nofile=4096, fsize="1g", log="16m")
    assert result.openings == ()


@pytest.mark.parametrize(("script", "exit_code"), [("sleep 60", 143), ("trap '' TERM; sleep 60 & wait; sleep 60", 137)])
async def test_the_timeout_stops_then_kills(runner: DockerRunner, script: str, exit_code: int) -> None:
    began = time.monotonic()
    result = await run(runner, shell(script, timeout_s=0.5, stop_grace_s=0.5))
    assert (result.reason, result.exit_code) == (Reason.TIMED_OUT, exit_code)
    assert time.monotonic() - began < 0.5 + 0.5 + 2 + 2  # deadline, grace, the promised two seconds, the start


async def test_a_trapped_stop_with_exit_code_zero_is_no_success(runner: DockerRunner) -> None:
    result = await run(runner, shell("trap 'exit 0' TERM; while :; do sleep 0.1; done", timeout_s=0.5))
    assert (result.exit_code, result.reason) == (0, Reason.TIMED_OUT)


async def test_a_cancel_while_it_is_stopped_for_its_timeout_changes_nothing(runner: DockerRunner) -> None:
    options = shell("trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.1; done", timeout_s=0.5, stop_grace_s=5)
    call = asyncio.create_task(runner.run(options))
    # The stop is under way about a second after the start, and takes half a second.
    async with asyncio.timeout(20):
        while not (found := await runner.engine.pool.call(lambda calls: calls.list_run(label_of(options)))):
            await asyncio.sleep(0.02)
        while found and found[0]["State"] != "running":
            found = await runner.engine.pool.call(lambda calls: calls.list_run(label_of(options)))
    await asyncio.sleep(0.8)
    call.cancel()
    with pytest.raises(SandboxCancelled) as cancelled:
        await call
    assert cancelled.value.result.reason is Reason.TIMED_OUT


def label_of(options: SandboxRunOptions) -> str:
    return f"io.dockersched.run={options.run_id}"


async def test_a_container_removed_by_somebody_else_is_no_success(runner: DockerRunner) -> None:
    options = sandbox("sleep", "60")
    call = asyncio.create_task(runner.run(options))
    label = f"io.dockersched.run={options.run_id}"
    async with asyncio.timeout(20):
        while not (found := await runner.engine.pool.call(lambda calls: calls.list_run(label))):
            await asyncio.sleep(0.05)
    await runner.engine.pool.call(lambda calls: calls.remove(found[0]["Id"]))
    result = await call
    assert (result.exit_code, result.reason) == (None, Reason.INTERRUPTED)
