"""Which files of the host a sandbox may see: only below folders that whoever starts the run allows.

The engine mounts with the rights of root and follows links, so a source is resolved here, checked, and handed to the
engine as the path that it really is. A sandbox that can write to a folder could put a link where another one's source
is to be; therefore no source may lie inside a folder that is given to be written to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from dockersched.errors import MountRefusedError
from dockersched.model import Mount

NEVER = (
    "/proc",
    "/sys",
    "/dev",
    "/etc",
    "/boot",
    "/run",
    "/var/run",
    "/var/run/docker.sock",
    "/var/lib/docker",
    "/var/lib/containerd",
)
"""What would give a sandbox the host: never mounted, nor what is inside, nor what holds it. `/` holds all of it."""


def sources(mounts: Iterable[Mount]) -> list[tuple[str, int, int]] | None:
    """Which files and folders of this host are mounted, if the sandbox starts now; None if one is not there.

    Who replaces a file by renaming another leaves what was mounted before with the old one.
    """
    try:
        resolved = [os.path.realpath(mount.source, strict=True) for mount in mounts]
        found = [os.stat(source) for source in resolved]  # noqa: PTH116 - a text, as all paths here
    except OSError:
        return None
    return [(source, status.st_dev, status.st_ino) for source, status in zip(resolved, found, strict=True)]


def mount_roots(allow_mounts: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    """The folders that whoever starts a run allows.

    Raises:
        TypeError: it is one folder instead of several. A text is an iterable, too: of `"/srv"`, `/` would be allowed.
    """
    if isinstance(allow_mounts, (str, bytes, os.PathLike)):
        raise TypeError(f"allow_mounts is a list of folders: write [{allow_mounts!r}]")
    roots = tuple(os.fspath(folder) for folder in allow_mounts)
    for root in roots:
        if not isinstance(root, str):
            raise TypeError(f"allow_mounts is a list of folders, each a str or a path: {root!r} is neither")
    return roots


class MountGate:
    """Lets through what is allowed. For one thread: it remembers what it let through.

    Args:
        roots: folders below which sources may lie.
        never: further paths that are not mounted, nor what is inside or holds them: the engine's socket and its data.
        private: folders that are not mounted, nor what is inside; what holds them, only to be read.

    Raises:
        MountRefusedError: a root is no folder.
        TypeError: the roots are one folder instead of several.
    """

    def __init__(
        self, roots: Iterable[str | os.PathLike[str]] = (), never: Iterable[str] = (), private: Iterable[str] = ()
    ) -> None:
        self._roots = [_folder(root) for root in mount_roots(roots)]
        forms = ((os.path.normpath(path), os.path.realpath(path)) for path in (*NEVER, *never))
        self._never = tuple(dict.fromkeys(form for both in forms for form in both))
        self._private = [os.path.realpath(path) for path in private]
        self._granted: set[str] = set()
        self._writable: set[str] = set()

    def admit(self, mount: Mount) -> Mount:
        """The mount with its source resolved.

        Raises:
            MountRefusedError: it is not allowed.
        """
        source = self._resolved(mount.source)
        for path in self._never:
            if _is_within(source, path) or _is_within(path, source):
                raise _refused(mount, source, f"which is, holds or lies in {path}: no sandbox ever gets that")
        for path in self._private:
            if _is_within(source, path) or (not mount.read_only and _is_within(path, source)):
                raise _refused(mount, source, f"but {path}, where dockersched keeps its state, is never mounted")
        if not any(_is_within(source, root) for root in self._roots):
            raise _refused(
                mount, source, "which is not allowed: start the run with --allow-mount and a folder above it"
            )
        if not os.path.isdir(source) and not os.path.isfile(source):  # noqa: PTH112, PTH113 - a text, as all paths here
            raise _refused(mount, source, "which is neither a folder nor a regular file")
        self._check_writable(mount, source)
        self._granted.add(source)
        if not mount.read_only:
            self._writable.add(source)
        return replace(mount, source=source)

    def _resolved(self, source: str) -> str:
        try:
            return os.path.realpath(source, strict=True)
        except (OSError, ValueError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            raise MountRefusedError(f"mounts {source!r}, which cannot be used: {reason.lower()}") from error

    def _check_writable(self, mount: Mount, source: str) -> None:
        inside_one = any(_is_within(source, other) and source != other for other in self._writable)
        holds_one = not mount.read_only and any(_is_within(g, source) and g != source for g in self._granted)
        if inside_one or holds_one:
            why = "inside a folder that a sandbox can write to, which could put a link in its place"
            raise _refused(mount, source, f"so that one source lies {why}: mount folders that are apart")


def _folder(root: str) -> str:
    resolved = os.path.realpath(root)
    if not root or not os.path.isdir(resolved):  # noqa: PTH112 - a text, as all paths here
        raise MountRefusedError(f"--allow-mount {root or repr(root)}: is no folder")
    return resolved


def _is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it; both are resolved."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _refused(mount: Mount, source: str, why: str) -> MountRefusedError:
    really = "" if os.path.normpath(mount.source) == source else f" (really {source})"
    return MountRefusedError(f"mounts {mount.source!r}{really}, {why}")
