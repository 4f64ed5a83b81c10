"""Extracts an archive out of a sandbox: regular files and directories, or nothing at all.

Everything is made in a fresh directory beside the target, each step opened relative to the one above it and never
through a link, and no file opened that exists. Only a whole, harmless archive gets the target's name. One hostile
entry refuses the whole: half of what a task made is worth less than a clear refusal.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct, field

from dockersched.data.archive import ArchiveReader, ExtractLimits, Member
from dockersched.data.files import TEMPORARY
from dockersched.errors import ArchiveRefusedError, StateError
from dockersched.units import format_bytes

__all__ = ["DEFAULT_LIMITS", "ExtractLimits", "Extracted", "extract_archive", "read_file"]

DEFAULT_LIMITS = ExtractLimits()
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Extracted(Struct, frozen=True):
    """What was extracted.

    Attributes:
        entries: files and directories, without the top.
        size_bytes: content of all files together.
    """

    entries: int
    size_bytes: int


def extract_archive(
    chunks: Iterable[bytes],
    target: Path,
    *,
    root: str | None = None,
    limits: ExtractLimits = DEFAULT_LIMITS,
    clear: Callable[[bytes], bytes] = bytes,
) -> Extracted:
    """Extracts a tar stream as the directory `target`; what was there under this name is replaced.

    Of an entry's mode only the permissions stay, without those of others to write; owners and times are not taken
    over. Whatever `chunks` raises goes through. Blocking.

    Args:
        chunks: the stream, in pieces of any size.
        target: the directory to make; the one above it must exist.
        root: the one name that everything in the archive must be or be below, as engines write it. A directory of
            this name becomes `target`; a file of this name will be in `target`.
        limits: how much may be in it.
        clear: takes out of a name what must not be shown; asked only for one that an error does not have as it is.

    Raises:
        ArchiveCutError: the stream ends before the archive does.
        ArchiveRefusedError: an entry must not be extracted.
        StateError: our own disk cannot be written to.
    """
    fresh = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        with _writing(target):
            fresh.mkdir(0o700)
        extracted = _extract_into(fresh, ArchiveReader(chunks, limits.max_bytes, clear), root, limits)
        with _writing(target):
            fresh.chmod(0o755)
            replace_directory(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return extracted


def read_file(chunks: Iterable[bytes], name: str, *, max_bytes: int) -> bytes:
    """The content of the one file that a tar stream holds.

    Args:
        chunks: the stream, in pieces of any size.
        name: of the file.
        max_bytes: how large it may be.

    Raises:
        ArchiveCutError: the stream ends before the archive does.
        ArchiveRefusedError: it holds anything else, or more.
    """
    reader = ArchiveReader(chunks, max_bytes)
    content: bytes | None = None
    for member in reader.members():
        if member.parts != (name,) or member.is_directory or content is not None:
            raise ArchiveRefusedError(member.label, f"is not the file {name}, which was asked for")
        content = b"".join(bytes(piece) for piece in reader.content(member))
    if content is None:
        raise ArchiveRefusedError("", f"does not hold {name}")
    return content


def replace_directory(fresh: Path, target: Path) -> None:
    """Gives a directory another name, in place of what has that name."""
    old = fresh.with_name(f"{fresh.name}-old")
    with suppress(FileNotFoundError):
        target.rename(old)
    fresh.rename(target)
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)


def _extract_into(top: Path, reader: ArchiveReader, root: str | None, limits: ExtractLimits) -> Extracted:
    tree = _Tree(top, limits)
    entries = size = 0
    empty = True
    try:
        for member in reader.members():
            empty = False
            parts = member.parts if root is None else _below(member, root)
            if member.is_directory:
                tree.add_directory(parts, member)
            else:
                tree.add_file(parts, member, reader.content(member))
            entries += bool(parts)
            size += member.size
    finally:
        tree.close()
    if empty and root is not None:
        raise ArchiveRefusedError("", f"does not hold {root}")
    return Extracted(entries, size)


def _below(member: Member, root: str) -> tuple[str, ...]:
    """A member's name without the root, unless the root is a file."""
    if member.parts[:1] != (root,):
        raise ArchiveRefusedError(member.label, f"is not below {root}, which was asked for")
    return member.parts if len(member.parts) == 1 and not member.is_directory else member.parts[1:]


class _Folder(Struct):
    """What is in a directory, a file as None. So a name is kept once, however much is below it.

    Attributes:
        is_declared: whether it has an entry of its own, and was not only made for what is in it.
        children: by their names.
    """

    is_declared: bool
    children: dict[str, _Folder | None] = field(default_factory=dict)


class _Tree:
    """A directory that is being filled; holds open the directories down to where the last entry went."""

    def __init__(self, top: Path, limits: ExtractLimits) -> None:
        self._top = top
        self._limits = limits
        with _writing(top):
            self._open = [os.open(top, _DIRECTORY)]
        self._path: list[str] = []
        self._folders = [_Folder(is_declared=False)]
        self._entries = 0
        self._name_bytes = 0

    def add_directory(self, parts: tuple[str, ...], member: Member) -> None:
        """Makes a directory, or takes one for declared that was made for what is in it."""
        folder: _Folder | None = self._folders[0]
        if parts:
            self._check_depth(parts, member)
            children = self._enter(parts[:-1], member)
            if parts[-1] not in children:
                self._count(parts, member)
                with _writing(self._top):
                    os.mkdir(parts[-1], member.mode & 0o755 | 0o700, dir_fd=self._open[-1])
                children[parts[-1]] = _Folder(is_declared=False)
            folder = children[parts[-1]]
        if folder is None:
            raise ArchiveRefusedError(member.label, "is both a file and a directory")
        if folder.is_declared:
            raise ArchiveRefusedError(member.label, "is there twice")
        folder.is_declared = True

    def add_file(self, parts: tuple[str, ...], member: Member, content: Iterator[memoryview]) -> None:
        """Makes a file with its content."""
        self._check_depth(parts, member)
        children = self._enter(parts[:-1], member)
        if parts[-1] in children:
            is_file = children[parts[-1]] is None
            raise ArchiveRefusedError(member.label, "is there twice" if is_file else "is both a file and a directory")
        self._count(parts, member)
        children[parts[-1]] = None
        with _writing(self._top):
            descriptor = os.open(parts[-1], _NEW_FILE, member.mode & 0o755 | 0o600, dir_fd=self._open[-1])
        try:
            for piece in content:
                with _writing(self._top):
                    _write(descriptor, piece)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Lets go of the directories."""
        for descriptor in self._open:
            os.close(descriptor)

    def _enter(self, parts: tuple[str, ...], member: Member) -> dict[str, _Folder | None]:
        """Opens a directory, and makes what is missing on the way; what is in it."""
        common = 0
        while common < min(len(parts), len(self._path)) and parts[common] == self._path[common]:
            common += 1
        while len(self._path) > common:
            self._path.pop()
            self._folders.pop()
            os.close(self._open.pop())
        for depth, name in enumerate(parts[common:], common + 1):
            children = self._folders[-1].children
            if name not in children:
                self._count(parts[:depth], member)
                with _writing(self._top):
                    os.mkdir(name, 0o755, dir_fd=self._open[-1])
                children[name] = _Folder(is_declared=False)
            folder = children[name]
            if folder is None:
                raise ArchiveRefusedError(member.label, "is below a file")
            with _writing(self._top):
                self._open.append(os.open(name, _DIRECTORY, dir_fd=self._open[-1]))
            self._folders.append(folder)
            self._path.append(name)
        return self._folders[-1].children

    def _count(self, parts: tuple[str, ...], member: Member) -> None:
        """One more entry of this name."""
        limits = self._limits
        self._entries += 1
        if self._entries > limits.max_entries:
            raise ArchiveRefusedError(
                member.label, f"is one more than the {limits.max_entries} entries allowed (max_entries)"
            )
        self._name_bytes += len("/".join(parts).encode())
        if self._name_bytes > limits.max_name_bytes:
            allowed = format_bytes(limits.max_name_bytes)
            raise ArchiveRefusedError(
                member.label, f"makes all names together longer than the {allowed} allowed: pack it all into one file"
            )

    def _check_depth(self, parts: tuple[str, ...], member: Member) -> None:
        allowed = self._limits.max_depth
        if len(parts) > allowed:
            raise ArchiveRefusedError(member.label, f"is deeper than the {allowed} steps allowed (max_depth)")


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Around our own file system calls alone: an `OSError` of the stream is not ours to explain."""
    try:
        yield
    except OSError as error:
        raise StateError(f"{target} cannot be written: {error.strerror}") from error
