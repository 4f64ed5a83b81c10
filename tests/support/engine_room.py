"""A closed room for one engine: namespaces, a folder and a cgroup of its own, of which nothing stays.

The room's first process is an init that ends when its standard input does: at `close`, and also when the test's own
process dies in any way. The kernel then kills every process of the room (daemon, shims, containers), and with the last
one goes the mount namespace with all its mounts, and the network namespace with its bridges.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec/docker")
_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_CLOSE_LIMIT_S = 20.0

# Shims keep their sockets in /run/containerd: the host's /run is neither seen nor touched in the room.
_ENTER = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc")
_FIRST = "mount -t tmpfs -o mode=755 engine-room /run && ip link set lo up && echo ready && exec cat >/dev/null"


def find_program(*names: str, folder: Path | None = None) -> str | None:
    """The first of some programs that is there: in a folder, on PATH, or where a minimal root's PATH does not look."""
    path = search_path(folder)
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def search_path(folder: Path | None = None) -> str:
    """A PATH that begins with a folder and ends with the folders of system programs."""
    first = [str(folder)] if folder else []
    return os.pathsep.join([*first, os.environ.get("PATH", os.defpath), *SBIN])


class EngineRoom:
    """Makes the room at once; `close` ends all that is in it. Needs Linux and root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dockersched-engine-"))
        self.cgroup = self.folder.name
        init = find_program("docker-init", "tini")
        self._holder = subprocess.Popen(
            [*_ENTER, str(init), "--", "sh", "-c", _FIRST],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": search_path()},
            start_new_session=True,
        )
        said = self._holder.stdout.readline() if self._holder.stdout else b""
        if said != b"ready\n":
            self._end_holder()
            self.folder.rmdir()
            raise RuntimeError(f"no room for an engine can be made here: {said.decode().strip()}")
        (self._first_pid,) = children(self._holder.pid)
        self._namespace = self._namespace_of(self._first_pid)

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command in the room; it becomes a child of `nsenter`, which waits for it."""
        return ["nsenter", f"--target={self._first_pid}", "--net", "--mount", "--pid", "--", *command]

    def on_network(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command outside, but on the room's network and its loopback."""
        return ["nsenter", f"--target={self._first_pid}", "--net", "--", *command]

    def processes(self) -> dict[int, str]:
        """Pids, as seen from outside, and names of the processes in the room; those in containers are left out."""
        found = {}
        for folder in _PROC.iterdir():
            if folder.name.isdecimal() and self._namespace_of(int(folder.name)) == self._namespace:
                name, state = _name_and_state(folder)
                if state not in {"", "Z"}:
                    found[int(folder.name)] = name
        return found

    def close(self) -> None:
        """Ends everything in the room and removes its folder and cgroups.

        Raises:
            RuntimeError: something is left.
        """
        deadline = time.monotonic() + _CLOSE_LIMIT_S
        self._thaw()
        self._end_holder()
        while left := [*self.processes().values(), *map(str, self._remove_cgroups())]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"an engine for tests left something behind: {left}")
            time.sleep(0.02)
        shutil.rmtree(self.folder)

    def _end_holder(self) -> None:
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe:
                pipe.close()
        try:
            # It ends when the kernel has ended all other processes of the room.
            self._holder.wait(_CLOSE_LIMIT_S / 2)
        except subprocess.TimeoutExpired:
            os.kill(self._first_pid, signal.SIGKILL)
            self._holder.wait(_CLOSE_LIMIT_S / 2)

    def _cgroup_folders(self) -> list[Path]:
        found = [root / self.cgroup for root in (_CGROUPS, *_CGROUPS.iterdir())]
        return [folder for folder in found if folder.is_dir()]

    def _thaw(self) -> None:
        """A frozen process cannot be killed (cgroup v1)."""
        for state in (path for folder in self._cgroup_folders() for path in folder.rglob("freezer.state")):
            state.write_text("THAWED")

    def _remove_cgroups(self) -> list[Path]:
        """Removes the cgroups of containers that are gone; gives those that are still in use."""
        busy = []
        for top in self._cgroup_folders():
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError as error:
                    if error.errno != errno.EBUSY:
                        raise
                    busy.append(Path(folder))
        return busy

    @staticmethod
    def _namespace_of(pid: int) -> int | None:
        try:
            return (_PROC / str(pid) / "ns" / "pid").stat().st_ino
        except OSError:  # it has ended
            return None


def children(pid: int) -> list[int]:
    """The processes that a single-threaded process has started."""
    return [int(child) for child in (_PROC / f"{pid}/task/{pid}/children").read_text("ascii").split()]


def _name_and_state(folder: Path) -> tuple[str, str]:
    try:
        name, _, rest = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
    except OSError:
        return "", ""
    return name.partition("(")[2], rest.split()[0]
