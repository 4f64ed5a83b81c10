"""Epics that are data of a program: the same keys as in a file, the same checks."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping

from msgspec.structs import replace

from dockersched.epic import Epic
from dockersched.epicfile.findings import Path, dotted
from dockersched.epicfile.load import load_text
from dockersched.epicfile.reader import MAX_DEPTH
from dockersched.errors import EpicError, Problem

_NAME = "<mapping>"


def load_mapping(data: Mapping[str, object]) -> Epic:
    """Reads an epic from data with the keys and values of an epic file; relative paths are from the current folder.

    Args:
        data: mappings with texts as keys, lists or tuples, texts, paths, numbers, booleans and None.

    Raises:
        EpicError: all that is wrong with it. The problems have the path of keys to the place, but no line.
    """
    try:
        return dataclasses.replace(load_text(json.dumps(_plain(data, ())), _NAME), source=None)
    except EpicError as error:
        raise EpicError([replace(problem, file=None, line=0, column=0) for problem in error.problems]) from None


def _plain(value: object, path: Path) -> object:
    """The value as JSON can hold it."""
    if len(path) > MAX_DEPTH:
        raise _misfit(path, f"more than {MAX_DEPTH} levels deep, or holds itself: make it flat")
    match value:
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise _misfit(path, f"has the key {key!r}, which is no text: write {str(key)!r}")
            return {key: _plain(inner, (*path, key)) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, (*path, index)) for index, inner in enumerate(value)]
        case os.PathLike():
            return os.fspath(value)
        case float() if not math.isfinite(value):
            raise _misfit(path, f"is {value}, which is no number of an epic file")
        case None | str() | bool() | int() | float():
            return value
    kind = type(value).__name__
    raise _misfit(path, f"is a {kind}, which no epic file can hold: give a mapping, a list, a text or a number")


def _misfit(path: Path, message: str) -> EpicError:
    return EpicError([Problem(f"{dotted(path) or 'the epic'}: {message}", path)])
