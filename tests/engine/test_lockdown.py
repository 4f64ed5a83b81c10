"""What an epic can ask of a sandbox, what holds when it is exceeded, and what is refused before anything starts."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient
from docker.errors import ImageNotFound

from dockersched import DockerRunner, Mount, QuotaConfig, Reason, SandboxResult, SandboxRunOptions
from dockersched.sandbox.docker.calls import EngineCalls
from tests.support.sandboxes import SMALL, log_of, run, sandbox, shell

FILL = """
for place in /tmp $HOME /dev/shm "$@"; do head -c 40000000 /dev/zero > $place/full 2>/dev/null || true; done
cat /tmp/full $HOME/full /dev/shm/full | wc -c
"""
OPEN_FILES = 'n=3; while [ $n -lt 99 ]; do eval "exec $n</dev/null"; echo $n; n=$((n + 1)); done'
EXCESSES: dict[str, tuple[str, dict[str, Any]]] = {
    "memory": ("tail /dev/zero", {"quota": QuotaConfig(memory="8m")}),
    "pids": ("n=0; while [ $n -lt 20 ]; do sleep 3 & n=$((n + 1)); done; echo not bounded", {
        "quota": QuotaConfig(memory="16m", pids=8)}),
    "disk": (FILL, {"quota": QuotaConfig(memory="32m", disk="3m")}),
    "tmpfs": ("head -c 99999 /dev/zero > /small/x 2>/dev/null; wc -c < /small/x", {"tmpfs": {"/small": 8192}}),
    "nofile": (OPEN_FILES, {"quota": QuotaConfig(nofile=32)}),
    "fsize": ("exec 2>/dev/null; head -c 99999 /dev/zero > /tmp/x; echo $?; wc -c < /tmp/x", {
        "quota": QuotaConfig(fsize=4096)}),
    "cpu": ("while :; do :; done", {"ulimits": {"cpu": 1}}),
    "limits": ("ulimit -c; ulimit -s; ulimit -l; ulimit -n", {
        "ulimits": {"stack": 2**20, "memlock": 2**16, "nofile": 64}}),
    "log": ("yes | head -c 2000000; echo end", {"quota": QuotaConfig(log="64k", cpus=1)}),
}  # fmt: skip


@pytest.fixture(scope="module")
def volume_image(engine: APIClient) -> Iterator[str]:
    """An image that declares a volume which everyone can write to."""
    name = "dockersched-tests/volume"
    lines = b"FROM dockersched/base\nUSER 0:0\nRUN mkdir -m 1777 /data\nVOLUME /data/\n"
    for _ in engine.build(fileobj=io.BytesIO(lines), tag=name, network_mode="none", rm=True, decode=True):
        pass
    yield name
    engine.remove_image(name, force=True)


@pytest.fixture
def moving(engine: APIClient) -> Iterator[str]:
    """A tag that moves."""
    engine.tag("dockersched/base", "dockersched-tests/moving", "1")
    yield "dockersched-tests/moving:1"
    with suppress(ImageNotFound):
        engine.remove_image("dockersched-tests/moving:1")


async def at_once(runner: DockerRunner, *options: SandboxRunOptions) -> list[SandboxResult]:
    return await asyncio.gather(*(run(runner, one) for one in options))


async def test_every_limit_holds_when_it_is_exceeded(runner: DockerRunner) -> None:
    sandboxes = [
        shell(script, task_id=name, **{**changes, "quota": changes.get("quota", SMALL).or_default(SMALL)})
        for name, (script, changes) in EXCESSES.items()
    ]
    results = dict(zip(EXCESSES, await at_once(runner, *sandboxes), strict=True))
    logs = {name: log_of(result).decode() for name, result in results.items()}
    assert results["memory"].exit_code == 137
    assert "not bounded" not in logs["pids"]
    assert "fork" in logs["pids"]
    written = int(logs["disk"])
    assert 3 * 2**20 - 3 * 4096 <= written <= 3 * 2**20
    assert logs["tmpfs"] == "8192\n"
    assert max(int(word) for word in logs["nofile"].split() if word.isdecimal()) == 31
    assert logs["fsize"].split() == ["153", "4096"]  # SIGXFSZ
    assert results["cpu"].exit_code in {137, 152}  # SIGXCPU, or SIGKILL where soft and hard limit are one
    assert logs["limits"].split() == ["0", str(2**10), str(2**6), "64"]
    assert results["log"].log is not None
    assert results["log"].log.truncated
    assert results["log"].log.size_bytes <= 1.5 * 2**16
    assert logs["log"].endswith("end\n")
    assert not [name for name, result in results.items() if result.reason is Reason.QUOTA_NOT_APPLIED]


async def test_a_trusted_task_is_root_within_its_quota(runner: DockerRunner) -> None:
    look = "id -u; touch /made && echo made; ls /sys/class/net; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status"
    fork = "n=0; while [ $n -lt 40 ]; do sleep 3 & n=$((n + 1)); done; echo not bounded"
    result, forked = await at_once(
        runner, shell(look, profile="trusted"), shell(fork, profile="trusted", task_id="fork")
    )
    lines = log_of(result).decode().split()
    assert lines[:3] == ["0", "made", "lo"]
    assert dict(zip(lines[3::2], lines[4::2], strict=True)) == {
        "CapEff:": "00000000a80425fb", "NoNewPrivs:": "1", "Seccomp:": "2",
    }  # fmt: skip
    assert result.openings == ("profile: trusted", "disk: unlimited")
    assert b"not bounded" not in log_of(forked)


async def test_single_openings_open_nothing_else(runner: DockerRunner) -> None:
    status = "grep -E 'CapEff|CapBnd' /proc/self/status | cut -f 2; grep -c ' / overlay ro' /proc/mounts; id -u"
    capable, writable, other = await at_once(
        runner,
        shell(status, user="0:0", cap_add=["NET_RAW"], task_id="capable"),
        shell(status, read_only=False, task_id="writable"),
        shell(status, user="1234:5", task_id="other"),
    )
    assert log_of(capable).split() == [b"0000000000002000", b"0000000000002000", b"1", b"0"]
    assert log_of(writable).split() == [b"0000000000000000", b"0000000000000000", b"0", b"65534"]
    assert log_of(other).split() == [b"0000000000000000", b"0000000000000000", b"1", b"1234"]
    assert capable.openings == ("user: 0:0", "cap_add: NET_RAW")
    assert writable.openings == ("read_only: false", "disk: unlimited")
    assert other.openings == ("user: 1234:5",)


@pytest.mark.parametrize("left_out", ["PidsLimit", "MemorySwap", "CapDrop", "Tmpfs", "SecurityOpt", "Ulimits"])
async def test_what_an_engine_leaves_out_keeps_the_task_from_running(
    runner: DockerRunner, engine: APIClient, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    create = EngineCalls.create_or_find

    def careless(self: EngineCalls, name: str, body: dict[str, Any]) -> str:
        host = {key: value for key, value in body["HostConfig"].items() if key != left_out}
        return create(self, name, {**body, "HostConfig": host})

    monkeypatch.setattr(EngineCalls, "create_or_find", careless)
    options = sandbox("true", quota=QuotaConfig(memory="32m"))
    result = await runner.run(options)
    (found,) = engine.containers(all=True, filters={"label": f"io.dockersched.run={options.run_id}"})
    await runner.sweep(options.run_id)
    assert (result.reason, result.exit_code) == (Reason.QUOTA_NOT_APPLIED, None)
    assert result.detail.startswith(f"{left_out}: ")
    assert found["State"] == "created"


async def test_a_disk_quota_that_the_engine_cannot_enforce_is_refused(runner: DockerRunner, tmp_path: Path) -> None:
    assert not runner.engine.features.may_limit_disk, "this engine can: the test needs one that cannot"
    options = sandbox("true", profile="trusted", quota=QuotaConfig(disk="1g"))
    result = await run(runner, options)
    assert result.reason is Reason.REJECTED
    assert f"storage ({runner.engine.features.storage}) cannot enforce" in result.detail
    (line,) = refused(tmp_path, "tasks:\n  t: {run: echo, read_only: false, quota: {disk: 1g}}\n")
    assert line.startswith("e.yaml:3:50: task 't' wants a disk quota")


async def test_a_volume_of_an_image_is_bounded_and_not_on_the_disk(
    runner: DockerRunner, engine: APIClient, volume_image: str
) -> None:
    script = "head -c 40000000 /dev/zero > /data/x 2>/dev/null; wc -c < /data/x; grep -c ' /data tmpfs ' /proc/mounts"
    runner.images.pin({volume_image: (engine.inspect_image(volume_image)["Id"], "as on record")})
    bounded = shell(script, image=volume_image, quota=QuotaConfig(0.5, "32m", 16, disk="4m"), run_id="volume")
    trusted = shell("true", image=volume_image, profile="trusted", task_id="trusted", run_id="volume")
    results = await asyncio.gather(runner.run(bounded), runner.run(trusted))
    found = {
        container["Labels"]["io.dockersched.task"]: [mount["Destination"] for mount in container["Mounts"]]
        for container in engine.containers(all=True, filters={"label": "io.dockersched.run=volume"})
    }
    await runner.sweep("volume")
    assert log_of(results[0]).split() == [str(2**20).encode(), b"1"]
    assert results[1].openings == ("profile: trusted", "disk: unlimited")
    assert found == {"task": [], "trusted": ["/data"]}


async def test_a_tag_that_moves_while_an_epic_runs_changes_nothing(
    runner: DockerRunner, engine: APIClient, moving: str
) -> None:
    options = [sandbox("true", image=moving, task_id=name, run_id="retag") for name in ("first", "second")]
    assert await runner.prepare(options) == {}
    first = await runner.run(options[0])
    engine.tag("dockersched/python", "dockersched-tests/moving", "1")
    second = await runner.run(options[1])
    found = engine.containers(all=True, filters={"label": "io.dockersched.run=retag"})
    await runner.sweep("retag")
    assert first.image_digest == second.image_digest
    assert {container["ImageID"] for container in found} == {engine.inspect_image("dockersched/base")["Id"]}


async def test_mounts_are_seen_as_far_as_they_are_allowed(engine: APIClient, tmp_path: Path) -> None:
    del engine
    data, out = tmp_path / "shared" / "data", tmp_path / "shared" / "out"
    for folder in (data, out):
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    (data / "word").write_text("hello\n")
    (tmp_path / "shared" / "link").symlink_to("data")
    script = "cat /data/word; touch /data/x 2>/dev/null || echo kept; cp /data/word /out/copy"
    mounts = (Mount(str(tmp_path / "shared" / "link"), "/data"), Mount(str(out), "/out", read_only=False))
    settings: dict[str, Any] = {"logs_dir": tmp_path, "allow_mounts": [tmp_path / "shared"]}
    async with await DockerRunner.connect(**settings) as runner:
        result = await run(runner, shell(script, mounts=mounts))
        assert log_of(result) == b"hello\nkept\n"
        assert (out / "copy").read_text() == "hello\n"
        assert result.openings == (f"mounts: {data} at /data (read-only)", f"mounts: {out} at /out (writable)")
        # A link that is planted after the check at the beginning of a run is found before each start.
        assert runner.find_refusals([shell("true", mounts=mounts)]) == []
        (tmp_path / "shared" / "link").unlink()
        (tmp_path / "shared" / "link").symlink_to("/etc")
        planted = await run(runner, shell("cat /data/passwd", mounts=mounts))
    assert planted.reason is Reason.REJECTED
    assert "really /etc), which is, holds or lies in /etc" in planted.detail
    assert list(data.iterdir()) == [data / "word"]


def test_mounts_need_the_command_line(engine: APIClient, tmp_path: Path) -> None:
    del engine
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "word").write_text("hello\n")
    (tmp_path / "planted").symlink_to("/var/run/docker.sock")
    text = "tasks:\n  t:\n    run: cat /d/word\n    mounts: [{source: data, target: /d}]\n"
    (line,) = refused(tmp_path, text)
    assert line.startswith("e.yaml:5:23: task 't' mounts ")
    assert line.endswith("which is not allowed: start the run with --allow-mount and a folder above it")
    (line,) = refused(tmp_path, text.replace("data,", "planted,"), "--allow-mount", "/")
    assert "docker.sock), which is, holds or lies in " in line
    (line,) = refused(tmp_path, text, "--allow-mount", "absent")
    assert line == "dockersched: --allow-mount absent: is no folder"
    command = [sys.executable, "-m", "dockersched", "run", "../e.yaml", "--allow-mount", "../data", "--quiet"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "e.yaml").write_text(f"epic: lockdown\n{text}")
    done = subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"opened mounts: {os.path.realpath(tmp_path / 'data')} at /d (read-only): t\n" in done.stdout


def refused(tmp_path: Path, text: str, *arguments: str) -> list[str]:
    """What `dockersched run` says of an epic that it must refuse before it puts anything on record."""
    (tmp_path / "e.yaml").write_text(f"epic: lockdown\n{text}")
    command = [sys.executable, "-m", "dockersched", "run", "e.yaml", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.glob(".dockersched/runs/*"))
    return done.stderr.splitlines()


async def test_a_runtime_of_the_engine_is_used(runner: DockerRunner, engine: APIClient) -> None:
    options = sandbox("true", runtime="runc")
    result = await runner.run(options)
    (found,) = engine.containers(all=True, filters={"label": f"io.dockersched.run={options.run_id}"})
    assert engine.inspect_container(found["Id"])["HostConfig"]["Runtime"] == "runc"
    await runner.sweep(options.run_id)
    assert result.succeeded


async def test_a_runtime_that_the_engine_lacks_is_refused_and_never_replaced(
    runner: DockerRunner, engine: APIClient, tmp_path: Path
) -> None:
    options = sandbox("true", runtime="kata-none")
    result = await run(runner, options)
    assert (result.reason, result.exit_code) == (Reason.REJECTED, None)
    assert "wants the runtime 'kata-none', which the engine does not have (it has " in result.detail
    (line,) = refused(tmp_path, "tasks:\n  good: {run: echo}\n  t: {run: echo, runtime: kata-none}\n")
    assert line.startswith("e.yaml:4:27: task 't' wants the runtime 'kata-none'")
    assert engine.containers(all=True, filters={"label": "io.dockersched.epic=lockdown"}) == []
