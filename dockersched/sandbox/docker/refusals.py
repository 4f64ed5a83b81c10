"""What a sandbox asks for that an engine cannot give or enforce: found before anything starts, never left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockersched.errors import Problem
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.sandbox.docker.places import tmpfs_bytes
from dockersched.units import format_bytes


def find_refusals(
    sandboxes: Iterable[SandboxRunOptions], features: EngineFeatures, defaults: SandboxDefaults
) -> list[Problem]:
    """Every reason why sandboxes must not be started on an engine, in their order."""
    return [problem for options in sandboxes for problem in refusals(defaults.fill(options), features)]


def refusals(
    options: SandboxRunOptions, features: EngineFeatures, image_volumes: Iterable[str] = ()
) -> Iterator[Problem]:
    """Every reason why a sandbox must not be started on an engine.

    Args:
        options: the sandbox, with the defaults filled in.
        features: of the engine.
        image_volumes: paths that its image declares as volumes, where they are known.

    Yields:
        problems at `("tasks", id, key)`.
    """
    if options.runtime is not None and options.runtime not in features.runtimes:
        known = ", ".join(sorted(features.runtimes)) or "none"
        message = (
            f"wants the runtime {options.runtime!r}, which the engine does not have (it has {known}): "
            "install it there and name it in the engine's daemon.json, or change runtime"
        )
        yield _problem(options, message, "runtime")
    yield from _disk(options, features, image_volumes)
    if options.mounts and not features.is_local:
        message = "mounts files, but the engine is on another machine: run it where the engine is, or remove mounts"
        yield _problem(options, message, "mounts")
    if options.cap_add and not is_root(options.user):
        message = (
            f"asks for capabilities, which have no effect for the user {options.user}: "
            "add user: 0:0 (root, with these capabilities alone), or remove cap_add"
        )
        yield _problem(options, message, "cap_add")
    if may_be_root(options.user) and (open_mounts := [m for m in options.mounts if not m.read_only]):
        message = (
            f"would let root write to {open_mounts[0].source} of the host, where it could leave programs that give "
            "root to whoever calls them: give user as a number other than 0, or make the mount read_only"
        )
        yield _problem(options, message, "mounts")


def is_root(user: str | None) -> bool:
    """Whether a user, `uid`, `uid:gid` or a name, is root by its number or name."""
    name = str(user).partition(":")[0]
    return int(name) == 0 if name.isdecimal() else name == "root"


def may_be_root(user: str | None) -> bool:
    """Whether a user is root, or a name, which an image may give to any number."""
    return is_root(user) or not str(user).partition(":")[0].isdecimal()


def _disk(options: SandboxRunOptions, features: EngineFeatures, image_volumes: Iterable[str]) -> Iterator[Problem]:
    disk = options.quota.disk_bytes if options.quota else None
    if disk is None:
        return
    if not options.read_only:
        if not features.may_limit_disk:
            message = (
                f"wants a disk quota for a root file system that it can write, which this engine's storage "
                f"({features.storage}) cannot enforce; overlay2 on xfs with pquota, btrfs and zfs can: keep the root "
                "read-only, or remove quota.disk and accept that the disk is not limited"
            )
            yield _problem(options, message, "quota", "disk")
        return
    places = tmpfs_bytes(options, image_volumes)
    if sum(places.values()) > disk:
        message = (
            f"has a disk quota of {format_bytes(disk)}, which is not enough for what it can write to "
            f"({', '.join(f'{path} {format_bytes(size)}' for path, size in places.items())}): raise quota.disk"
        )
        yield _problem(options, message, "quota", "disk")


def _problem(options: SandboxRunOptions, message: str, *keys: str) -> Problem:
    return Problem(f"task {options.task_id!r} {message}", ("tasks", options.task_id, *keys))
