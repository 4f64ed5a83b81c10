"""What a sandbox was given beyond what a locked one gets: each opening in a few words, for the result. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from dockersched import units
from dockersched.model import Mount
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.defaults import ROOT, SandboxDefaults
from dockersched.sandbox.docker.places import is_bounded

_LOCKED = SandboxDefaults()
_LOCKED_ULIMITS = _LOCKED.fill(SandboxRunOptions("", "")).ulimits


def openings(options: SandboxRunOptions) -> tuple[str, ...]:
    """Every opening of a sandbox, the defaults of its runner included.

    Args:
        options: the sandbox, with the defaults filled in.
    """
    return tuple(_openings(options))


def _openings(options: SandboxRunOptions) -> Iterator[str]:
    locked = options.profile == "locked"
    if not locked:
        yield f"profile: {options.profile}"
    if options.network != _LOCKED.network:
        yield f"network: {options.network}"
    if options.user != (_LOCKED.user if locked else ROOT):
        yield f"user: {options.user}"
    if locked and not options.read_only:
        yield "read_only: false"
    if not is_bounded(options):
        yield "disk: unlimited"
    yield from (f"cap_add: {name}" for name in options.cap_add)
    yield from (f"tmpfs: {path} {units.format_bytes(int(size))}" for path, size in options.tmpfs.items())
    yield from (
        f"ulimits: {name} {limit}" for name, limit in options.ulimits.items() if limit > _LOCKED_ULIMITS.get(name, -1)
    )
    yield from map(_mount, options.mounts)


def _mount(mount: Mount) -> str:
    return f"mounts: {mount.source} at {mount.target} ({'read-only' if mount.read_only else 'writable'})"
