"""Finds what of a directory is to be packed, in an order that depends on names alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, field

from dockersched.data.patterns import Rules, last_verdict

STATE_DIRECTORY = ".dockersched"
"""Never packed: it changes while runs do."""

_GITIGNORE = ".gitignore"
_GITIGNORE_BYTES = 1 << 20
_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class Selection(Struct, frozen=True):
    """Which files of a tree are meant.

    Args:
        include: patterns of what to take; everything when empty.
        exclude: patterns of what to leave out; those with `!` bring back what a `.gitignore` leaves out.
        gitignore: whether the `.gitignore` files of the tree count.
        git: whether `.git` is taken along.
        leave_out: real paths of directories that are left out whatever the patterns say.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    gitignore: bool = True
    git: bool = False
    leave_out: frozenset[str] = frozenset()


class Entry(Struct, frozen=True):
    """One thing to pack: its path relative to the source, what it was when it was found, and a link's target."""

    path: str
    status: os.stat_result
    link: str = ""


class Found(Struct):
    """What a walk found.

    Attributes:
        entries: sorted, a directory before what is in it.
        problems: why the tree cannot be packed, each with its path.
        skipped: what has no content to pack (sockets, pipes, devices), each with its path.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class _Folder(Struct, frozen=True):
    """A directory still to read: the `.gitignore` files above it, and whether `include` names it or one above it."""

    path: str
    rules: tuple[Rules, ...]
    included: bool


def find(source: Path, selection: Selection) -> Found:
    """Everything of a directory that is meant. What the patterns leave out is not even looked at."""
    return _Walk(source, selection).run()


class _Walk:
    def __init__(self, source: Path, selection: Selection) -> None:
        self._root = os.path.realpath(source)
        self._selection = selection
        self._include = Rules(selection.include) if selection.include else None
        self._exclude = Rules(selection.exclude)
        self._found = Found()

    def run(self) -> Found:
        folders = [_Folder("", (), included=self._include is None)]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(Path(self._root, folder.path)) as children:
                    listed = list(children)
            except OSError as error:
                self._problem(folder.path or ".", error)
                continue
            rules = folder.rules + self._gitignore(folder.path, listed)
            for child in listed:
                path = f"{folder.path}/{child.name}" if folder.path else child.name
                below = self._take(child, path, rules, included=folder.included)
                if below is not None:
                    folders.append(below)
        found = self._found
        if self._include is not None:
            found.entries = _without_empty(found.entries, self._include)
        found.entries.sort(key=lambda entry: entry.path.split("/"))
        found.problems.sort()
        found.skipped.sort()
        return found

    def _take(self, child: os.DirEntry[str], path: str, rules: tuple[Rules, ...], *, included: bool) -> _Folder | None:
        """Adds an entry if it is meant; a directory that is to be read comes back."""
        is_directory = child.is_dir(follow_symlinks=False)
        if self._left_out(child, path, rules, is_directory=is_directory):
            return None
        if self._include is not None:
            verdict = self._include.verdict(path, is_directory=is_directory)
            included = included if verdict is None else verdict
        if not included and not is_directory:
            return None
        try:
            entry = self._entry(child, path)
        except OSError as error:
            self._problem(path, error)
            return None
        if entry is not None:
            self._found.entries.append(entry)
        return _Folder(path, rules, included) if is_directory else None

    def _left_out(self, child: os.DirEntry[str], path: str, rules: tuple[Rules, ...], *, is_directory: bool) -> bool:
        if child.name == ".git" and not self._selection.git:
            return True
        if is_directory and (child.name == STATE_DIRECTORY or child.path in self._selection.leave_out):
            return True
        return last_verdict((*rules, self._exclude), path, is_directory=is_directory)

    def _entry(self, child: os.DirEntry[str], path: str) -> Entry | None:
        status = child.stat(follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind in _SPECIAL:
            self._found.skipped.append(f"{path} is {_SPECIAL[kind]}: left out")
            return None
        if kind != stat.S_IFLNK:
            return Entry(path, status)
        target = os.readlink(child.path)  # noqa: PTH115 - a Path would change what the link says
        if leads_out(self._root, path, target):
            self._found.problems.append(
                f"{path} is a link to {target}, out of the directory: exclude it, or make it relative and lead inside"
            )
            return None
        return Entry(path, status, target)

    def _gitignore(self, folder: str, listed: Sequence[os.DirEntry[str]]) -> tuple[Rules, ...]:
        """The rules of a directory's own `.gitignore`; git does not follow one that is a link."""
        if not self._selection.gitignore:
            return ()
        for child in listed:
            if child.name == _GITIGNORE and child.is_file(follow_symlinks=False):
                try:
                    with Path(child.path).open("rb") as file:
                        text = file.read(_GITIGNORE_BYTES).decode("utf-8-sig", "surrogateescape")
                except OSError as error:
                    self._problem(f"{folder}/{_GITIGNORE}" if folder else _GITIGNORE, error)
                    return ()
                return (Rules(text.split("\n"), folder),)
        return ()

    def _problem(self, path: str, error: OSError) -> None:
        self._found.problems.append(f"{path} cannot be read ({error.strerror}): exclude it, or make it readable")


def leads_out(root: str, path: str, target: str) -> bool:
    """Whether a link at `path` leads out of `root`: by its words, or by the links that it meets on its way."""
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for step in target.split("/"):
        depth += -1 if step == ".." else step not in {"", "."}
        if depth < 0:
            return True
    real = os.path.realpath(Path(root, path))
    return real != root and not real.startswith(root.rstrip("/") + "/")


def _without_empty(entries: Sequence[Entry], include: Rules) -> list[Entry]:
    """Without directories that are there only because something in them might have been included."""
    needed: set[str] = set()
    for entry in entries:
        if not stat.S_ISDIR(entry.status.st_mode) or include.verdict(entry.path, is_directory=True):
            parts = entry.path.split("/")
            needed.update("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return [entry for entry in entries if entry.path in needed]
