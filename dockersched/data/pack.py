"""Packs a directory into one tar file, named by its content, and streams it to any number of sandboxes.

The file is the same wherever and whenever the same content is packed: sorted, owned by 0:0, with one modification time
for all (`tarformat.MTIME_S`), and of the permissions only who may execute. Who it belongs to is decided when it is
streamed: `stream_pack` changes the owner in the headers as they pass, so one file serves sandboxes of any user.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from dockersched.data.files import Durable, locked_shared, replace_durably
from dockersched.data.tarformat import BLOCK, DIRECTORY, END, FILE, LINK, header, owned_by, padding, parse_number
from dockersched.data.walk import Entry, Selection, find
from dockersched.errors import StateError, WorkspaceError
from dockersched.units import format_bytes

PACKS = "packs"
_CHUNK = 1 << 20
_MAX_PROBLEMS = 20


class Packed(Struct, frozen=True):
    """A packed directory.

    Attributes:
        digest: SHA-256 of the file, in hexadecimal.
        path: the tar file.
        size_bytes: its size.
        entries: how many files, directories and links are in it.
        skipped: what was left out because it has no content (sockets, pipes, devices), each with its path.
    """

    digest: str
    path: Path
    size_bytes: int
    entries: int
    skipped: tuple[str, ...] = ()


def pack_workspace(
    source: Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    gitignore: bool = True,
    git: bool = False,
    store: Path,
    max_bytes: int | None = None,
) -> Packed:
    """Packs a directory into `<store>/packs/<digest>.tar`; one that is there already is used again.

    Files are read once, and never held in memory as a whole. Set-user-id and the like are dropped. `.dockersched`, the
    store and the folder that it is in, a state directory, are left out whatever the patterns say. Blocking.

    Args:
        source: the directory.
        include: patterns of what to take; everything when empty.
        exclude: patterns of what to leave out; they come after those of `.gitignore` files and may undo them (`!`).
        gitignore: whether the `.gitignore` files of the tree count.
        git: whether `.git` is taken along.
        store: root of the content store.
        max_bytes: how large the file may be; None is no limit.

    Raises:
        WorkspaceError: the source is no directory or too large, or something in it cannot be read, leads out of it, or
            changed while it was read; nothing stays of the file.
    """
    if not os.path.isdir(source):  # noqa: PTH112 - no error of a path that cannot be
        raise WorkspaceError(str(source), ["is not a directory: give source the folder to copy"])
    state = frozenset(map(os.path.realpath, (store, store.parent)))
    found = find(source, Selection(include, exclude, gitignore, git, state))
    if found.problems:
        more = len(found.problems) - _MAX_PROBLEMS
        shown = found.problems[:_MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise WorkspaceError(str(source), shown)
    refuse_larger(source, sum(map(_packed_bytes, found.entries)), max_bytes)  # before any of it is written
    with replace_durably(store / PACKS) as file:
        writer = _Writer(file)
        for entry in found.entries:
            writer.add(source, entry)
        writer.write(END)
        digest = writer.digest()
        refuse_larger(source, writer.size_bytes, max_bytes)
        with locked_shared(store):  # what is there already stays there until it counts as wanted
            path = file.publish(f"{digest}.tar")
    return Packed(digest, path, writer.size_bytes, len(found.entries), tuple(found.skipped))


def refuse_larger(source: Path, size_bytes: int, max_bytes: int | None) -> None:
    """Refuses a directory that is, packed, larger than the workspace that it is for.

    Raises:
        WorkspaceError: it is.
    """
    if max_bytes is not None and size_bytes > max_bytes:
        what = f"holds {format_bytes(size_bytes)}, more than the {format_bytes(max_bytes)} of the workspace"
        raise WorkspaceError(str(source), [f"{what}: exclude what is not needed, or raise workspace.size"])


def stream_pack(path: Path, *, uid: int, gid: int) -> Iterator[bytes]:
    """The tar file of a `Packed`, in pieces of a MiB, everything in it owned by `uid`:`gid`.

    The content is compared with the digest in the file's name on the way; the archive's end is only given when it
    is right, so that nobody takes a damaged one for whole.

    Raises:
        StateError: the file is gone or damaged.
    """
    digest = hashlib.sha256()
    next_header = 0
    held = b""
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := _read_full(file.fileno()):
                digest.update(chunk)
                owned, next_header = _owned(chunk, next_header, uid, gid)
                if held:
                    yield held
                held = owned
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError) as error:  # where a header should be is none
        raise _damaged(path) from error
    if digest.hexdigest() != path.stem:
        raise _damaged(path)
    yield held


def _damaged(path: Path) -> StateError:
    return StateError(f"{path} is damaged: its content does not have the digest in its name; delete it")


class _Writer:
    """Writes entries of a tar file while it takes their digest, with one copy in memory."""

    def __init__(self, file: Durable) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._buffer = memoryview(bytearray(_CHUNK))
        self._filled = 0
        self.size_bytes = 0

    def add(self, source: Path, entry: Entry) -> None:
        """Adds what was found at a path.

        Raises:
            WorkspaceError: it has changed since, or cannot be read.
        """
        mode = entry.status.st_mode
        name = os.fsencode(entry.path)
        if stat.S_ISDIR(mode):
            self.write(header(name + b"/", DIRECTORY, mode=0o755))
        elif entry.link:
            self.write(header(name, LINK, mode=0o777, link=os.fsencode(entry.link)))
        else:
            try:
                self._add_file(source, entry, name)
            except OSError as error:
                problem = f"{entry.path} cannot be read ({error.strerror}): exclude it, or make it readable"
                raise WorkspaceError(str(source), [problem]) from error

    def _add_file(self, source: Path, entry: Entry, name: bytes) -> None:
        descriptor = os.open(source / entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            size = entry.status.st_size
            mode = 0o755 if entry.status.st_mode & 0o100 else 0o644
            self.write(header(name, FILE, mode=mode, size=size))
            copied = self._copy(descriptor, size)
            if copied != size or _changed(os.fstat(descriptor), entry.status):
                problem = f"{entry.path} changed while it was packed: exclude it, or pack when nothing writes to it"
                raise WorkspaceError(str(source), [problem])
        finally:
            os.close(descriptor)
        self.write(bytes(padding(size)))

    def write(self, data: bytes) -> None:
        """Appends a few bytes."""
        if self._filled + len(data) > _CHUNK:
            self._flush()
        if len(data) > _CHUNK:
            raise AssertionError("headers are small")
        self._buffer[self._filled : self._filled + len(data)] = data
        self._filled += len(data)

    def digest(self) -> str:
        """The digest of all that was written."""
        self._flush()
        return self._digest.hexdigest()

    def _copy(self, descriptor: int, size: int) -> int:
        left = size
        while left:
            if self._filled == _CHUNK:
                self._flush()
            got = os.readv(descriptor, [self._buffer[self._filled : self._filled + min(left, _CHUNK - self._filled)]])
            if not got:
                break
            self._filled += got
            left -= got
        return size - left

    def _flush(self) -> None:
        piece = self._buffer[: self._filled]
        self._digest.update(piece)
        try:
            self._file.write(piece)
        except OSError as error:
            raise StateError(f"the state directory cannot be written: {error.strerror}") from error
        self.size_bytes += self._filled
        self._filled = 0


def _packed_bytes(entry: Entry) -> int:
    """What an entry takes in the file, at the least: a long name takes more."""
    if not stat.S_ISREG(entry.status.st_mode):
        return BLOCK
    size = entry.status.st_size
    return BLOCK + size + padding(size)


def _changed(now: os.stat_result, found: os.stat_result) -> bool:
    """Whether a file is another one, or has been written to, since it was found."""
    return any(getattr(now, field) != getattr(found, field) for field in ("st_ino", "st_dev", "st_size", "st_mtime_ns"))


def _owned(chunk: bytes, next_header: int, uid: int, gid: int) -> tuple[bytes, int]:
    """A piece with its headers changed, and where the next header is, relative to the end of the piece."""
    if (uid, gid) == (0, 0) or next_header >= len(chunk):
        return chunk, next_header - len(chunk)
    changed = bytearray(chunk)
    while next_header < len(chunk):
        block = chunk[next_header : next_header + BLOCK]
        if not block[0]:
            return bytes(changed), len(chunk)
        changed[next_header : next_header + BLOCK] = owned_by(block, uid, gid)
        size = parse_number(block[124:136])
        next_header += BLOCK + size + padding(size)
    return bytes(changed), next_header - len(chunk)


def _read_full(descriptor: int) -> bytes:
    """A whole piece, so that no header is ever split; less at the end of the file alone."""
    pieces = []
    wanted = _CHUNK
    while wanted and (piece := os.read(descriptor, wanted)):
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces) if len(pieces) != 1 else pieces[0]
