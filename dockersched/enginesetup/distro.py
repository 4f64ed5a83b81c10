"""What this machine is, and what a person can do here to get an engine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dockersched.errors import EngineUnavailableError


@dataclass(frozen=True, slots=True)
class Host:
    """The facts that decide what can be set up here; `system` is `sys.platform`."""

    system: str
    is_root: bool
    is_debian: bool

    @property
    def can_install(self) -> bool:
        """Whether the distribution's own package may be installed without asking."""
        return self.system == "linux" and self.is_root and self.is_debian


def this_host(os_release: Path = Path("/etc/os-release")) -> Host:
    """The machine that runs this."""
    text = os_release.read_text("utf-8", "replace") if os_release.is_file() else ""
    return Host(sys.platform, os.geteuid() == 0, is_debian_family(text))


def is_debian_family(os_release: str) -> bool:
    """Whether an os-release text (os-release(5)) is of Debian, Ubuntu or a child of theirs."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    names = " ".join(fields.get(key, "") for key in ("ID", "ID_LIKE")).replace('"', " ").replace("'", " ")
    return bool({"debian", "ubuntu"} & set(names.split()))


def advice(host: Host) -> str:
    """Two lines that say how to get an engine on this machine."""
    elsewhere = "Or use an engine elsewhere: DOCKER_HOST=ssh://user@host make run …"
    if host.system == "darwin":
        return f"Start Docker Desktop, or: brew install colima docker && colima start\n{elsewhere}"
    if not host.is_root:
        remedy = "`sudo make engine` installs and starts one" if host.is_debian else "Install and start one"
        return f"{remedy}; if one runs already: sudo usermod -aG docker $USER, and log in again.\n{elsewhere}"
    if host.is_debian:
        return f"Unset DOCKERSCHED_ENGINE_SETUP, or: apt-get install docker.io, and start dockerd.\n{elsewhere}"
    return f"Install Docker Engine with this system's package manager and start dockerd.\n{elsewhere}"


def install(*packages: str) -> None:
    """Install Debian packages as root, quietly.

    Raises:
        EngineUnavailableError: apt-get failed; the message ends with its last lines.
    """
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", *packages]):
        done = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        # A broken third-party list fails `update` while Debian's own packages can be had.
        if done.returncode != 0 and command[1] == "install":
            tail = "\n".join(done.stdout.splitlines()[-10:])
            raise EngineUnavailableError(f"`{shlex.join(command)}` failed:\n{tail}")
