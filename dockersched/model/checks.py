"""Checks that the model's classes share: each raises when a value cannot be right."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeGuard

_USUAL = (list, tuple)


def text(name: str, value: object) -> None:
    """Refuses what is no text, an empty one, and one with a NUL."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text that is not empty, not {value!r}")
    if "\0" in value:
        raise ValueError(f"{name} must not contain a NUL character")


MAX_ID = 2**31 - 1
"""The largest uid and gid that engines take."""


_ONE_USER = r"(?:[0-9]{1,10}|[A-Za-z_][A-Za-z0-9_.-]*\$?)"
USER_PATTERN = rf"{_ONE_USER}(?::{_ONE_USER})?"
"""Numbers and names as useradd(8) makes them. Engines read more as a number, `+0` or nothing at all as root, say."""

_USER = re.compile(USER_PATTERN)


def check_user(value: object) -> None:
    """Refuses what is neither numbers nor names of a user and a group, and numbers that no engine takes."""
    text("user", value)
    if not _USER.fullmatch(str(value)):
        raise ValueError(f"user {str(value)[:60]!r} is neither a number nor a name: write it like 1000:1000 or nobody")
    if any(part.isdecimal() and int(part) > MAX_ID for part in str(value).split(":")):
        raise ValueError(f"user {value!r} is out of range: a uid or gid is at most {MAX_ID}")


def texts(name: str, values: object) -> tuple[str, ...]:
    """The values as a tuple; refuses what is no list of texts."""
    # What lists mostly are is asked first: it takes a tenth of the time of asking for any sequence.
    if not isinstance(values, _USUAL) and (isinstance(values, str) or not isinstance(values, Sequence)):
        raise TypeError(f"{name} must be a list of texts, not {values!r}")
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a list of texts, but holds {value!r}")
        if "\0" in value:
            raise ValueError(f"{name} must not contain a NUL character")
    return tuple(values)


def flag(name: str, value: object) -> None:
    """Refuses what is not True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def seconds(name: str, value: object) -> None:
    """Refuses what is no number above 0; None passes."""
    if value is not None and not (is_number(value) and 0 < value < math.inf):
        raise ValueError(f"{name} must be a number of seconds above 0, not {value!r}")


def count(name: str, value: object, *, least: int = 1) -> None:
    """Refuses what is no whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is an int or a float; a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuses what is not among the choices; None passes."""
    if value is not None and value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
