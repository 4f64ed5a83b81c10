"""The volumes of sandboxes: in memory only, filled before the start, and gone with the sandbox."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import DockerRunner, ids
from dockersched.errors import EngineRefusedError, RunnerError
from dockersched.sandbox.docker import leftovers, translate
from dockersched.sandbox.docker.calls import ArchiveTooLargeError, EngineCalls
from dockersched.sandbox.docker.volumes import HeldVolumes, TmpfsVolume, VolumeLostError
from tests.support.sandboxes import shell

SIZE_BYTES = 2**20


@pytest.fixture
async def held(runner: DockerRunner, engine: APIClient) -> AsyncIterator[HeldVolumes]:
    image = await runner.images.resolve("dockersched/base", "missing")
    options = shell("true")
    name = ids.container_name(options.epic_id, options.run_id, options.task_id, 1) + "-box"
    volume = TmpfsVolume(name, "/box", SIZE_BYTES, 100, owner=(1234, 4321), mode=0o750)
    yield HeldVolumes([volume], translate.labels(options), image.image_id)
    for container in engine.containers(all=True, filters={"name": name.removesuffix("-box")}):
        engine.remove_container(container["Id"], force=True)
    for left in {name} & volumes(engine):
        engine.remove_volume(left)


def volumes(engine: APIClient) -> set[str]:
    return {str(volume["Name"]) for volume in engine.volumes()["Volumes"] or ()}


def archive(**contents: bytes) -> list[bytes]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.mode = len(content), 1234, 0o400
            tar.addfile(member, io.BytesIO(content))
    return [packed.getvalue()]


def shown_by(engine: APIClient, held: HeldVolumes, script: str) -> str:
    """What a script prints that runs with the volume mounted read-only."""
    body = {
        "Image": held.holder_image,
        "Entrypoint": ["sh", "-c", script],
        "User": "1234",
        "HostConfig": {"Mounts": [held.volumes[0].mount(read_only=True)], "NetworkMode": "none"},
    }
    container = engine.create_container_from_config(body, held.volumes[0].name.removesuffix("-box"))["Id"]
    engine.start(container)
    engine.wait(container)
    return str(engine.logs(container).decode())


async def test_what_is_put_in_is_seen_by_the_sandbox_and_is_on_no_disk(
    runner: DockerRunner, engine: APIClient, held: HeldVolumes
) -> None:
    call = runner.engine.pool.call
    await call(held.open)
    await call(held.open)  # as after a crash: what is there is taken over
    await call(lambda calls: held.put(calls, "/box", lambda: archive(key=b"value")))
    await call(lambda calls: held.put(calls, "/box", lambda: archive(key=b"value")))
    shown = shown_by(
        engine, held, "exec 2>&1; cat /box/key; stat -c ' %u:%a' /box/key; stat -c %u:%g:%a /box; touch /box/x"
    )
    assert shown.startswith("value 1234:400\n1234:4321:750\n")
    assert "Read-only file system" in shown
    await call(held.release)
    folder = Path(engine.inspect_volume(held.volumes[0].name)["Mountpoint"])
    assert list(folder.iterdir()) == []
    engine.remove_container(held.volumes[0].name.removesuffix("-box"))
    await call(held.remove)
    await call(held.remove)
    assert held.volumes[0].name not in volumes(engine)


async def test_the_size_of_a_volume_is_a_limit(runner: DockerRunner, held: HeldVolumes) -> None:
    await runner.engine.pool.call(held.open)
    with pytest.raises(ArchiveTooLargeError, match="no room"):
        await runner.engine.pool.call(lambda calls: held.put(calls, "/box", lambda: archive(big=bytes(SIZE_BYTES + 1))))


async def test_content_that_was_lost_is_an_error_and_a_volume_opened_anew_can_be_filled_anew(
    runner: DockerRunner, engine: APIClient, held: HeldVolumes
) -> None:
    call = runner.engine.pool.call
    await call(held.open)
    await call(lambda calls: held.put(calls, "/box", lambda: archive(key=b"value")))
    engine.kill(held.volumes[0].name)
    with pytest.raises(VolumeLostError, match="was lost"):
        await call(held.check_held)
    await call(held.open)
    await call(held.check_held)
    assert shown_by(engine, held, "ls /box; echo empty") == "empty\n"


async def test_a_volume_that_is_not_ours_is_not_touched(
    runner: DockerRunner, engine: APIClient, held: HeldVolumes
) -> None:
    engine.create_volume(held.volumes[0].name)
    with pytest.raises(RunnerError, match="not ours"):
        await runner.engine.pool.call(held.open)
    await runner.engine.pool.call(held.remove)
    assert held.volumes[0].name in volumes(engine)


async def test_sweep_removes_volumes_and_holders_and_nothing_of_others(
    runner: DockerRunner, engine: APIClient, held: HeldVolumes
) -> None:
    run_id = held.labels[translate.LABEL_RUN]
    foreign = f"foreign-{run_id}"
    engine.create_volume(foreign, labels=dict(held.labels))
    try:
        await runner.engine.pool.call(held.open)
        label = f"{translate.LABEL_RUN}={run_id}"
        found = (await leftovers.find(runner.engine.pool, label))[run_id]
        assert found.things == [f"container {held.volumes[0].name}", f"volume {held.volumes[0].name}"]
        assert await runner.sweep(run_id) == []
        assert await leftovers.find(runner.engine.pool, label) == {}
        assert foreign in volumes(engine)
    finally:
        engine.remove_volume(foreign)


async def test_what_cannot_be_removed_is_told(runner: DockerRunner, engine: APIClient, held: HeldVolumes) -> None:
    await runner.engine.pool.call(held.open)
    only_the_volume = leftovers.Leftovers(volumes=[held.volumes[0].name])
    assert await leftovers.remove(runner.engine.pool, only_the_volume) == [f"volume {held.volumes[0].name}"]


async def test_a_holder_whose_start_was_taken_down_is_made_anew(
    runner: DockerRunner, held: HeldVolumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refusals = EngineCalls.start, [EngineRefusedError(500, "cannot start a stopped process: unknown")]

    def spoiled(calls: EngineCalls, container: str) -> None:
        if refusals:
            raise refusals.pop()
        start(calls, container)

    monkeypatch.setattr(EngineCalls, "start", spoiled)
    await runner.engine.pool.call(held.open)
    await runner.engine.pool.call(held.check_held)
    assert refusals == []
