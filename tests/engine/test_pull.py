"""Images that come from a registry, pulled by the real engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from docker.api import APIClient
from docker.errors import ImageNotFound

from dockersched import DockerRunner, Reason
from dockersched.model import PullPolicy
from dockersched.sandbox.docker import calls, image_calls
from tests.support.registry import Registry
from tests.support.sandboxes import run, sandbox


@pytest.fixture(scope="module")
def busybox(engine: APIClient) -> bytes:
    """The static busybox of our own base image, which does not care what its file is called."""
    container = engine.create_container("dockersched/base:latest", ["true"])["Id"]
    try:
        chunks, _ = engine.get_archive(container, "/bin/busybox")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile("busybox")
            assert member is not None
            return member.read()
    finally:
        engine.remove_container(container)


@pytest.fixture
def registry(engine: APIClient, busybox: bytes) -> Iterator[Registry]:
    made = Registry("dockersched-tests/pulled", busybox)
    yield made
    made.close()
    for reference in (made.image, f"{made.image.rpartition(':')[0]}@{made.digest}"):
        with suppress(ImageNotFound):
            engine.remove_image(reference, force=True)


async def test_a_missing_image_is_pulled_and_its_digest_recorded(registry: Registry) -> None:
    progress: list[str] = []
    async with await DockerRunner.connect(progress=progress.append) as runner:
        result = await run(runner, sandbox("true", image=registry.image))
    assert result.succeeded
    assert (result.image, result.image_digest) == (registry.image, registry.digest)
    assert any("Pulling from" in line for line in progress)


async def test_an_image_given_by_its_digest_is_that_one(registry: Registry) -> None:
    name = registry.image.rpartition(":")[0]
    async with await DockerRunner.connect() as runner:
        result = await run(runner, sandbox("true", image=f"{name}@{registry.digest}"))
        other = await run(runner, sandbox("true", image=f"{name}@sha256:{'0' * 64}"))
    assert (result.succeeded, result.image_digest) == (True, registry.digest)
    assert other.reason is Reason.IMAGE_UNAVAILABLE


async def test_what_one_task_has_pulled_is_what_all_get(registry: Registry, engine: APIClient) -> None:
    engine.tag("dockersched/base", registry.image.rpartition(":")[0], "1")
    policies: list[PullPolicy] = ["missing", "always", "never"]
    async with await DockerRunner.connect() as runner:
        wanted = [sandbox("true", image=registry.image, pull_policy=policy, task_id=policy) for policy in policies]
        assert await runner.prepare(wanted) == {}
        result = await run(runner, wanted[0])
    assert (result.succeeded, result.image_digest, registry.asked) == (True, registry.digest, 1)


@pytest.mark.parametrize(("policy", "asks"), [("missing", False), ("always", True), ("never", False)])
async def test_the_policy_says_when_to_pull(registry: Registry, policy: PullPolicy, asks: bool) -> None:
    async def run_with(wanted: PullPolicy) -> int:
        before = registry.asked
        async with await DockerRunner.connect() as runner:
            assert (await run(runner, sandbox("true", image=registry.image, pull_policy=wanted))).succeeded
        return registry.asked - before

    assert await run_with("missing") > 0
    assert (await run_with(policy) > 0) == asks


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_a_registry_that_refuses_makes_the_image_unavailable(
    registry: Registry, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_calls, "PULL_RETRIES", image_calls.PULL_RETRIES._replace(longest_wait_s=0))
    registry.status = status
    async with await DockerRunner.connect() as runner:
        result = await run(runner, sandbox("true", image=registry.image))
        unavailable = await runner.prepare([sandbox("true", image=registry.image, task_id="a")])
    assert result.reason is Reason.IMAGE_UNAVAILABLE
    assert registry.image in result.detail
    assert list(unavailable) == ["a"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_a_registry_may_grant_later_is_asked_for_again(registry: Registry, status: int) -> None:
    registry.failures = [status] * 2
    async with await DockerRunner.connect() as runner:
        result = await run(runner, sandbox("true", image=registry.image))
    assert result.succeeded, result.detail
    assert registry.failures == []


async def test_of_one_image_there_is_one_pull_at_a_time(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    pulling, most = 0, 0
    pull = calls.EngineCalls.pull

    def counted(self: calls.EngineCalls, image: str, progress: Callable[[str], None]) -> None:
        nonlocal pulling, most
        pulling += 1
        most = max(most, pulling)
        pull(self, image, progress)
        pulling -= 1

    monkeypatch.setattr(calls.EngineCalls, "pull", counted)
    policies: list[PullPolicy] = ["always", "missing", "always"]
    async with await DockerRunner.connect() as runner:
        wanted = [
            sandbox("true", task_id=str(number), image=registry.image, pull_policy=policy)
            for number, policy in enumerate(policies)
        ]
        assert await runner.prepare(wanted) == {}
    assert most == 1
