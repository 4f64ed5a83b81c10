"""One suite for every runner: what `SandboxRunner` promises, on the fake and on a real engine."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import DockerRunner, FakeRunner, Reason, SandboxBackend, SandboxCancelled, SandboxRunOptions, ids
from dockersched.sandbox.fake import Script

COMMANDS = {
    "succeeds": ("true",),
    "fails": ("sh", "-c", "exit 3"),
    "endless": ("sleep", "600"),
    "stubborn": ("sh", "-c", "trap '' TERM; while :; do sleep 1; done"),
}
SCRIPTS = {
    "succeeds": Script(),
    "fails": Script(exit_code=3),
    "endless": Script(duration_s=None),
    "stubborn": Script(duration_s=None, stop_s=0.3),
}


class Subject(ABC):
    """A runner under test, and what a test may look at from outside."""

    runner: SandboxBackend

    @abstractmethod
    def is_alive(self, options: SandboxRunOptions) -> bool: ...

    @abstractmethod
    async def until_alive(self, options: SandboxRunOptions) -> None: ...

    @abstractmethod
    def starts(self, options: SandboxRunOptions) -> int: ...


class FakeSubject(Subject):
    def __init__(self) -> None:
        self.runner = self.fake = FakeRunner(SCRIPTS)

    def is_alive(self, options: SandboxRunOptions) -> bool:
        return options.sandbox_id in self.fake.alive

    async def until_alive(self, options: SandboxRunOptions) -> None:
        while not self.is_alive(options):
            await asyncio.sleep(0)

    def starts(self, options: SandboxRunOptions) -> int:
        return self.fake.started.count(options.task_id)


class DockerSubject(Subject):
    def __init__(self, runner: DockerRunner, client: APIClient) -> None:
        self.runner = runner
        self.client = client

    def _inspect(self, options: SandboxRunOptions) -> list[dict[str, str]]:
        found = self.client.containers(all=True, filters={"label": f"io.dockersched.sandbox={options.sandbox_id}"})
        return [container for container in found if container["Labels"]["io.dockersched.run"] == options.run_id]

    def is_alive(self, options: SandboxRunOptions) -> bool:
        return any(container["State"] == "running" for container in self._inspect(options))

    async def until_alive(self, options: SandboxRunOptions) -> None:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(self.is_alive, options):
                await asyncio.sleep(0.05)

    def starts(self, options: SandboxRunOptions) -> int:
        return len(self._inspect(options))


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.engine)])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "fake":
        yield FakeSubject()
        return
    client = request.getfixturevalue("engine")
    async with await DockerRunner.connect(logs_dir=tmp_path) as runner:
        yield DockerSubject(runner, client)
        await runner.sweep(RUN)


RUN = f"contract-{ids.new_run_id()}"


def options_for(kind: str, **changes: object) -> SandboxRunOptions:
    command, *args = COMMANDS[kind]
    fields: dict[str, object] = {"stop_grace_s": 0.3, "attempt": 1, **changes}
    return SandboxRunOptions(
        ids.sandbox_id("contract", kind),
        command,
        args,
        epic_id="contract",
        run_id=RUN,
        task_id=kind,
        **fields,  # type: ignore[arg-type]
    )


async def test_success_is_exit_code_zero_without_a_reason(subject: Subject) -> None:
    options = options_for("succeeds", attempt=11)
    result = await subject.runner.run(options)
    assert (result.sandbox_id, result.exit_code, result.reason) == (options.sandbox_id, 0, None)
    assert result.succeeded
    assert result.started_at is not None
    assert result.finished_at is not None
    assert result.started_at <= result.finished_at


async def test_a_failure_of_the_task_is_data(subject: Subject) -> None:
    result = await subject.runner.run(options_for("fails", attempt=12))
    assert (result.exit_code, result.reason, result.succeeded) == (3, Reason.EXIT_CODE, False)


@pytest.mark.parametrize("kind", ["endless", "stubborn"])
async def test_at_the_timeout_the_sandbox_is_stopped_and_gone(subject: Subject, kind: str) -> None:
    options = options_for(kind, timeout_s=0.4, attempt=13)
    result = await subject.runner.run(options)
    assert result.reason is Reason.TIMED_OUT
    assert not subject.is_alive(options)


@pytest.mark.parametrize("kind", ["endless", "stubborn"])
async def test_cancelling_ends_when_the_sandbox_is_gone(subject: Subject, kind: str) -> None:
    options = options_for(kind, attempt=14)
    call = asyncio.create_task(subject.runner.run(options))
    await subject.until_alive(options)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not subject.is_alive(options)


async def test_cancelling_tells_what_is_known(subject: Subject) -> None:
    options = options_for("endless", attempt=15)

    async def run() -> SandboxCancelled | None:
        try:
            await subject.runner.run(options)
        except SandboxCancelled as cancelled:
            return cancelled
        return None

    call = asyncio.create_task(run())
    await subject.until_alive(options)
    call.cancel()
    cancelled = await call
    assert cancelled is not None
    assert cancelled.result.reason is Reason.CANCELLED
    assert cancelled.result.started_at is not None


async def test_an_attempt_that_is_there_is_adopted_and_never_started_again(subject: Subject) -> None:
    options = options_for("fails", attempt=16)
    first = await subject.runner.run(options)
    again = await subject.runner.run(options)
    assert (first.exit_code, first.started_at) == (again.exit_code, again.started_at)
    assert subject.starts(options) == 1


async def test_sandboxes_run_side_by_side(subject: Subject) -> None:
    one, other = options_for("endless", attempt=17), options_for("stubborn", attempt=17)
    calls = [asyncio.create_task(subject.runner.run(options)) for options in (one, other)]
    await subject.until_alive(one)
    await subject.until_alive(other)
    assert subject.is_alive(one)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert not subject.is_alive(one)
    assert not subject.is_alive(other)


async def test_nothing_is_left_after_sweep(subject: Subject) -> None:
    options = options_for("succeeds", attempt=18)
    await subject.runner.run(options)
    assert await subject.runner.sweep(RUN) == []
    assert not subject.is_alive(options)


async def test_preparing_has_nothing_to_complain_about(subject: Subject) -> None:
    assert await subject.runner.prepare([options_for("succeeds"), options_for("fails")]) == {}
