"""What a text of an epic file refers to: `${{ matrix.python }}` or `${{ tasks.build.values.version }}`.

`$${{` stands for `${{` itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

# No two finds can share a character, so that looking for all of them takes time in proportion to the text.
_ANY = re.compile(r"(?P<escape>\$)?\$\{\{(?P<inside>[^{}$]{0,300})\}\}")
_OF_MATRIX = "matrix."
_OF_TASK = re.compile(r"tasks\.\S+\.values\.")


class Placeholder(NamedTuple):
    """One reference.

    Attributes:
        written: it, as it is written.
        axis: the name that it asks a matrix for; None where it asks for a value that another task wrote.
    """

    written: str
    axis: str | None


def placeholders(text: Any) -> Iterator[Placeholder]:
    """All that a text refers to; nothing if it is none."""
    for found in _ANY.finditer(text) if type(text) is str and "${{" in text else ():
        axis = _axis(found)
        if not found["escape"] and (axis is not None or _OF_TASK.match(found["inside"].strip())):
            yield Placeholder(found[0], axis)


def filled(text: str, value_of: Callable[[str], str]) -> str:
    """The text with what `value_of` an axis returns in the place of each reference to a matrix."""

    def value(found: re.Match[str]) -> str:
        axis = None if found["escape"] else _axis(found)
        return found[0] if axis is None else value_of(axis)

    return _ANY.sub(value, text)


def check_literal(text: str) -> None:
    """Refuses a reference in a text that is taken as it is written."""
    for found in placeholders(text):
        raise ValueError(
            f"{found.written} is not filled in here, but in args and the values of environment alone, "
            "and that of a matrix in image too"
        )


def _axis(found: re.Match[str]) -> str | None:
    inside = found["inside"].strip()
    return inside.removeprefix(_OF_MATRIX) if inside.startswith(_OF_MATRIX) else None
