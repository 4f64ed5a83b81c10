"""Starts the local Docker daemon, with or without systemd, over what a dead one left behind."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker.dial import fetch_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockersched.sandbox.docker.connection import EngineEndpoint
    from dockersched.sandbox.docker.dial import EngineVersion

START_TIMEOUT_S = 60.0
LOG_LINES_SHOWN = 10
_TELLING = re.compile(r"^panic: |level=(error|fatal)|^failed to|^unable to")
_PROC = Path("/proc")
_SYSTEMD_RUNS = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True)
class DaemonPaths:
    """The files of a daemon; the defaults are dockerd's own, except the log's."""

    pid_file: Path = Path("/var/run/docker.pid")
    socket: Path = Path("/var/run/docker.sock")
    containerd: Path = Path("/var/run/docker/containerd")
    log: Path = Path("/var/log/dockerd.log")
    flags: tuple[str, ...] = ()


def find_dockerd() -> str | None:
    """Path of the daemon's program; a minimal root's PATH often lacks sbin."""
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")


def is_running(paths: DaemonPaths) -> bool:
    """Whether the daemon that wrote the pid file is alive."""
    return paths.pid_file.exists() and not is_stale_pid_file(paths.pid_file, "dockerd")


def is_stale_pid_file(pid_file: Path, program: str, proc: Path = _PROC) -> bool:
    """Whether a pid file names no live process of that program; the number may have been given to another."""
    try:
        pid = int(pid_file.read_text("ascii"))
        name, _, rest = (proc / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")
    except (OSError, ValueError):
        return True
    # A zombie still has its name; in a container nobody may ever reap it.
    return name.partition("(")[2] != program or rest.split()[0] == "Z"


def is_dead_socket(path: Path) -> bool:
    """Whether a unix socket exists on which nobody listens."""
    return path.is_socket() and _connect(path) == errno.ECONNREFUSED


def is_listening(path: Path) -> bool:
    """Whether somebody listens on a unix socket, though it may be long before an answer comes."""
    return path.is_socket() and _connect(path) in {0, errno.EAGAIN}  # EAGAIN: so many wait there that none is let in


def _connect(path: Path) -> int:
    """Connects to a unix socket; the error number, 0 for success."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path))


def remove_stale_files(paths: DaemonPaths, say: Callable[[str], None]) -> None:
    """Remove the pid files and sockets of a daemon that is gone: with them the next one would not start."""
    pid_files = ((paths.pid_file, "dockerd"), (paths.containerd / "containerd.pid", "containerd"))
    stale = [path for path, program in pid_files if path.exists() and is_stale_pid_file(path, program)]
    sockets = [paths.socket, *sorted(paths.containerd.glob("*.sock*"))]
    stale += [path for path in sockets if is_dead_socket(path)]
    for path in stale:
        say(f"removing {path}, left by a daemon that is gone")
        path.unlink(missing_ok=True)


def start(paths: DaemonPaths, say: Callable[[str], None]) -> subprocess.Popen[bytes] | None:
    """Start the daemon unless it runs (a package's installation may start it); returns before it is ready.

    Returns:
        The daemon's process, if it is a child of this one.

    Raises:
        EngineUnavailableError: it cannot be started at all.
    """
    if is_running(paths):
        return None
    remove_stale_files(paths, say)
    if _SYSTEMD_RUNS.is_dir():
        say("starting the daemon: systemctl start docker")
        done = subprocess.run(["systemctl", "start", "docker"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineUnavailableError(f"systemctl start docker failed: {done.stderr.strip()}")
        return None
    program = find_dockerd()
    if program is None:
        raise EngineUnavailableError("dockerd is not installed. Install the package docker.io.")
    say(f"starting the daemon: {program} (log: {paths.log})")
    with paths.log.open("ab") as log:
        # Its own session: neither Ctrl-C nor the end of this terminal reaches it.
        return subprocess.Popen(
            [program, *paths.flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )


def wait_until_ready(
    paths: DaemonPaths,
    endpoint: EngineEndpoint,
    process: subprocess.Popen[bytes] | None,
    *,
    timeout_s: float = START_TIMEOUT_S,
) -> EngineVersion:
    """Wait until the daemon answers.

    Args:
        paths: its files.
        endpoint: where it will answer.
        process: as `start` returned it; when it ends and no other daemon runs, waiting is pointless.
        timeout_s: seconds to wait at most.

    Raises:
        EngineUnavailableError: it did not answer; the message ends with the last lines of its log.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return fetch_version(endpoint, timeout=5.0)
        except EngineUnavailableError as error:
            ended = process is not None and process.poll() is not None and not is_running(paths)
            if ended or time.monotonic() >= deadline:
                how = "ended at once" if ended else f"did not answer within {timeout_s:.0f} s"
                raise EngineUnavailableError(
                    f"{error}\nThe daemon {how}; the end of {paths.log}:\n{_log_tail(paths.log)}"
                ) from error
        time.sleep(0.2)


def _log_tail(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace").splitlines()[-200:]
    except OSError as error:
        return f"(no log: {error})"
    # A panic's stack and containerd's chatter bury the line that tells the cause.
    telling = [line for line in lines if _TELLING.search(line)]
    return "\n".join((telling or lines)[-LOG_LINES_SHOWN:])
