"""What is wrong with a file, before and after its place in the file is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from dockersched.epicfile.values import shown
from dockersched.errors import Problem

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_$-]{1,80}")


class Position(NamedTuple):
    """Line and column, from 1."""

    line: int
    column: int


class Places(NamedTuple):
    """Where a value stands, and where its key does; the same for what has no key."""

    key: Position
    value: Position


class Finding(NamedTuple):
    """One thing that is wrong, at a path of the file's data.

    Args:
        message: what is wrong and what to do about it, without the path.
        path: keys and list positions that lead to it.
        at_key: the fault is the key, or what is missing below it, rather than its value.
        position: where it stands, when that is known already.
        prefixed: whether the message is to begin with the path.
    """

    message: str
    path: Path = ()
    at_key: bool = False
    position: Position | None = None
    prefixed: bool = True


def dotted(path: Path) -> str:
    """A path as people write it: `tasks.lint.args[2]`."""
    steps: list[str] = []
    for step in path:
        if isinstance(step, int):
            steps.append(f"[{step}]")
        else:
            steps.append(f".{step if _PLAIN_KEY.fullmatch(step) else shown(step)}")
    return "".join(steps).removeprefix(".")


def places_of(path: Path) -> Iterator[Path]:
    """Where a path may stand in a file, best first: itself, in the defaults, or what it is missing from."""
    yield path
    if path[:1] == ("tasks",) and len(path) > 2:
        yield ("defaults", *path[2:])
    for length in range(len(path) - 1, -1, -1):
        yield path[:length]


def to_problems(findings: Iterable[Finding], places: Mapping[Path, Places], name: str) -> list[Problem]:
    """Findings with their places, sorted; a mistake in the defaults is one, however many tasks inherit it."""
    problems: list[Problem] = []
    first_heirs: dict[Path | None, Path] = {}
    for finding in findings:
        found = next((path for path in places_of(finding.path) if path in places), None)
        if _is_inherited(finding, found) and first_heirs.setdefault(found, finding.path) != finding.path:
            continue
        line, column = finding.position or _position(finding, found, places)
        prefix = f"{dotted(finding.path)}: " if finding.path and finding.prefixed else ""
        problems.append(Problem(prefix + finding.message, finding.path, name, line, column))
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _position(finding: Finding, found: Path | None, places: Mapping[Path, Places]) -> Position:
    if found is None:
        return Position(1, 1)
    missing = len(found) < len(finding.path) and not _is_inherited(finding, found)
    return places[found].key if missing or finding.at_key else places[found].value


def _is_inherited(finding: Finding, found: Path | None) -> bool:
    """Whether a fault of a task was found to stand in the defaults."""
    return (
        finding.position is None and finding.path[:1] == ("tasks",) and found is not None and found[:1] == ("defaults",)
    )
