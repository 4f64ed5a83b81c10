"""Sandboxes that are started behind a gate before their tasks may run."""

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient

from dockersched import DockerRunner, QuotaConfig, Reason, SandboxResult, SandboxRunOptions, ids
from dockersched.data.run_files import RunFiles
from dockersched.graph.lookahead import GATED_BYTES
from dockersched.model import Mount, Output, SecretSource, Workspace
from dockersched.sandbox.base import SandboxCancelled
from dockersched.sandbox.docker import container
from dockersched.sandbox.docker.gate.program import GATE_DIR
from dockersched.sandbox.docker.gate.source import NEVER_RELEASED, NEVER_RELEASED_EXIT
from dockersched.sandbox.docker.translate import container_name, labels
from dockersched.sandbox.secret_values import SecretValues
from tests.support.engine_proxy import EngineProxy, Fault
from tests.support.sandboxes import log_of, sandbox, shell
from tests.support.spoiled_ahead import ATTACH
from tests.support.trials import runner_on, until

WHAT_A_TASK_SEES = """
readlink /proc/self/fd/0; readlink /proc/$$/cwd; cat /proc/self/fdinfo/0 | grep flags; ls /proc/self/fd
grep -E '^(Sig|Shd|Cap|NoNew|Seccomp|Uid|Gid|Groups|PPid|Threads)' /proc/$$/status
tr '\\0' ' ' < /proc/$$/cmdline; echo; env | sort; echo $0 "$@"; cat /proc/1/comm; ulimit -a; cat /proc/$$/oom_score_adj
"""


@pytest.fixture
async def runner(engine: APIClient, tmp_path: Path) -> AsyncIterator[DockerRunner]:
    async with await DockerRunner.connect(logs_dir=tmp_path / "logs", files=RunFiles.of_run(tmp_path)) as connected:
        yield connected


async def prepared(runner: DockerRunner, engine: APIClient, options: SandboxRunOptions) -> dict[str, Any]:
    """Starts a sandbox behind its gate; what the engine says of its container."""
    runner.start_ahead(options)

    def is_running() -> bool:
        found = engine.containers(filters={"name": f"^/{container_name(options)}$", "status": "running"})
        return bool(found)

    await until(is_running)
    inspected: dict[str, Any] = engine.inspect_container(container_name(options))
    return inspected


def without_gate(inspected: dict[str, Any]) -> dict[str, Any]:
    """What is asked for by a container, but what a gate needs."""
    host, config = inspected["HostConfig"], inspected["Config"]
    mounts = [mount for mount in host.get("Mounts") or () if mount["Target"] != GATE_DIR]
    own = {"Hostname", "Entrypoint", "OpenStdin", "StdinOnce"}
    return {
        **{key: value for key, value in config.items() if key not in own},
        **{key: value for key, value in host.items() if key != "NetworkMode"},
        "Mounts": mounts,
    }


async def test_a_task_finds_the_same_with_a_gate_as_without(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    def options(task_id: str) -> SandboxRunOptions:
        return sandbox(
            "sh", "-c", WHAT_A_TASK_SEES, "zero", "one", "", "two words",
            task_id=task_id, run_id=run_id, environment={"A": "b"}, working_dir="/tmp",
        )  # fmt: skip

    plain = await runner.run(options("plain"))
    gated = await prepared(runner, engine, options("gated"))
    result = await runner.run(options("gated"))
    assert result.succeeded
    hostname = [line for line in log_of(plain).splitlines() if b"HOSTNAME" in line]
    lines = [line for line in log_of(result).splitlines() if b"HOSTNAME" not in line]
    assert lines == [line for line in log_of(plain).splitlines() if line not in hostname]
    other = engine.inspect_container(container_name(options("plain")))
    without = without_gate(other)
    assert without_gate(gated) == {**without, "Labels": {**without["Labels"], **labels(options("gated"))}}


async def test_nothing_of_the_task_runs_before_its_release_which_is_when_it_started(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = shell("date +%s; sleep 1", run_id=run_id, timeout_s=2.0)
    await prepared(runner, engine, options)
    top = engine.top(container_name(options))["Processes"]
    assert any(GATE_DIR in " ".join(process) for process in top)
    await asyncio.sleep(1.5)
    released_at = datetime.now(UTC)
    result = await runner.run(options)
    assert result.succeeded, result  # the deadline counts from the release
    assert result.started_at is not None
    assert result.finished_at is not None
    assert abs(result.started_at - released_at) < timedelta(seconds=0.5)
    assert timedelta(seconds=0.9) < result.finished_at - result.started_at < timedelta(seconds=1.9)
    assert int(log_of(result)) >= int(released_at.timestamp())


async def test_the_deadline_stops_a_released_task(runner: DockerRunner, engine: APIClient, run_id: str) -> None:
    options = sandbox("sleep", "30", run_id=run_id, timeout_s=1.0)
    await prepared(runner, engine, options)
    result = await runner.run(options)
    assert result.reason is Reason.TIMED_OUT
    assert result.started_at is not None
    assert result.finished_at is not None
    assert timedelta(seconds=0.9) < result.finished_at - result.started_at < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (["true"], (0, None)),
        (["sh", "-c", "exit 42"], (42, Reason.EXIT_CODE)),
        (["sh", "-c", "kill -TERM $$"], (143, Reason.EXIT_CODE)),
        (["sh", "-c", "kill -KILL $$"], (137, Reason.KILLED)),
        (["nonesuch"], (127, Reason.NOT_FOUND)),
        (["/nonesuch"], (127, Reason.NOT_FOUND)),
        (["/etc"], (126, Reason.NOT_EXECUTABLE)),
        (["/etc/passwd"], (126, Reason.NOT_EXECUTABLE)),
        (["sh", "-c", "x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo ${#x}"], (137, Reason.OOM_KILLED)),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, list) else "",
)
async def test_it_ends_as_it_would_without_a_gate(
    runner: DockerRunner, engine: APIClient, run_id: str, command: list[str], ending: tuple[int, Reason | None]
) -> None:
    exit_code, reason = ending
    plain = await runner.run(sandbox(*command, task_id="plain", run_id=run_id))
    options = sandbox(*command, task_id="gated", run_id=run_id)
    await prepared(runner, engine, options)
    result = await runner.run(options)
    assert (result.exit_code, result.reason) == (plain.exit_code, plain.reason) == (exit_code, reason)
    assert result.detail == plain.detail
    if reason in {Reason.NOT_FOUND, Reason.NOT_EXECUTABLE}:
        assert re.sub(rb"tini \(\d+\)", b"tini", log_of(result)) == re.sub(rb"tini \(\d+\)", b"tini", log_of(plain))


async def test_a_gated_sandbox_takes_less_memory_than_it_counts(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = sandbox("true", run_id=run_id)
    await prepared(runner, engine, options)
    memory = engine.stats(container_name(options), stream=False)["memory_stats"]
    assert 0 < memory["usage"] < GATED_BYTES


async def test_one_that_is_given_up_leaves_nothing(runner: DockerRunner, engine: APIClient, run_id: str) -> None:
    options = shell("touch /workspace/ran", run_id=run_id, workspace=Workspace())
    await prepared(runner, engine, options)
    runner.discard(options)
    await until(lambda: not engine.containers(all=True, filters={"name": container_name(options)}))
    await until(lambda: not engine.volumes(filters={"name": container_name(options)})["Volumes"])


async def test_one_that_is_cancelled_before_its_release_never_started(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = sandbox("sleep", "30", run_id=run_id)
    runner.start_ahead(options)
    await until(lambda: bool(engine.containers(all=True, filters={"name": container_name(options)})))
    running = asyncio.ensure_future(runner.run(options))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await running
    if isinstance(raised.value, SandboxCancelled):
        assert raised.value.result.reason is Reason.CANCELLED
        assert raised.value.result.started_at is None
    assert not engine.containers(all=True, filters={"name": container_name(options)})


async def test_one_that_is_wanted_before_it_could_start_gets_no_gate(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = sandbox("true", run_id=run_id)
    runner.start_ahead(options)
    assert (await runner.run(options)).succeeded
    assert not engine.inspect_container(container_name(options))["Config"]["OpenStdin"]


async def test_a_released_task_that_is_cancelled_is_stopped(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = shell("trap 'echo stopped; exit 3' TERM; echo begun; while :; do sleep 0.05; done", run_id=run_id)
    await prepared(runner, engine, options)
    running = asyncio.ensure_future(runner.run(options))
    await until(lambda: b"begun" in engine.logs(container_name(options)))
    running.cancel()
    with pytest.raises(SandboxCancelled) as raised:
        await running
    result = raised.value.result
    assert (result.reason, result.exit_code) == (Reason.CANCELLED, 3)
    assert result.started_at is not None


async def test_a_task_that_is_stopped_cannot_say_that_it_never_ran(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    lie = f"echo {NEVER_RELEASED.decode().strip()}; exit {NEVER_RELEASED_EXIT}"
    options = shell(f"trap '{lie}' TERM; while :; do sleep 0.05; done", run_id=run_id, timeout_s=1)
    await prepared(runner, engine, options)
    result = await runner.run(options)
    assert (result.reason, result.exit_code) == (Reason.TIMED_OUT, NEVER_RELEASED_EXIT)
    assert result.started_at is not None
    assert log_of(result) == NEVER_RELEASED


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_task_finds_what_is_mounted_when_it_is_released(
    engine: APIClient, tmp_path: Path, run_id: str, is_replaced: bool
) -> None:
    given, new = tmp_path / "given", tmp_path / "new"
    given.write_text("old")
    new.write_text("new")
    options = shell("cat /given", run_id=run_id, mounts=[Mount(str(given), "/given")])
    async with await DockerRunner.connect(logs_dir=tmp_path / "logs", allow_mounts=[tmp_path]) as runner:
        first = await prepared(runner, engine, options)
        if is_replaced:
            new.rename(given)
        result = await runner.run(options)
        last = engine.inspect_container(container_name(options))
        await runner.sweep(run_id)
    assert log_of(result) == (b"new" if is_replaced else b"old")
    assert (last["Id"] != first["Id"]) == is_replaced


async def test_what_dies_behind_its_gate_is_started_anew(runner: DockerRunner, engine: APIClient, run_id: str) -> None:
    options = shell("echo ran", run_id=run_id)
    first = await prepared(runner, engine, options)
    engine.kill(first["Id"])
    await asyncio.sleep(1)  # the news of it arrives
    result = await runner.run(options)
    assert result.succeeded
    assert log_of(result) == b"ran\n"
    assert engine.inspect_container(container_name(options))["Id"] != first["Id"]


async def test_one_that_cannot_be_started_says_why_as_without_a_gate(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = sandbox("true", run_id=run_id, user="nobody-such")
    plain = await runner.run(sandbox("true", task_id="plain", run_id=run_id, user="nobody-such"))
    runner.start_ahead(options)
    await asyncio.sleep(0.5)
    result = await runner.run(options)
    assert (result.reason, result.detail) == (plain.reason, plain.detail)
    assert result.reason is Reason.BAD_USER


async def test_the_gate_ends_with_who_was_to_open_it(
    engine: APIClient, tmp_path: Path, runner: DockerRunner, run_id: str
) -> None:
    options = shell("echo ran", run_id=run_id)
    async with await DockerRunner.connect(logs_dir=tmp_path / "others") as other:
        await prepared(other, engine, options)
        attempt = await other._ahead.take(options)
        attempt._container._gate.close()  # type: ignore[union-attr]
        ended = await asyncio.to_thread(engine.wait, container_name(options))
        assert ended["StatusCode"] == NEVER_RELEASED_EXIT
        assert engine.logs(container_name(options)) == NEVER_RELEASED
    result = await runner.run(options)  # as one that goes on with the run
    assert result.succeeded
    assert log_of(result) == b"ran\n"


async def test_one_that_was_given_up_is_not_in_the_way_of_its_task(
    runner: DockerRunner, engine: APIClient, run_id: str
) -> None:
    for number in range(6):
        options = shell("echo ran", run_id=run_id, task_id=f"t{number}")
        await prepared(runner, engine, options)
        runner.discard(options)
        result = await asyncio.wait_for(runner.run(options), 30)
        assert result.succeeded, result
        assert log_of(result) == b"ran\n"
        assert engine.inspect_container(container_name(options))["State"]["ExitCode"] == 0


async def test_a_gated_container_that_nobody_started_is_made_anew(
    engine: APIClient, tmp_path: Path, runner: DockerRunner, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = shell("echo ran", run_id=run_id)

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    async def leaves_it(_: object) -> None: ...

    with monkeypatch.context() as patch:  # as a process that is killed before it holds the input
        patch.setattr("dockersched.sandbox.docker.gatekeeper.open_stdin", dies)
        patch.setattr("dockersched.sandbox.docker.attempt.Attempt.give_up", leaves_it)
        async with await DockerRunner.connect(logs_dir=tmp_path / "others") as other:
            other.start_ahead(options)
            await until(lambda: bool(engine.containers(all=True, filters={"name": container_name(options)})))
            await asyncio.sleep(0.2)
    left = engine.inspect_container(container_name(options))
    assert left["State"]["Status"] == "created"
    result = await runner.run(options)
    assert result.succeeded
    assert log_of(result) == b"ran\n"


async def test_nothing_of_an_image_runs_behind_the_gate(runner: DockerRunner, engine: APIClient, run_id: str) -> None:
    image = "dockersched-test/health:latest"
    dockerfile = "FROM dockersched/base\nHEALTHCHECK --interval=1s CMD echo checked >> /tmp/health\n"
    for line in engine.build(fileobj=io.BytesIO(dockerfile.encode()), tag=image, rm=True, decode=True):
        assert "error" not in line, line
    try:
        options = shell("cat /tmp/health", run_id=run_id, image=image)
        await prepared(runner, engine, options)
        await asyncio.sleep(3)
        result = await runner.run(options)
        assert b"checked" not in log_of(result)
        assert result.exit_code == 1
    finally:
        await runner.sweep(run_id)
        engine.remove_image(image, force=True)


@pytest.mark.parametrize("profile", ["locked", "trusted"])
async def test_secrets_and_files_are_there_when_it_is_released(
    runner: DockerRunner, engine: APIClient, run_id: str, profile: Any
) -> None:
    runner.secrets = SecretValues({"KEY": "value of the key"})
    options = shell(
        "wc -c < /run/secrets/KEY; cp /run/secrets/KEY out; id -u",
        run_id=run_id, profile=profile, secrets={"KEY": SecretSource(env="KEY")}, workspace=Workspace(),
        outputs={"out": Output("out")},
    )  # fmt: skip
    await prepared(runner, engine, options)
    await asyncio.sleep(0.5)
    result = await runner.run(options)
    assert result.succeeded, result
    assert log_of(result).split() == [b"16", b"0" if profile == "trusted" else b"65534"]
    assert (Path(result.outputs["out"].path) / "out").exists()


@pytest.fixture
async def stalled(engine: APIClient, tmp_path: Path) -> AsyncIterator[DockerRunner]:
    """One whose releases never arrive."""
    del engine
    proxy = EngineProxy([Fault(ATTACH, "stall")])
    try:
        async with await runner_on(proxy.url, tmp_path / "logs") as connected:
            yield connected
    finally:
        proxy.close()


async def test_a_release_that_got_lost_is_found_out(
    stalled: DockerRunner, engine: APIClient, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_RELEASE_LIMIT_S", 0.5)
    options = shell("echo ran", run_id=run_id)
    first = await prepared(stalled, engine, options)
    result = await stalled.run(options)
    assert result.succeeded
    assert log_of(result) == b"ran\n"
    assert engine.inspect_container(container_name(options))["Id"] != first["Id"]


async def test_a_task_that_never_began_is_not_said_to_have_timed_out(
    stalled: DockerRunner, engine: APIClient, run_id: str
) -> None:
    options = shell("echo ran", run_id=run_id, timeout_s=1.0)
    await prepared(stalled, engine, options)
    result = await stalled.run(options)
    assert result.succeeded, result


async def test_a_gate_that_an_earlier_process_left_waiting_is_found_out(
    engine: APIClient, tmp_path: Path, runner: DockerRunner, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_RELEASE_LIMIT_S", 0.5)
    options = shell("echo ran", run_id=run_id)
    async with await DockerRunner.connect(logs_dir=tmp_path / "others") as other:
        await prepared(other, engine, options)  # it lives on, as one does whose daemon died first
        result = await runner.run(options)
    assert result.succeeded
    assert log_of(result) == b"ran\n"


async def test_a_task_that_was_released_is_left_alone_when_its_release_is_looked_for(
    runner: DockerRunner, engine: APIClient, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_RELEASE_LIMIT_S", 0.5)
    options = shell("echo begun; sleep 1.5; echo ran", run_id=run_id)
    first = await prepared(runner, engine, options)
    result = await runner.run(options)
    assert result.succeeded
    assert log_of(result) == b"begun\nran\n"
    assert engine.inspect_container(container_name(options))["Id"] == first["Id"]


async def test_a_task_cannot_change_the_gate(runner: DockerRunner, engine: APIClient, run_id: str) -> None:
    script = (
        f"echo x > {GATE_DIR}/gate; rm {GATE_DIR}/gate; touch {GATE_DIR}/new; ls -ln {GATE_DIR}; echo x > /proc/1/fd/0"
    )
    options = shell(script, run_id=run_id)
    await prepared(runner, engine, options)
    lines = log_of(await runner.run(options)).decode().splitlines()
    assert sum("Read-only file system" in line for line in lines) == 3, lines
    assert [line.split()[0] for line in lines if line.endswith(" gate")] == ["-r-xr-xr-x"]


async def test_a_run_starts_its_next_tasks_ahead(engine: APIClient, tmp_path: Path) -> None:
    from dockersched.epicfile import load  # noqa: PLC0415
    from dockersched.session import Session, SessionSettings  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415
    from dockersched.store.folder import open_state_dir  # noqa: PLC0415

    epic = tmp_path / "epic.yaml"
    epic.write_text(
        json.dumps(
            {
                "epic": "ahead",
                "prepare_ahead": 1,
                "tasks": {"a": {"command": "sleep", "args": ["2"]}, "b": {"command": "true", "depends_on": ["a"]}},
            }
        )
    )
    state = open_state_dir(tmp_path / "state")
    session = Session(load(str(epic)), SessionSettings(state_dir=state), StateStore(state))
    running = asyncio.ensure_future(session.run())
    name = ids.container_name("ahead", session.run_id, "b", 1)
    await until(lambda: bool(engine.containers(filters={"name": f"^/{name}$", "status": "running"})))
    begun = time.monotonic()
    ended = await running
    assert time.monotonic() - begun > 0.5
    assert ended.exit_code == 0
    first, second = (ended.result.tasks[task_id].sandbox for task_id in ("a", "b"))
    assert isinstance(first, SandboxResult)
    assert isinstance(second, SandboxResult)
    assert first.finished_at is not None
    assert second.started_at is not None
    assert second.started_at >= first.finished_at
    assert second.quota_effective == first.quota_effective != QuotaConfig()
    assert not engine.containers(all=True, filters={"label": f"io.dockersched.run={session.run_id}"})
    assert not engine.volumes(filters={"label": f"io.dockersched.run={session.run_id}"})["Volumes"]
