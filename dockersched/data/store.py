"""Keeps trees of files by their content, each file once, and gives them out verified.

    objects/<aa>/<rest>      a file, or a tree's manifest, by its SHA-256; read-only
    objects/<aa>/<rest>.x    a file that may be executed: permissions belong to the file, not to its names
    packs/<digest>.tar       what `pack.py` packs
    lock                     shared by those who add, exclusive for who prunes

Names appear when content is safe on disk, so a crash leaves at worst unfinished files, which `prune` removes. Any
number of processes may use a store at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from dockersched.data.extract import replace_directory
from dockersched.data.files import TEMPORARY, locked_alone, locked_shared, replace_durably, sync_directory
from dockersched.data.pack import PACKS
from dockersched.data.tarformat import DIRECTORY, END, FILE, header, padding
from dockersched.data.tree import Node, Tree, TreeDigest, tree_of, verified_pieces
from dockersched.errors import StateError

__all__ = ["PRUNE_GRACE_S", "ContentStore", "TreeDigest"]

_OBJECTS = "objects"
PRUNE_GRACE_S = 3600.0
_NO_LINK = frozenset((errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP))
"""Another file system, one without hard links, or a file that has as many names as it may."""

_PIECE = 1 << 18


class ContentStore:
    """A store on disk; made when it is first added to. Its methods block.

    Args:
        root: its directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._objects = root / _OBJECTS

    def add_tree(self, directory: Path) -> TreeDigest:
        """Adds a directory; its files become read-only names of the store's objects, so nothing is copied.

        Of modes only who may execute is kept. The directory must be on the store's file system for that; on another
        one its files are copied into the store, and stay as they are.

        Raises:
            StateError: the directory holds anything but files and directories, or the disk cannot be written to.
        """
        with _explained(f"{directory} cannot be stored"), locked_shared(self._root):
            tree = tree_of(directory)
            files = [node for node in tree.nodes if not node.is_directory]
            for node in files:
                self._add(directory / node.path, node)
            for shard in {self._object(node).parent for node in files}:
                sync_directory(shard)
            data = tree.to_bytes()
            digest = TreeDigest(hashlib.sha256(data).hexdigest())
            with replace_durably(self._path(digest).parent) as file:
                file.write(data)
                file.publish(self._path(digest).name)
            return digest

    def tree(self, digest: TreeDigest) -> Tree:
        """What is in a tree.

        Raises:
            StateError: the tree is not in the store, or its manifest is damaged.
        """
        try:
            data = self._path(digest).read_bytes()
        except OSError as error:
            raise StateError(f"tree {digest} is not in the store {self._root}: {error.strerror}") from error
        return Tree.from_bytes(data, digest)

    def materialise(self, digest: TreeDigest, target: Path, *, link: bool = True) -> None:
        """Makes a tree into the directory `target`, every file verified; what was there is replaced.

        Args:
            digest: the tree.
            target: the directory to make; the one above it must exist.
            link: whether its files may be names of the store's own read-only files, where the file system allows it;
                the tree counts as added now, since who takes it over may not be on record yet. Else they are copies,
                to be written to at will, and the store is only read.

        Raises:
            StateError: a file is gone or damaged (it is named), or the disk cannot be written to.
        """
        fresh = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
        with _explained(f"{target} cannot be written"), locked_shared(self._root) if link else nullcontext():
            try:
                fresh.mkdir()
                tree = self.tree(digest)
                if link:
                    os.utime(self._path(digest))
                for node in tree.nodes:
                    self._make(node, fresh / node.path, link=link)
                replace_directory(fresh, target)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)

    def open_tar(self, digest: TreeDigest, *, prefix: str = "", uid: int = 0, gid: int = 0) -> Iterator[bytes]:
        """A tree as a tar stream, each file verified while it is read.

        Args:
            digest: the tree.
            prefix: directory that everything is put below, as `in/report`; it is part of the stream.
            uid: owner of everything.
            gid: group of everything.

        Raises:
            StateError: a file is gone or damaged; it is named, and the stream has no end by which it could be taken
                for whole.
        """
        buffer = bytearray()
        for piece in self._tar(self.tree(digest), prefix.strip("/"), uid, gid):
            buffer += piece
            if len(buffer) >= _PIECE:
                yield bytes(buffer)
                buffer.clear()
        yield bytes(buffer)

    def verify(self, digest: TreeDigest) -> None:
        """Reads all of a tree.

        Raises:
            StateError: a file is gone or damaged; it is named.
        """
        for node in self.tree(digest).nodes:
            if not node.is_directory:
                self._check(node)

    def prune(self, keep: Collection[str], *, grace_s: float = PRUNE_GRACE_S) -> int:
        """Removes what no tree in `keep` needs, packs not in it, and what crashes left.

        Args:
            keep: digests of the trees and packs that stay; those that are gone or damaged keep nothing.
            grace_s: what was added, or added again, less than this many seconds ago stays: its digest may be on its
                way to whoever records it.

        Returns:
            How many bytes are free for it.
        """
        if not self._root.is_dir():
            return 0
        with _explained(f"{self._root} cannot be pruned"), locked_alone(self._root):
            wanted = self._wanted(keep)
            before = time.time() - grace_s
            return sum(_remove(path, before) for path in self._files() if path not in wanted)

    def _add(self, path: Path, node: Node) -> None:
        """Makes a file one with the store's object, which may be the file itself."""
        stored = self._object(node)
        if not self._has(node):
            stored.parent.mkdir(parents=True, exist_ok=True)
            if not _stored_by_link(path, stored, node):
                _stored_by_copy(path, stored, node)
        _replace_by_link(path, stored)

    def _has(self, node: Node) -> bool:
        """Whether an object is there and undamaged; if so it counts as added now."""
        try:
            self._check(node)
        except StateError:
            return False
        os.utime(self._object(node))
        return True

    def _make(self, node: Node, path: Path, *, link: bool) -> None:
        if node.is_directory:
            path.mkdir()
            return
        stored = self._object(node)
        if link:
            self._check(node)
            os.utime(stored)
            try:
                os.link(stored, path)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
            else:
                return
        with path.open("xb") as file:
            for piece in verified_pieces(stored, node):
                file.write(piece)
        path.chmod(node.mode)

    def _check(self, node: Node) -> None:
        for _ in verified_pieces(self._object(node), node):
            pass

    def _tar(self, tree: Tree, prefix: str, uid: int, gid: int) -> Iterator[bytes]:
        steps = prefix.split("/") if prefix else []
        for end in range(1, len(steps) + 1):
            yield header(os.fsencode("/".join(steps[:end]) + "/"), DIRECTORY, mode=0o755, uid=uid, gid=gid)
        for node in tree.nodes:
            name = os.fsencode(f"{prefix}/{node.path}" if prefix else node.path)
            if node.is_directory:
                yield header(name + b"/", DIRECTORY, mode=0o755, uid=uid, gid=gid)
                continue
            yield header(name, FILE, mode=node.mode, size=node.size, uid=uid, gid=gid)
            yield from verified_pieces(self._object(node), node)
            yield bytes(padding(node.size))
        yield END

    def _wanted(self, keep: Collection[str]) -> set[Path]:
        wanted = {self._root / PACKS / f"{digest}.tar" for digest in keep}
        for digest in keep:
            with suppress(StateError):
                tree = self.tree(TreeDigest(digest))
                wanted.add(self._path(digest))
                wanted.update(self._object(node) for node in tree.nodes if not node.is_directory)
        return wanted

    def _files(self) -> Iterator[Path]:
        yield from self._objects.glob("*/*")
        yield from (self._root / PACKS).glob("*")

    def _object(self, node: Node) -> Path:
        return self._path(node.sha256 + (".x" if node.executable else ""))

    def _path(self, name: str) -> Path:
        return self._objects / name[:2] / name[2:]


def _stored_by_link(path: Path, stored: Path, node: Node) -> bool:
    """Gives a file a second name, in the store; False where the file system does not allow it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, node.mode & 0o555)
        os.utime(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh = stored.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        os.link(path, fresh)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    fresh.replace(stored)
    fresh.unlink(missing_ok=True)  # renaming one name of a file to another of its names does nothing
    return True


def _stored_by_copy(path: Path, stored: Path, node: Node) -> None:
    with replace_durably(stored.parent) as file:
        for piece in verified_pieces(path, node):
            file.write(piece)
        file.publish(stored.name, node.mode & 0o555)


def _replace_by_link(path: Path, stored: Path) -> None:
    """Makes a file a name of the store's object, where the file system allows it; else it stays as it is."""
    if path.samefile(stored):
        return
    fresh = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        os.link(stored, fresh)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    else:
        fresh.replace(path)


def _remove(path: Path, before: float) -> int:
    """Removes a file that is older than a moment; how many bytes are free for it."""
    try:
        status = path.stat(follow_symlinks=False)
        if status.st_mtime > before:
            return 0
        path.unlink()
    except FileNotFoundError:
        return 0
    return status.st_size if status.st_nlink == 1 else 0


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(f"{what}: {error.strerror} ({error.filename})") from error
