"""The engine that fault tests own does what they rely on: it dies and comes back as a real one, and leaves nothing."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient
from docker.errors import APIError

from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker.dial import fetch_version
from tests.support.bench import until
from tests.support.private_engine import PrivateEngine, fill_disk, resize_tmpfs, tmpfs_data_root

pytestmark = pytest.mark.usefixtures("engine")
ROOT = Path(__file__).parents[2]

TERMINATE_OR_KILL = pytest.mark.parametrize(
    "end", [PrivateEngine.terminate, PrivateEngine.kill], ids=["terminate", "kill"]
)


@pytest.fixture(autouse=True)
def bridges_stay() -> Iterator[None]:
    """A daemon without a bridge removes `docker0`, were it in the same network."""
    before = [name for _, name in socket.if_nameindex() if name == "docker0"]
    yield
    assert [name for _, name in socket.if_nameindex() if name == "docker0"] == before


def run(client: APIClient, script: str) -> str:
    """Starts a container; gives its id."""
    host = client.create_host_config(network_mode="none", init=True)
    container: str = client.create_container("dockersched/base", ["-c", script], entrypoint="sh", host_config=host)[
        "Id"
    ]
    client.start(container)
    return container


def state(client: APIClient, container: str) -> dict[str, Any]:
    found: dict[str, Any] = client.inspect_container(container)["State"]
    return found


@TERMINATE_OR_KILL
def test_what_is_on_disk_outlives_the_daemon(end: Callable[[PrivateEngine], object]) -> None:
    with PrivateEngine() as engine, engine.client() as client:
        engine.load_image()
        container = run(client, "echo said; exit 3")
        assert client.wait(container)["StatusCode"] == 3
        # An engine can answer a moment before it has written that down.
        on_disk = engine.room.folder / "data" / "containers" / container / "config.v2.json"
        until(lambda: json.loads(on_disk.read_text())["State"]["ExitCode"] == 3)

        end(engine)
        with pytest.raises(EngineUnavailableError):
            fetch_version(engine.endpoint, timeout=5)
        engine.start()

        assert (state(client, container)["ExitCode"], client.logs(container)) == (3, b"said\n")
        client.start(container)
        assert client.wait(container)["StatusCode"] == 3


@TERMINATE_OR_KILL
def test_without_live_restore_a_restart_ends_what_runs(end: Callable[[PrivateEngine], object]) -> None:
    with PrivateEngine() as engine, engine.client() as client:
        engine.load_image()
        container = run(client, "exec sleep 600")

        end(engine)
        engine.start()

        assert (state(client, container)["Status"], state(client, container)["ExitCode"]) == ("exited", 143)


@TERMINATE_OR_KILL
def test_with_live_restore_what_runs_runs_on(end: Callable[[PrivateEngine], object]) -> None:
    with PrivateEngine(live_restore=True) as engine, engine.client() as client:
        engine.load_image()
        container = run(client, "exec sleep 600")
        before = state(client, container)

        end(engine)
        assert sorted(engine.room.processes().values()) == ["cat", "containerd-shim", "docker-init"]
        engine.start()

        assert before["Status"] == "running"
        assert state(client, container) == before
        client.kill(container)
        assert client.wait(container)["StatusCode"] == 137


def test_nothing_is_left_of_it_even_when_a_container_is_frozen() -> None:
    with PrivateEngine(bridge=True) as engine, engine.client() as client:
        engine.load_image()
        client.pause(run(client, "exec sleep 600"))
        room, pid = engine.room, engine.pid
        cgroups = list(Path("/sys/fs/cgroup").glob(f"**/{room.cgroup}"))

    assert cgroups != []
    assert [path for path in (*cgroups, room.folder, Path(f"/proc/{pid}")) if path.exists()] == []
    assert room.processes() == {}
    assert str(room.folder) not in Path("/proc/self/mountinfo").read_text()


def test_it_dies_with_the_process_that_owns_it() -> None:
    script = (
        "import os, signal; from tests.support.private_engine import PrivateEngine\n"
        "with PrivateEngine() as engine:\n"
        "    print(engine.pid, engine.room.folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    owner = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    pid, folder = owner.stdout.split()
    try:
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, "the daemon lives on"
            time.sleep(0.02)
        assert owner.returncode == -signal.SIGKILL
    finally:
        shutil.rmtree(folder)


def test_a_full_disk_can_be_given_room() -> None:
    with tmpfs_data_root(64) as disk, PrivateEngine(data_root=disk) as engine, engine.client() as client:
        engine.load_image()
        fill_disk(disk)

        with pytest.raises(APIError, match="no space left on device"):
            run(client, "true")
        resize_tmpfs(disk, 128)

        assert client.wait(run(client, "true"))["StatusCode"] == 0
    assert not disk.exists()


def test_a_daemon_that_cannot_start_is_reported_with_its_log() -> None:
    with (
        pytest.raises(RuntimeError, match=r"does not start(.|\n)*--no-such-flag"),
        PrivateEngine(flags=["--no-such-flag"]),
    ):
        pass
