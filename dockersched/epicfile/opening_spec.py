"""The keys of an epic file that open a sandbox, each by as much as it says."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import PurePath
from typing import Any

from dockersched.epicfile import values
from dockersched.epicfile.keys import Keys, key, needed
from dockersched.epicfile.kinds import Kind, choice_of, list_of, map_of
from dockersched.epicfile.quota_spec import OPEN_FILES
from dockersched.epicfile.types import NAME, SWITCH, TEXT, size, text_schema, whole
from dockersched.model import CAPABILITIES, Mount, NetworkNamespace, Profile
from dockersched.model.opening import MAX_ULIMIT, MIN_TMPFS_BYTES, SHARED_MEMORY

_SEGMENT = r"/(?!\.{1,2}(?:/|$))[^/\0]+"
TARGET_PATTERN = rf"(?!/(?:proc|sys|dev)(?:/|$))(?:{_SEGMENT})+"
"""An absolute path without `.`, `..` or empty steps, outside the kernel's folders."""


def _capability(value: object) -> str:
    name = values.text(value)
    if name in CAPABILITIES:
        return name
    if name.removeprefix("CAP_") in CAPABILITIES:
        raise ValueError(f"{values.shown(name)} is written {name.removeprefix('CAP_')} here")
    raise ValueError(f"{values.shown(name)} cannot be given to a sandbox; what can: {', '.join(CAPABILITIES)}")


CAPABILITY = Kind(_capability, {"enum": list(CAPABILITIES), "type": "string"})
TARGET = Kind(values.target, text_schema(TARGET_PATTERN))
TMPFS_TARGET = Kind(values.tmpfs_target, text_schema(f"{SHARED_MEMORY}|{TARGET_PATTERN}"))
TMPFS_SIZE = size(MIN_TMPFS_BYTES, "4k (one page of memory)")
LIMIT = whole(0, MAX_ULIMIT)
LIMIT_ABOVE_ZERO = whole(1, MAX_ULIMIT)
PROFILE: Kind[Profile] = choice_of(Profile)
NETWORK_NAMESPACE: Kind[NetworkNamespace] = choice_of(NetworkNamespace)


class UlimitsSpec(Keys):
    """Limits of single processes, soft and hard alike, in the units of setrlimit(2): bytes, seconds or a number."""

    core = key(LIMIT, "Largest core dump, in bytes.", 1048576, default=0)
    cpu = key(LIMIT_ABOVE_ZERO, "Seconds of CPU time.", 60)
    fsize = key(LIMIT_ABOVE_ZERO, "Largest file, in bytes; the same as quota.fsize.", 1048576)
    memlock = key(LIMIT, "Bytes of memory that can be locked.", 65536)
    nofile = key(OPEN_FILES, "Open files; the same as quota.nofile.", 1024)
    stack = key(LIMIT, "Bytes of the stack.", 8388608)


class MountSpec(Keys):
    """A file or folder of the engine's host that the sandbox sees."""

    noun = "mount"

    source = needed(
        TEXT,
        "On the host, from the epic file's folder if it does not begin with /;"
        " only below folders that `--allow-mount` names.",
        "./data",
    )
    target = needed(TARGET, "Where the sandbox sees it.", "/data")
    read_only = key(SWITCH, "Whether the sandbox cannot write to it.", default=True)


class OpeningKeys(Keys):
    """Everything is closed as long as none of these is there."""

    profile = key(
        PROFILE,
        "locked: closed but for what other keys open; trusted: root, with the capabilities that engines give by"
        " default, and a root file system that can be written.",
        default="locked",
    )
    runtime = key(
        NAME, "The engine's OCI runtime to run in, such as runsc (gVisor); the engine's default when left out.", "runsc"
    )
    network_namespace = key(
        NETWORK_NAMESPACE,
        "own: made for the sandbox alone; auto: sandboxes without a network use one after another, where that is safe"
        " and makes starts shorter.",
        default="auto",
    )
    read_only = key(
        SWITCH, "Whether the root file system is read-only; false where the profile is trusted.", default=True
    )
    cap_add = key(
        list_of(CAPABILITY, unique=True),
        "Capabilities for a user that is root, beside those of the profile.",
        ["NET_RAW"],
    )
    tmpfs = key(
        map_of(TMPFS_TARGET, TMPFS_SIZE),
        "Sizes of further places in memory, or of /tmp, /home/sandbox and /dev/shm, by path; charged to the memory.",
        {"/scratch": "1g", "/tmp": "64m"},  # noqa: S108 - a path in the sandbox
    )
    ulimits = key(UlimitsSpec.kind(), "Limits of single processes.", {"nofile": 1024})
    mounts = key(
        list_of(MountSpec.kind()),
        "Files and folders of the engine's host; only below folders that `--allow-mount` names.",
        [{"source": "./data", "target": "/data"}],
    )

    def check(self) -> None:
        """Refuses two things at one place."""
        targets = [*(self.tmpfs or ()), *(mount.target for mount in self.mounts or ())]
        for target, count in Counter(targets).items():
            if count > 1:
                raise ValueError(f"tmpfs and mounts put two things at {values.shown(target)}: remove one")


def opening_fields(spec: OpeningKeys, shared: OpeningKeys, folder: PurePath) -> dict[str, Any]:
    """The fields of a task: its own keys, and those of the defaults where it has none; maps merge key by key.

    Args:
        spec: the task's keys.
        shared: the keys of the defaults.
        folder: of the epic file, which relative sources start from.
    """

    def own_or_shared(name: str) -> Any:
        own = getattr(spec, name)
        return getattr(shared, name) if own is None else own

    limits = [vars(part.ulimits) if part.ulimits else {} for part in (shared, spec)]
    return {
        **{name: own_or_shared(name) for name in ("profile", "runtime", "network_namespace", "read_only")},
        "cap_add": own_or_shared("cap_add") or (),
        "tmpfs": {**(shared.tmpfs or {}), **(spec.tmpfs or {})},
        "ulimits": limits[0] | limits[1],
        "mounts": tuple(
            Mount(os.path.abspath(folder / mount.source), mount.target, mount.read_only is not False)  # noqa: PTH100
            for mount in own_or_shared("mounts") or ()
        ),
    }
