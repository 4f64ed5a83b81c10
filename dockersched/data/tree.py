"""What a tree of files is made of: a manifest of names, sizes and hashes, itself named by its hash."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NewType

from msgspec import Struct
from msgspec.structs import asdict

from dockersched.errors import StateError

TreeDigest = NewType("TreeDigest", str)
"""SHA-256 of a tree's manifest, in hexadecimal."""

_VERSION = 1
_PIECE = 1 << 20


class Node(Struct, frozen=True):
    """A file or a directory of a tree.

    Attributes:
        path: relative to the top.
        sha256: of a file's content; empty for a directory.
        size: of a file's content.
        executable: whether a file may be executed.
    """

    path: str
    sha256: str = ""
    size: int = 0
    executable: bool = False

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return not self.sha256

    @property
    def mode(self) -> int:
        """The permissions that a writable copy has."""
        return 0o755 if self.executable or self.is_directory else 0o644


class Tree(Struct, frozen=True):
    """A tree; its nodes are sorted, a directory before what is in it."""

    nodes: tuple[Node, ...]

    @property
    def size_bytes(self) -> int:
        """Content of all files together."""
        return sum(node.size for node in self.nodes)

    def to_bytes(self) -> bytes:
        """The manifest; the same for the same tree."""
        document = {"version": _VERSION, "nodes": [asdict(node) for node in self.nodes]}
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes, digest: TreeDigest) -> Tree:
        """The tree of a manifest.

        Raises:
            StateError: the manifest is not the one that the digest names, or of a later version.
        """
        if hashlib.sha256(data).hexdigest() != digest:
            raise StateError(f"tree {digest} is damaged: its manifest does not have this digest")
        document = json.loads(data)
        if document["version"] != _VERSION:
            raise StateError(f"tree {digest} is of version {document['version']}; this dockersched reads {_VERSION}")
        return cls(tuple(Node(**node) for node in document["nodes"]))


def tree_of(directory: Path) -> Tree:
    """Reads a directory.

    Raises:
        StateError: there is anything in it but files and directories.
        OSError: it cannot be read.
    """
    nodes: list[Node] = []
    waiting = _names_in(directory, "")
    while waiting:
        path = waiting.pop()
        mode = (directory / path).lstat().st_mode
        if stat.S_ISDIR(mode):
            nodes.append(Node(path))
            waiting += _names_in(directory, path)
        elif stat.S_ISREG(mode):
            nodes.append(_file(directory / path, path))
        else:
            raise StateError(f"{directory / path} is neither a file nor a directory")
    return Tree(tuple(nodes))


def verified_pieces(path: Path, node: Node) -> Iterator[bytes]:
    """The content of a file, and an error after it when it is not what the node says.

    Raises:
        StateError: the file cannot be read, or its content is damaged; it never gives more than the node's size.
    """
    digest = hashlib.sha256()
    left = node.size
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                if len(piece) > left:
                    break
                left -= len(piece)
                yield piece
    except OSError as error:
        raise StateError(f"{node.path} cannot be read from {path}: {error.strerror}") from error
    if left or digest.hexdigest() != node.sha256:
        raise StateError(f"{node.path} is damaged: {path} is not the content that was stored")


def _names_in(top: Path, folder: str) -> list[str]:
    """Paths of all that is in a folder, the last one first."""
    names = sorted(os.listdir(top / folder), reverse=True)  # noqa: PTH208 - names alone
    return [f"{folder}/{name}" for name in names] if folder else names


def _file(path: Path, name: str) -> Node:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = os.fstat(descriptor)
    return Node(name, digest, status.st_size, executable=bool(status.st_mode & 0o100))
