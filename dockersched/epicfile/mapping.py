"""Epics that are data of a program: the same keys as in a file, the same checks."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from dockersched.epic import Epic
from dockersched.epicfile.findings import dotted
from dockersched.epicfile.load import load_text
from dockersched.epicfile.reader import MAX_DEPTH
from dockersched.epicfile.source import MAX_BYTES
from dockersched.errors import EpicError, Problem

_NAME = "<mapping>"
_LEAST_BYTES = 2
"""Of a value in JSON: a digit and a comma."""

_MOST_BITS = 1_024
"""Of a whole number: as large as a float can be."""


def load_mapping(data: Mapping[str, object]) -> Epic:
    """Reads an epic from data with the keys and values of an epic file; relative paths are from the current folder.

    Args:
        data: mappings with texts as keys, lists or tuples, texts, paths, numbers, booleans and None.

    Raises:
        EpicError: all that is wrong with it. The problems have the path of keys to the place, but no line.
    """
    try:
        return dataclasses.replace(load_text(json.dumps(_Plain().of(data)), _NAME), source=None)
    except EpicError as error:
        raise EpicError([replace(problem, file=None, line=0, column=0) for problem in error.problems]) from None


class _Plain:
    """Makes values of what JSON can hold, no more than an epic may have: what is in several places counts for each."""

    def __init__(self) -> None:
        self._left = MAX_BYTES
        self._path: list[str | int] = []

    def of(self, value: object) -> object:
        """The value as JSON can hold it.

        Raises:
            EpicError: it cannot.
        """
        self._left -= len(value) if isinstance(value, str) else _LEAST_BYTES
        if self._left < 0:
            raise _misfit([], f"is larger than {MAX_BYTES // 2**20} MiB: split it into several epics")
        match value:
            case None | str() | bool():
                return value
            case int() if value.bit_length() <= _MOST_BITS:
                return value
            case float() if math.isfinite(value):
                return value
            case Mapping():
                return {self._key(key): self._inner(inner, key) for key, inner in value.items()}
            case list() | tuple():
                return [self._inner(inner, index) for index, inner in enumerate(value)]
            case os.PathLike() if isinstance(written := os.fspath(value), str):
                return written
            case int():
                raise _misfit(self._path, "is a number that is too large for any key: give a smaller one")
            case float():
                raise _misfit(self._path, f"is {value}, which is no number of an epic file")
        kind = type(value).__name__
        message = f"is a {kind}, which no epic file can hold: give a mapping, a list, a text or a number"
        raise _misfit(self._path, message)

    def _inner(self, value: object, step: str | int) -> object:
        self._path.append(step)
        if len(self._path) > MAX_DEPTH:
            raise _misfit(self._path, f"more than {MAX_DEPTH} levels deep, or holds itself: make it flat")
        plain = self.of(value)
        self._path.pop()
        return plain

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise _misfit(self._path, f"has the key {key!r}, which is no text: write {str(key)!r}")
        self._left -= len(key)
        return key


def _misfit(steps: Sequence[str | int], message: str) -> EpicError:
    path = tuple(steps)
    return EpicError([Problem(f"{dotted(path) or 'the epic'}: {message}", path)])
