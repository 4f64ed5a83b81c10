"""The keys of an epic file that open a sandbox, each by as much as it says."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from dockersched.epicfile import values
from dockersched.epicfile.quota_spec import OpenFiles
from dockersched.epicfile.types import Given, Keys, Name, Switch, Text, key, size_schema, text_schema, unique
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


Capability = Annotated[
    str, BeforeValidator(_capability), WithJsonSchema({"type": "string", "enum": list(CAPABILITIES)})
]
Capabilities = Annotated[list[Capability], AfterValidator(unique), Field(json_schema_extra={"uniqueItems": True})]
Target = Annotated[str, BeforeValidator(values.target), WithJsonSchema(text_schema(TARGET_PATTERN))]
TmpfsTarget = Annotated[
    str,
    BeforeValidator(values.tmpfs_target),
    WithJsonSchema(text_schema(f"{SHARED_MEMORY}|{TARGET_PATTERN}")),
]
TmpfsSize = Annotated[
    int, BeforeValidator(values.size(MIN_TMPFS_BYTES, "4k (one page of memory)")), size_schema(MIN_TMPFS_BYTES)
]


Limit = Annotated[
    int,
    BeforeValidator(values.whole(0, MAX_ULIMIT)),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_ULIMIT}),
]
LimitAboveZero = Annotated[
    int,
    BeforeValidator(values.whole(1, MAX_ULIMIT)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_ULIMIT}),
]


class UlimitsSpec(Keys):
    """Limits of single processes, soft and hard alike, in the units of setrlimit(2): bytes, seconds or a number."""

    core: Annotated[Limit | None, Given] = key("Largest core dump, in bytes.", 1048576, default=0)
    cpu: Annotated[LimitAboveZero | None, Given] = key("Seconds of CPU time.", 60)
    fsize: Annotated[LimitAboveZero | None, Given] = key("Largest file, in bytes; the same as quota.fsize.", 1048576)
    memlock: Annotated[Limit | None, Given] = key("Bytes of memory that can be locked.", 65536)
    nofile: Annotated[OpenFiles | None, Given] = key("Open files; the same as quota.nofile.", 1024)
    stack: Annotated[Limit | None, Given] = key("Bytes of the stack.", 8388608)


class MountSpec(Keys):
    """A file or folder of the engine's host that the sandbox sees."""

    source: Text = Field(
        description="On the host, from the epic file's folder if it does not begin with /;"
        " only below folders that `--allow-mount` names.",
        examples=["./data"],
    )
    target: Target = Field(description="Where the sandbox sees it.", examples=["/data"])
    read_only: Annotated[Switch | None, Given] = key("Whether the sandbox cannot write to it.", default=True)


class OpeningKeys(Keys):
    """Everything is closed as long as none of these is there."""

    profile: Annotated[Profile | None, Given] = key(
        "locked: closed but for what other keys open; trusted: root, with the capabilities that engines give by"
        " default, and a root file system that can be written.",
        default="locked",
    )
    runtime: Annotated[Name | None, Given] = key(
        "The engine's OCI runtime to run in, such as runsc (gVisor); the engine's default when left out.", "runsc"
    )
    network_namespace: Annotated[NetworkNamespace | None, Given] = key(
        "own: made for the sandbox alone; auto: sandboxes without a network use one after another, where that is safe"
        " and makes starts shorter.",
        default="auto",
    )
    read_only: Annotated[Switch | None, Given] = key(
        "Whether the root file system is read-only; false where the profile is trusted.", default=True
    )
    cap_add: Annotated[Capabilities | None, Given] = key(
        "Capabilities for a user that is root, beside those of the profile.", ["NET_RAW"]
    )
    tmpfs: Annotated[dict[TmpfsTarget, TmpfsSize] | None, Given] = key(
        "Sizes of further places in memory, or of /tmp, /home/sandbox and /dev/shm, by path; charged to the memory.",
        {"/tmp": "64m", "/scratch": "1g"},  # noqa: S108 - a path in the sandbox
    )
    ulimits: Annotated[UlimitsSpec | None, Given] = key("Limits of single processes.", {"nofile": 1024})
    mounts: Annotated[list[MountSpec] | None, Given] = key(
        "Files and folders of the engine's host; only below folders that `--allow-mount` names.",
        [{"source": "./data", "target": "/data"}],
    )

    @model_validator(mode="after")
    def _nothing_is_put_twice(self) -> Self:
        targets = [*(self.tmpfs or ()), *(mount.target for mount in self.mounts or ())]
        for target in targets:
            if targets.count(target) > 1:
                raise ValueError(f"tmpfs and mounts put two things at {values.shown(target)}: remove one")
        return self


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

    limits = [part.ulimits.model_dump(exclude_none=True) if part.ulimits else {} for part in (shared, spec)]
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
