"""What a sandbox is from inside, and what is known of it outside."""

import asyncio
import io
import json
import logging
import signal
import struct
import tarfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient
from msgspec.structs import replace

from dockersched import DockerRunner, EpicExecutionOptions, ParallelTaskScheduler, QuotaConfig, ScheduledTask, ids
from dockersched.errors import PermanentRunnerError
from dockersched.sandbox.docker.defaults import SandboxDefaults
from tests.support.sandboxes import log_of, run, sandbox, shell

# ELF for the 80386, with one segment: mov ebx, 7; mov eax, 1 (exit); int 0x80. Format: elf(5).
PROGRAM_OF_32_BIT = (
    b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    + struct.pack("<8I", 1, 0, 0x8048000, 0x8048000, 96, 96, 5, 4096)
    + bytes.fromhex("bb07000000b801000000cd80")
)


@pytest.fixture
def image_of_32_bit(engine: APIClient) -> Iterator[str]:
    """An image that says so, as `docker save` would write it: an engine's import may not keep what it is told."""
    name = "dockersched-test/32-bit:latest"
    layer = _archive({"program": PROGRAM_OF_32_BIT})
    content = {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]}
    config = json.dumps({"architecture": "386", "os": "linux", "config": {}, "rootfs": content}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    engine.load_image(_archive({"manifest.json": manifest, "config.json": config, "layer.tar": layer}))
    yield name
    engine.remove_image(name, force=True)


def _archive(files: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()


async def test_only_the_loopback_is_there(runner: DockerRunner) -> None:
    assert log_of(await run(runner, shell("ls /sys/class/net"))) == b"lo\n"


async def test_bridge_is_an_opening_by_key(runner: DockerRunner) -> None:
    assert b"eth0" in log_of(await run(runner, shell("ls /sys/class/net", network="bridge")))


async def test_there_is_no_second_way_to_make_a_call(runner: DockerRunner) -> None:
    by_x32 = "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39); print('made')"
    result = await run(runner, sandbox("python3", "-c", by_x32, image="dockersched/python"))
    assert result.exit_code == 128 + signal.SIGSYS


async def test_there_is_no_way_of_32_bit_programs_either_but_for_a_trusted_task(runner: DockerRunner) -> None:
    by_interrupt = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
print("made" if call() > 0 else "refused")
"""
    task = sandbox("python3", "-c", by_interrupt, image="dockersched/python")
    assert (await run(runner, task)).exit_code == 128 + signal.SIGSYS
    assert log_of(await run(runner, replace(task, profile="trusted"))) == b"made\n"


async def test_an_image_of_32_bit_programs_can_be_used(runner: DockerRunner, image_of_32_bit: str) -> None:
    assert (await run(runner, sandbox("/program", image=image_of_32_bit))).exit_code == 7


async def test_the_process_has_no_privileges(runner: DockerRunner) -> None:
    status = log_of(await run(runner, shell("id -u; id -g; cat /proc/self/status"))).decode()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert status.startswith("65534\n65534\n")
    assert (fields["CapEff"].strip("0"), fields["CapBnd"].strip("0")) == ("", "")
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


async def test_only_home_and_tmp_can_be_written(runner: DockerRunner) -> None:
    script = "for d in / /etc /bin /tmp $HOME; do touch $d/x 2>/dev/null && echo $d; done"
    assert log_of(await run(runner, shell(script))) == b"/tmp\n/home/sandbox\n"


async def test_arguments_are_never_seen_by_a_shell(runner: DockerRunner) -> None:
    result = await run(runner, sandbox("printf", "%s|", "$HOME", "a b", "; rm -rf /", "é"))
    assert log_of(result).decode() == "$HOME|a b|; rm -rf /|é|"


async def test_environment_and_working_dir(runner: DockerRunner) -> None:
    result = await run(runner, shell("pwd; echo $A", environment={"A": "x=y z"}, working_dir="/tmp"))
    assert log_of(result) == b"/tmp\nx=y z\n"


async def test_output_is_kept_binary_exact(runner: DockerRunner) -> None:
    script = (
        "for i in 0 1 2 3 4 5 6 7 8 9; do printf '\\000\\377\\r\\n\\033[31m%s\\200' $i; done; head -c 50000 /dev/zero"
    )
    expected = b"".join(b"\x00\xff\r\n\x1b[31m%d\x80" % number for number in range(10)) + bytes(50_000)
    result = await run(runner, shell(script))
    assert log_of(result) == expected
    assert result.log is not None
    assert (result.log.size_bytes, result.log.truncated, result.log.complete) == (len(expected), False, True)


async def test_a_flood_of_output_is_bounded_and_said_to_be(engine: APIClient, tmp_path: Path) -> None:
    del engine
    limit = 2**20
    async with await DockerRunner.connect(
        logs_dir=tmp_path, defaults=SandboxDefaults(quota=QuotaConfig(log=limit))
    ) as runner:
        result = await run(runner, shell("yes | head -c 6000000; echo the end", timeout_s=60))
    assert result.log is not None
    assert result.log.truncated
    assert result.log.size_bytes <= 1.5 * limit
    assert log_of(result).endswith(b"the end\n")


async def test_output_is_shown_once_and_while_the_task_runs(engine: APIClient, tmp_path: Path) -> None:
    del engine
    shown: list[bytes] = []
    first_seen = asyncio.Event()

    def on_output(task_id: str, data: bytes) -> None:
        assert task_id == "task"
        shown.append(data)
        first_seen.set()

    async with await DockerRunner.connect(logs_dir=tmp_path, on_output=on_output) as runner:
        options = shell(
            "echo one; while [ ! -e /tmp/go ]; do sleep 0.1; [ $((n=n+1)) -gt 20 ] && break; done; echo two"
        )
        call = asyncio.create_task(run(runner, options))
        await asyncio.wait_for(first_seen.wait(), 20)
        assert not call.done()
        result = await call
    assert b"".join(shown) == log_of(result) == b"one\ntwo\n"


async def test_labels_and_name_tell_the_identity(runner: DockerRunner, engine: APIClient) -> None:
    options = sandbox("true", task_id="weird é/..")
    await runner.run(options)
    (found,) = engine.containers(all=True, filters={"label": f"io.dockersched.run={options.run_id}"})
    await runner.sweep(options.run_id)
    del found["Labels"]["io.dockersched.content"]  # the image's own
    assert found["Labels"] == {
        "io.dockersched.epic": "engine-tests",
        "io.dockersched.run": options.run_id,
        "io.dockersched.task": "weird é/..",
        "io.dockersched.attempt": "1",
        "io.dockersched.sandbox": options.sandbox_id,
    }
    assert found["Names"] == [f"/{ids.container_name('engine-tests', options.run_id, 'weird é/..', 1)}"]


async def test_a_foreign_container_with_the_name_is_never_touched(runner: DockerRunner, engine: APIClient) -> None:
    options = sandbox("true")
    name = ids.container_name(options.epic_id, options.run_id, options.task_id, 1)
    labels = {"io.dockersched.run": "another"}
    foreign = engine.create_container("dockersched/base", ["true"], name=name, labels=labels)["Id"]
    try:
        with pytest.raises(PermanentRunnerError, match="not ours"):
            await runner.run(options)
        runner.discard(options)
        await runner.remove(options)
        await runner.sweep(options.run_id)
        assert engine.inspect_container(foreign)["State"]["Status"] == "created"
    finally:
        engine.remove_container(foreign)


async def test_discard_removes_the_container(runner: DockerRunner, engine: APIClient) -> None:
    options = sandbox("true")
    await runner.run(options)
    runner.discard(options)
    await runner.aclose()
    assert engine.containers(all=True, filters={"label": f"io.dockersched.run={options.run_id}"}) == []


async def test_one_image_is_resolved_once_for_many_sandboxes(
    runner: DockerRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    from dockersched.sandbox.docker import images  # noqa: PLC0415

    original = images._obtain

    def counted(*args: Any, **named: Any) -> Any:
        calls.append(named["reference"])
        return original(*args, **named)

    monkeypatch.setattr(images, "_obtain", counted)
    unavailable = await runner.prepare(
        [sandbox("true", task_id=str(number)) for number in range(20)]
        + [sandbox("true", task_id="gone", image="dockersched-tests/none", pull_policy="never")]
    )
    assert list(unavailable) == ["gone"]
    assert sorted(calls) == ["dockersched-tests/none", "dockersched/base"]


async def test_the_event_loop_is_never_blocked(runner: DockerRunner, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    # Loading the SDK and resolving the image is not what this looks at.
    await run(runner, sandbox("true"))
    loop.set_debug(True)
    loop.slow_callback_duration = 0.1
    slow: list[list[str]] = []
    # A busy machine takes the loop's thread its time now and then; a call that blocks takes it in every round.
    while len(slow) < 8 and [] not in slow:
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="asyncio"):
            tasks = [ScheduledTask(str(number), [], "echo", ["x" * 1000], SMALL_QUOTA) for number in range(8)]
            result = await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(max_parallel=4))
            await runner.sweep(result.run_id)
        slow.append([record.getMessage() for record in caplog.records if "took" in record.getMessage()])
    assert [] in slow, slow


SMALL_QUOTA = QuotaConfig(cpus=0.5, memory="16m", pids=16)


async def test_five_layers_with_real_containers_respect_order_and_limit(runner: DockerRunner) -> None:
    tasks = [ScheduledTask(f"a{number}", [], "sleep", ["0.3"], SMALL_QUOTA) for number in range(5)]
    tasks.append(ScheduledTask("join", [task.id for task in tasks], "true", quota=SMALL_QUOTA))
    result = await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(max_parallel=2))
    await runner.sweep(result.run_id)
    spans = {
        name: (found.sandbox.started_at, found.sandbox.finished_at)
        for name, found in result.tasks.items()
        if found.sandbox and found.sandbox.started_at and found.sandbox.finished_at
    }
    assert len(spans) == 6
    overlaps = [sum(other[0] <= start < other[1] for other in spans.values()) for start, _ in spans.values()]
    assert max(overlaps) == 2
    assert spans["join"][0] >= max(end for name, (_, end) in spans.items() if name != "join")
