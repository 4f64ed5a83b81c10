"""The combinations of values that a matrix stands for, by the rules of GitHub Actions.

What those let pass in silence is a problem here: a name that no axis has, an exclusion that excludes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

from dockersched.epicfile import values
from dockersched.epicfile.allowance import Allowance
from dockersched.epicfile.findings import Finding, Path
from dockersched.epicfile.kinds import Kind
from dockersched.graph.problems import suggestion

MAX_INSTANCES = 256
"""As many as GitHub allows; a matrix is written in a moment, and each instance is a container."""

AXIS_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]{0,62}"

MAX_NAMED = 10
"""Lists that a message names."""

_AXIS = re.compile(AXIS_PATTERN)
_SCALAR = {"type": ["string", "number", "boolean"]}
_ENTRIES = {
    "items": {
        "additionalProperties": _SCALAR,
        "minProperties": 1,
        "propertyNames": {"pattern": f"^(?:{AXIS_PATTERN})$"},
        "type": "object",
    },
    "minItems": 1,
    "type": "array",
}
_SCHEMA = {
    "additionalProperties": {"items": _SCALAR, "minItems": 1, "type": "array"},
    "minProperties": 1,
    "properties": {
        "exclude": {"description": "Combinations to leave out: all that have these values."} | _ENTRIES,
        "include": {
            "description": "Values to add to the combinations that they agree with, or else further combinations."
        }
        | _ENTRIES,
    },
    "propertyNames": {"pattern": f"^(?:{AXIS_PATTERN})$"},
    "type": "object",
}

MATRIX: Kind[Any] = Kind(lambda value: value, _SCHEMA)
"""What of it is wrong is found when tasks are expanded, before the keys of a task are looked at."""


class Combination:
    """The values of one instance.

    Attributes:
        values: by name.
        naming: the values that the instance is called after; what `include` adds to it later is not among them.
    """

    __slots__ = ("naming", "values")

    def __init__(self, given: dict[str, str]) -> None:
        self.values = given
        self.naming = tuple(given.values())


class _Unusable(Exception):  # noqa: N818 - carries a finding, is no error of its own
    def __init__(self, message: str, *path: str | int, at_key: bool = False) -> None:
        super().__init__(message)
        self.finding = Finding(message, path, at_key=at_key)


def combinations(matrix: object, path: Path, allowance: Allowance) -> tuple[list[Combination], list[Finding]]:
    """All combinations, the last axis varying fastest, or the first thing that is wrong with the matrix.

    Args:
        matrix: as it is written in the file.
        path: where that is.
        allowance: of the file, from which this matrix takes.

    Raises:
        SpentError: there is not enough left.
    """
    try:
        return _combinations(matrix, allowance), []
    except _Unusable as error:
        return [], [error.finding._replace(path=(*path, *error.finding.path))]


def _combinations(matrix: object, allowance: Allowance) -> list[Combination]:
    if not isinstance(matrix, dict):
        raise _Unusable(_no_map(matrix), at_key=matrix is None)
    axes = {name: _axis(name, given) for name, given in matrix.items() if name not in {"include", "exclude"}}
    count = prod(map(len, axes.values()))
    if count > MAX_INSTANCES:
        raise _too_many(count)
    allowance.take("values", count * len(axes))
    combined = [Combination(dict(zip(axes, chosen, strict=True))) for chosen in product(*axes.values())] if axes else []
    for position, entry in _entries(matrix, "exclude"):
        _check_names(entry, axes, position)
        allowance.take("values", len(combined) * len(entry))
        kept = [combination for combination in combined if not entry.items() <= combination.values.items()]
        if len(kept) == len(combined):
            raise _Unusable("excludes nothing: no combination that is left has these values", "exclude", position)
        combined = kept
    _include(combined, axes, matrix, allowance)
    if not combined:
        raise _Unusable("leaves no combination: give it a list of values", at_key=True)
    if len(combined) > MAX_INSTANCES:
        raise _too_many(len(combined))
    return combined


def _include(
    combined: list[Combination], axes: Mapping[str, list[str]], matrix: dict[str, Any], allowance: Allowance
) -> None:
    """Each entry goes to all combinations of the axes whose own values it does not change; else it is one itself."""
    crossed = list(combined)
    for _, entry in _entries(matrix, "include"):
        allowance.take("values", (len(crossed) + 1) * len(entry))
        own = {name: value for name, value in entry.items() if name in axes}
        takers = [combination for combination in crossed if own.items() <= combination.values.items()]
        for combination in takers:
            combination.values.update(entry)
        if not takers:
            combined.append(Combination({name: entry[name] for name in sorted(entry, key=_rank(axes, entry))}))


def _rank(axes: Mapping[str, object], entry: Mapping[str, object]) -> Any:
    return {name: rank for rank, name in enumerate(dict.fromkeys((*axes, *entry)))}.__getitem__


def _axis(name: str, given: object) -> list[str]:
    _check_name(name, name)
    if not isinstance(given, list):
        raise _Unusable(f"is {values.shown(given)}, not a list: write it like [one, two]", name, at_key=given is None)
    if not given:
        raise _Unusable("holds nothing: give it a value, or remove the key", name)
    if len(given) > MAX_INSTANCES:
        raise _too_many(len(given))
    written: dict[str, None] = {}
    for position, entry in enumerate(given):
        value = _value(entry, name, position)
        if value in written:
            raise _Unusable(f"{values.shown(value)} is listed twice: remove one", name, position)
        written[value] = None
    return list(written)


def _entries(matrix: dict[str, Any], key: str) -> Iterator[tuple[int, dict[str, str]]]:
    if key not in matrix:
        return
    entries = matrix[key]
    if not isinstance(entries, list) or not entries:
        raise _Unusable("is not a list of maps: write it like [{name: value}]", key, at_key=entries is None)
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or not entry:
            raise _Unusable("is not a map of names to values: write it like {name: value}", key, position)
        for name in entry:
            _check_name(name, key, position, name)
        yield position, {name: _value(value, key, position, name) for name, value in entry.items()}


def _check_name(name: str, *path: str | int) -> None:
    if not _AXIS.fullmatch(name):
        rule = "use up to 63 letters, digits, '_' and '-', and begin with a letter or '_'"
        raise _Unusable(f"{values.shown(name)} cannot be a name in a matrix: {rule}", *path, at_key=True)


def _check_names(entry: Mapping[str, str], axes: Mapping[str, list[str]], position: int) -> None:
    for name in entry:
        if name not in axes:
            near = suggestion(name, list(axes)) or f"; there are {', '.join(list(axes)[:MAX_NAMED]) or 'none'}"
            raise _Unusable(f"is no list of this matrix{near}", "exclude", position, name, at_key=True)


def _value(value: object, *path: str | int) -> str:
    try:
        return values.word(value)
    except ValueError as error:
        raise _Unusable(str(error), *path) from None


def _no_map(matrix: object) -> str:
    if matrix is None:
        return values.NO_VALUE
    kind = values.shown(matrix) if isinstance(matrix, list) else f"the value {values.shown(matrix)}"
    return f"is {kind}, not a map: write it like {{python: ['3.11', '3.12']}}"


def _too_many(count: int) -> _Unusable:
    message = f"makes {count} instances, and {MAX_INSTANCES} is the most: take values away, or make several tasks"
    return _Unusable(message, at_key=True)
