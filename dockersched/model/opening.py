"""What an epic can open of a sandbox that is closed by default, and what no epic can."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dockersched import units
from dockersched.model.checks import choice, text

Profile = Literal["locked", "trusted"]

CAPABILITIES = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
"""What can be given to a sandbox: what engines give every container by default, and NET_ADMIN, whose effects end at the
sandbox's own network. Everything else reaches the kernel or the host."""

ULIMITS = ("core", "cpu", "fsize", "memlock", "nofile", "stack")
"""The limits of single processes. Others count per user of the host, which sandboxes share, raise priorities, or hit
the runtime itself, which cannot start a container with a small `data` (runc 1.1: "cannot allocate memory")."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a path in the sandbox
MIN_TMPFS_BYTES = 4_096
"""One page; a tmpfs of size 0 would have no limit."""

MAX_ULIMIT = 2**60
MIN_NOFILE = 16
MAX_NOFILE = 2**20
"""The kernel's own limit; a container with more does not start."""

_KERNEL_FOLDERS = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the engine's host that a sandbox sees.

    Args:
        source: on the host; only below folders that whoever starts the run allows.
        target: in the sandbox, absolute.
        read_only: the sandbox cannot write to it.

    Raises:
        ValueError, TypeError: a field that cannot be right.
    """

    source: str
    target: str
    read_only: bool = True

    def __post_init__(self) -> None:
        """Checks the fields."""
        text("source", self.source)
        text("target", self.target)
        check_target("target", self.target)
        if not isinstance(self.read_only, bool):
            raise TypeError(f"read_only must be True or False, not {self.read_only!r}")


def check_target(name: str, path: str) -> None:
    """Refuses a path in the sandbox at which nothing can be put."""
    if not path.startswith("/") or posixpath.normpath(path) != path or path.startswith("//"):
        raise ValueError(f"{name} must be an absolute path without '..' and the like, not {path!r}")
    if path == "/" or any(path == folder or path.startswith(f"{folder}/") for folder in _KERNEL_FOLDERS):
        raise ValueError(f"{name} must not be / or in /proc, /sys or /dev, which belong to the kernel: {path!r}")


def capabilities(values: Sequence[str]) -> tuple[str, ...]:
    """The capabilities, each one that can be given."""
    for value in values:
        choice("cap_add", value, CAPABILITIES)
    return tuple(values)


def tmpfs_sizes(sizes: object) -> dict[str, int]:
    """Sizes in bytes by path; refuses what cannot be a tmpfs."""
    if not isinstance(sizes, Mapping):
        raise TypeError(f"tmpfs must be a map of paths to sizes, not {sizes!r}")
    read: dict[str, int] = {}
    for path, size in sizes.items():
        text("tmpfs", path)
        if path != SHARED_MEMORY:
            check_target("tmpfs", path)
        read[path] = units.parse_bytes(size)
        if read[path] < MIN_TMPFS_BYTES:
            raise ValueError(f"tmpfs[{path!r}] must be at least 4k (one page of memory), not {size!r}")
    return read


def ulimits(limits: object) -> dict[str, int]:
    """The limits by name; refuses what cannot be one."""
    if not isinstance(limits, Mapping):
        raise TypeError(f"ulimits must be a map of names to numbers, not {limits!r}")
    for name, limit in limits.items():
        choice("ulimits", name, ULIMITS)
        minimum = 1 if name in {"cpu", "fsize"} else 0
        if not isinstance(limit, int) or isinstance(limit, bool) or not minimum <= limit <= MAX_ULIMIT:
            raise ValueError(f"ulimits[{name!r}] must be a whole number of at least {minimum}, not {limit!r}")
    if "nofile" in limits:
        check_nofile("ulimits['nofile']", limits["nofile"])
    return dict(limits)


def check_nofile(name: str, value: object) -> None:
    """Refuses a number of open files that no process can work with, or no kernel gives."""
    if not isinstance(value, int) or isinstance(value, bool) or not MIN_NOFILE <= value <= MAX_NOFILE:
        raise ValueError(f"{name} must be a whole number from {MIN_NOFILE} to {MAX_NOFILE}, not {value!r}")


def mounts(values: object, taken: Iterable[str]) -> tuple[Mount, ...]:
    """The mounts; refuses two at one place, or one where a tmpfs is."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"mounts must be a list of mounts, not {values!r}")
    targets = set(taken)
    for mount in values:
        if not isinstance(mount, Mount):
            raise TypeError(f"mounts must be a list of Mount, but holds {mount!r}")
        if mount.target in targets:
            raise ValueError(f"mounts or tmpfs put two things at {mount.target!r}: remove one")
        targets.add(mount.target)
    return tuple(values)
