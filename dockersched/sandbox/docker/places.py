"""The places in a sandbox's memory that it can write to, and how large each may grow. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from dockersched.model import SECRETS_DIR, WORKSPACE_DIR, QuotaConfig
from dockersched.model.files import DEFAULT_WORKSPACE_BYTES
from dockersched.model.opening import SHARED_MEMORY
from dockersched.sandbox.base import SandboxRunOptions

HOME = "/home/sandbox"
PAGE_BYTES = 4_096

TMP = "/tmp"  # noqa: S108 - a path in the sandbox
_MOST_SHARED_MEMORY_BYTES = 64 * 2**20
_MAX_INODES = 65_536


def has_private_places(options: SandboxRunOptions) -> bool:
    """Whether a sandbox has `HOME` and `/tmp` in memory; a trusted one that can write its root needs none."""
    return options.profile == "locked" or bool(options.read_only)


def is_bounded(options: SandboxRunOptions) -> bool:
    """Whether all that a sandbox can write on the engine's disk has a limit."""
    return bool(options.read_only) or (options.quota is not None and options.quota.disk_bytes is not None)


def tmpfs_bytes(options: SandboxRunOptions, image_volumes: Iterable[str] = ()) -> dict[str, int]:
    """The size of each place in memory by path, `/dev/shm` included.

    A size that is not given is half of the memory limit, since a place is charged to the sandbox's memory and this
    leaves room for the process that fills it. Where `quota.disk` bounds the places, those without a size share what
    the others leave of it: all together are never larger than it.

    Args:
        options: the sandbox, with the defaults filled in.
        image_volumes: paths that the image declares as volumes: each would be a folder on the engine's disk without a
            limit, so that they are places too wherever a limit is promised.
    """
    quota = options.quota or QuotaConfig()
    given = {path: _whole_pages(int(size)) for path, size in options.tmpfs.items()}
    if options.has_workspace:
        given[WORKSPACE_DIR] = _whole_pages(workspace_bytes(options))
    private = [TMP, HOME] if has_private_places(options) else []
    volumes = [posixpath.normpath(f"/{path.strip('/')}") for path in image_volumes if is_bounded(options)]
    taken = {*given, *(mount.target for mount in options.mounts), *([SECRETS_DIR] if options.secrets else [])}
    unsized = [path for path in dict.fromkeys((*private, *volumes, SHARED_MEMORY)) if path not in taken]
    share = (quota.memory_bytes or 0) // 2
    if options.read_only and quota.disk_bytes is not None and unsized:
        share = min(share, (quota.disk_bytes - sum(given.values())) // len(unsized))
    sizes = {path: _whole_pages(share) for path in unsized}
    if SHARED_MEMORY in sizes:
        sizes[SHARED_MEMORY] = min(sizes[SHARED_MEMORY], _MOST_SHARED_MEMORY_BYTES)
    return sizes | given


def workspace_bytes(options: SandboxRunOptions) -> int:
    """What a workspace may hold. By default it leaves other places half of what the disk quota allows."""
    if options.workspace and options.workspace.size_bytes:
        return options.workspace.size_bytes
    disk = options.quota.disk_bytes if options.quota else None
    return DEFAULT_WORKSPACE_BYTES if disk is None else min(DEFAULT_WORKSPACE_BYTES, disk // 2)


def tmpfs_options(size_bytes: int) -> str:
    """The mount options of a place."""
    return f"rw,exec,nosuid,nodev,mode=1777,size={size_bytes},nr_inodes={_MAX_INODES}"


def _whole_pages(size_bytes: int) -> int:
    """What the kernel would round up, rounded down; never 0, which is no limit."""
    return max(PAGE_BYTES, size_bytes - size_bytes % PAGE_BYTES)
