"""Names of entries in an untrusted archive: whether they are fit to be opened, and how they are shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

_MAX_STEP_BYTES = 255
_MAX_PATH_BYTES = 2048
_SHOWN = 120
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They change the order in which a name is shown."""


def steps_of(name: bytes, *, is_directory: bool) -> tuple[str, ...]:
    """The steps of a name, fit to be opened, one by one, below a directory; none for the top itself.

    Raises:
        ValueError: it is not fit for that; says what of an entry.
    """
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("has a name that is not UTF-8") from None
    if is_directory:
        text = text.removesuffix("/")
    if text == "." and is_directory:
        return ()
    if not text.isprintable() and not _harmless(text):
        raise ValueError("has a control character in its name")
    if len(name) > _MAX_PATH_BYTES:
        raise ValueError(f"has a name of {len(name)} bytes; {_MAX_PATH_BYTES} are allowed")
    steps = tuple(text.removeprefix("./").split("/"))
    for step in steps:
        if problem := _problem_of_step(step, absolute=text.startswith("/")):
            raise ValueError(problem)
    return steps


def label_of(name: bytes, clear: Callable[[bytes], bytes]) -> str:
    """A name for display: no control characters, not too long; cleared before that changes what is to be found."""
    text = name.decode("utf-8", "backslashreplace")
    if len(name) <= _SHOWN and text.isprintable() and text.encode() == name:
        return text
    text = clear(name).decode("utf-8", "backslashreplace")
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:_SHOWN])
    return f"{shown}…" if len(text) > _SHOWN else shown


def _problem_of_step(step: str, *, absolute: bool) -> str | None:
    if absolute:
        return "has an absolute name"
    if step == "..":
        return "leads out by .."
    if step in {"", "."}:
        return "has an empty step in its name"
    if len(step.encode()) > _MAX_STEP_BYTES:
        return f"has a step of more than {_MAX_STEP_BYTES} bytes in its name"
    return None


def _harmless(text: str) -> bool:
    """Whether no character controls a terminal, a line, or the order of display."""
    return not any(char in _BIDI or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in text)
