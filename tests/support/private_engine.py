"""An engine that the test owns and may kill: a dockerd beside the machine's own, out of whose way it stays."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from docker.api import APIClient

from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker.connection import EngineEndpoint, make_client, resolve_endpoint
from dockersched.sandbox.docker.dial import fetch_version
from tests.support.engine_room import EngineRoom, children, find_program, search_path

FOLDER_VARIABLE = "DOCKERSCHED_TEST_ENGINE_FOLDER"
"""Names the folder of the engine's programs for tests that name none."""

API_VERSION = "1.41"
_PROGRAMS = ("unshare", "nsenter", "mount", "ip", "dockerd", "containerd", "runc")
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 60.0
_CONTAINERD_LIMIT_S = 5.0


def why_no_private_engine() -> str:
    """Why this machine can run no engine for a test, and the remedy; empty when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "an engine for tests needs Linux and root"
    missing = [name for name in _PROGRAMS if not find_program(name, folder=_default_folder())]
    if not find_program("docker-init", "tini"):
        missing.append("docker-init or tini")
    return f"an engine for tests needs {', '.join(missing)}" if missing else ""


class PrivateEngine:
    """A dockerd of one test, with its containerd and its containers in a room of their own.

    Used as a context manager: entered, it answers; left, nothing of it is there any more, however it was treated.
    In between `terminate` and `kill` end the daemon as a restart and as a crash do, and `start` starts the next one on
    the same data. Pids that the engine reports (`State.Pid`) are those of the room, not the machine's.

    The daemon manages a containerd of its own, as it does where no service manager runs one. That one is started so
    that the kernel kills it with its dockerd: after `kill` neither is there, and only shims and containers live on.

    Args:
        dockerd: folder of the engine's programs; None for `DOCKERSCHED_TEST_ENGINE_FOLDER`, else the system's. What is
            not in it (runc, say) is the system's.
        live_restore: containers outlive the daemon.
        data_root: where the engine keeps its data; None for a folder that goes with it.
        bridge: containers can have a network, without a way out of the room; else only `none`.
        flags: more of dockerd's.
    """

    def __init__(
        self,
        *,
        dockerd: Path | None = None,
        live_restore: bool = False,
        data_root: Path | None = None,
        bridge: bool = False,
        flags: Sequence[str] = (),
    ) -> None:
        programs = dockerd or _default_folder()
        self._programs = programs.absolute() if programs else None
        self.live_restore = live_restore
        self._given_data_root = data_root
        self._flags = [
            *(["--live-restore"] if live_restore else []),
            *([] if bridge else ["--bridge=none"]),
            *flags,
        ]
        self._room: EngineRoom | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if reason := why_no_private_engine():
            raise RuntimeError(reason)  # a test that is not run shows nothing
        self._room = EngineRoom()
        try:
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def room(self) -> EngineRoom:
        """Where the engine lives."""
        assert self._room is not None, "the engine is not entered"
        return self._room

    @property
    def socket(self) -> Path:
        """The engine's socket; it stays, dead, when the daemon is killed."""
        return self.room.folder / "docker.sock"

    @property
    def url(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def endpoint(self) -> EngineEndpoint:
        return EngineEndpoint(self.url, None, "a test's own engine")

    @property
    def log(self) -> Path:
        """What all its daemons wrote."""
        return self.room.folder / "dockerd.log"

    @property
    def pid(self) -> int:
        """The daemon's pid, as seen from outside the room."""
        assert self._process is not None, "the daemon does not run"
        (pid,) = children(self._process.pid)
        return pid

    def client(self, timeout: float = 60) -> APIClient:
        """An SDK client, to be closed by the caller (it is a context manager); it need not be answered yet."""
        return make_client(self.endpoint, version=API_VERSION, timeout=timeout)

    def environ(self) -> dict[str, str]:
        """This process's environment, for a program that is to use this engine."""
        mine = {"DOCKER_HOST": self.url}
        if self._programs:
            mine[FOLDER_VARIABLE] = str(self._programs)
        return {**_without_docker(os.environ), **mine}

    def start(self) -> None:
        """Starts a daemon over what the one before left; returns when it answers.

        Raises:
            RuntimeError: it does not; the message ends with its log.
        """
        self.launch()
        assert self._process is not None
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                fetch_version(self.endpoint, timeout=_START_LIMIT_S)
            except EngineUnavailableError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the engine does not start:\n{self._log_tail()}") from error
                time.sleep(0.02)
            else:
                return

    def launch(self) -> None:
        """Starts a daemon as `start` does, but does not wait until it answers."""
        assert self._process is None, "the daemon runs"
        # Its number may belong to another process by now, and then dockerd refuses to start.
        self._pid_file.unlink(missing_ok=True)
        (self.room.folder / "daemon.json").write_text("{}")
        program = find_program("dockerd", folder=self._programs)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.room.inside([str(program), *self._all_flags()]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**_without_docker(os.environ), "PATH": search_path(self._programs)},
                start_new_session=True,
            )
        while self._process.poll() is None and not children(self._process.pid):
            time.sleep(0.001)

    def terminate(self) -> int:
        """Ends the daemon as a service manager does (SIGTERM), and waits; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the daemon as a crash does (SIGKILL), and waits until the kernel has ended its containerd too."""
        self._end(signal.SIGKILL)
        deadline = time.monotonic() + _CONTAINERD_LIMIT_S
        while "containerd" in self.room.processes().values():
            if time.monotonic() > deadline:
                raise RuntimeError("containerd outlived its dockerd")
            time.sleep(0.01)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the daemon and does not wait; `wait` must follow if it ends it."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Waits for the daemon's end; returns its exit code, negative for a signal."""
        assert self._process is not None, "the daemon does not run"
        code = self._process.wait(_STOP_LIMIT_S)
        self._process = None
        return code

    def load_image(self, name: str = "dockersched/base:latest", source: EngineEndpoint | None = None) -> None:
        """Copies an image from the engine that the environment names, or another, without a file between."""
        origin = make_client(source or resolve_endpoint(), version=API_VERSION, timeout=60)
        with origin, self.client() as client:
            for _ in client.load_image(origin.get_image(name)):
                pass

    def _end(self, number: signal.Signals) -> int:
        self.send_signal(number)
        return self.wait()

    @property
    def _pid_file(self) -> Path:
        return self.room.folder / "docker.pid"

    def _all_flags(self) -> list[str]:
        folder = self.room.folder
        init = find_program("docker-init", "tini", folder=self._programs)
        return [
            f"--host={self.url}",
            f"--config-file={folder / 'daemon.json'}",  # not the machine's
            f"--data-root={self._given_data_root or folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={self._pid_file}",
            f"--init-path={init}",
            f"--cgroup-parent=/{self.room.cgroup}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--iptables=false",
            *self._flags,
        ]

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-15:])

    def _close(self) -> None:
        room, self._room = self.room, None
        room.close()
        if self._process is not None:
            self._process.wait(_STOP_LIMIT_S)
            self._process = None


@contextmanager
def tmpfs_data_root(size_mb: int) -> Iterator[Path]:
    """A folder on a small disk of its own, for an engine to fill; `resize_tmpfs` gives it room again."""
    folder = Path(tempfile.mkdtemp(prefix="dockersched-disk-"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=711", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()


def resize_tmpfs(folder: Path, size_mb: int) -> None:
    """Changes the size of a disk that `tmpfs_data_root` made, while it is in use."""
    subprocess.run(["mount", "-o", f"remount,size={size_mb}m", folder], check=True)


def fill_disk(folder: Path) -> Path:
    """Fills the disk below a folder to the last byte; gives the file that does, to be removed for room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as target:
        try:
            while target.write(bytes(4096)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return filler


def _default_folder() -> Path | None:
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def _without_docker(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment that names no engine."""
    return {name: value for name, value in environ.items() if not name.startswith("DOCKER_")}
