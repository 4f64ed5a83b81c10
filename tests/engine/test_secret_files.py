"""The files of secrets in the sandbox: whole, for its user alone, there at the start and gone at the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from docker.api import APIClient

from dockersched import DockerRunner, Reason, SandboxRunOptions, SecretSource
from dockersched.errors import SecretUnavailableError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.secret_files import SecretFiles
from dockersched.sandbox.secret_values import SecretValues
from tests.support.sandboxes import log_of, run, shell


@pytest.fixture
async def keyed(runner: DockerRunner) -> DockerRunner:
    runner.secrets = SecretValues({"KEY": "value of the key", "OTHER": "another\n"})
    return runner


def with_secrets(script: str, **changes: Any) -> SandboxRunOptions:
    sources = {"KEY": SecretSource(env="KEY"), "other.txt": SecretSource(env="OTHER")}
    return shell(script, **{"secrets": sources, **changes})


LISTING = "cd /run/secrets; stat -c '%u %a %n' *; test \"$(cat KEY)\" = 'value of the key' && wc -c < other.txt"


@pytest.mark.parametrize(
    ("changes", "uid"),
    [
        ({}, 65534),
        ({"user": "1234:77"}, 1234),
        ({"user": "nobody"}, 65534),
        ({"profile": "trusted"}, 0),
        ({"tmpfs": {"/run": 2**20}}, 65534),
    ],
)
async def test_the_files_belong_to_the_user_alone(keyed: DockerRunner, changes: dict[str, Any], uid: int) -> None:
    script = f"{LISTING}; for name in KEY new; do touch $name; done; mount | grep -c '^tmpfs on /run/secrets .*ro,'"
    result = await run(keyed, with_secrets(f"({script}) 2>&1", **changes))
    lines = log_of(result).decode().splitlines()
    assert lines[:3] == [f"{uid} 400 KEY", f"{uid} 400 other.txt", "8"]
    assert [line for line in lines[3:] if "Read-only file system" not in line] == ["1"]
    assert len(lines) == 6


async def test_another_user_of_the_sandbox_cannot_read_them(keyed: DockerRunner) -> None:
    script = "cat /run/secrets/KEY"
    result = await run(
        keyed, with_secrets(f"su -s /bin/sh nobody -c '{script}'; echo $?", user="0:0", cap_add=["SETUID", "SETGID"])
    )
    assert b"ermission denied" in log_of(result)


async def test_a_user_that_the_image_does_not_know_is_the_tasks_outcome(keyed: DockerRunner) -> None:
    result = await run(keyed, with_secrets("true", user="whoever"))
    assert result.reason is Reason.BAD_USER
    assert "write user as uid:gid" in result.detail


async def test_a_large_secret_gets_in_whole(keyed: DockerRunner) -> None:
    keyed.secrets = SecretValues({"KEY": "x" * 500_000, "OTHER": ""})
    result = await run(keyed, with_secrets("wc -c < /run/secrets/KEY; wc -c < /run/secrets/other.txt"))
    assert log_of(result) == b"500000\n0\n"


async def test_an_attempt_that_is_cancelled_leaves_nothing(keyed: DockerRunner, engine: APIClient) -> None:
    options = with_secrets("sleep 60")
    running = asyncio.create_task(keyed.run(options))
    label = {"label": f"io.dockersched.run={options.run_id}"}
    while not engine.containers(filters=label):
        await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.containers(all=True, filters=label) == []
    assert not engine.volumes(filters=label)["Volumes"]


async def test_a_secret_that_is_not_there_fails_the_attempt_of_a_python_caller(runner: DockerRunner) -> None:
    runner.secrets = SecretValues({})
    with pytest.raises(SecretUnavailableError, match="KEY, which is not set"):
        await runner.run(with_secrets("true"))


async def test_files_that_are_lost_before_the_start_are_put_in_anew(
    keyed: DockerRunner, engine: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = SecretFiles.fill
    killed: list[str] = []

    def spoiled(files: SecretFiles, calls: EngineCalls) -> None:
        if not killed:
            killed.append(f"{files.container}-secrets")
            engine.kill(killed[0])
        fill(files, calls)

    monkeypatch.setattr(SecretFiles, "fill", spoiled)
    result = await run(keyed, with_secrets("cat /run/secrets/other.txt | wc -c"))
    assert killed
    assert log_of(result) == b"8\n"
