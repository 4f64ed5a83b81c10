"""Small values that tasks hand on: what a task wrote to `$DOCKERSCHED_OUTPUT`. Pure.

A task writes lines as to GitHub's `$GITHUB_OUTPUT`: `key=value`, or, for a value of several lines,

    key<<END
    first line
    second line
    END

A later task refers to it as `dockersched.model.references` says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dockersched.errors import ValuesError
from dockersched.model.references import VALUE_KEY_PATTERN, shown
from dockersched.units import format_bytes

MAX_VALUES_BYTES = 64 * 1024
"""All that a task may write; the kernel takes 128 KiB for one environment variable."""

_KEY = re.compile(VALUE_KEY_PATTERN)


def parse_values(data: bytes) -> dict[str, str]:
    r"""The values that a task wrote; of two with the same key the later one counts.

    Lines end with `\n`; a value is everything after the first `=`, exactly. Empty lines are passed over.

    Raises:
        ValuesError: a line is no value, or it is too much, or not text.
    """
    if len(data) > MAX_VALUES_BYTES:
        raise ValuesError(0, f"more than {format_bytes(MAX_VALUES_BYTES)} of values: hand large data on as an output")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValuesError(data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from None
    lines = text.split("\n")
    values: dict[str, str] = {}
    index = 0
    while index < len(lines):
        if lines[index]:
            key, value, taken = _value_at(lines, index)
            values[key] = value
            index += taken
        index += 1
    return values


def _value_at(lines: Sequence[str], index: int) -> tuple[str, str, int]:
    """The key, the value, and how many more lines it takes."""
    line, number = lines[index], index + 1
    found = re.search("=|<<", line)
    if found is None:
        raise ValuesError(number, f"{shown(line)} is no value: write key=value, or key<<END and lines up to END")
    key, rest = line[: found.start()], line[found.end() :]
    if not _KEY.fullmatch(key):
        rule = "write up to 100 letters, digits, _ and -, first a letter or _"
        raise ValuesError(number, f"{shown(key)} is no key: {rule}")
    value, taken = rest, 0
    if found[0] == "<<":
        value, taken = _lines_up_to(rest, lines, index)
    if "\0" in value:
        raise ValuesError(number, f"the value of {key} holds NUL, which no variable can")
    return key, value, taken


def _lines_up_to(delimiter: str, lines: Sequence[str], index: int) -> tuple[str, int]:
    if not delimiter.strip():
        raise ValuesError(index + 1, "<< needs a word that ends the value: write key<<END")
    for end in range(index + 1, len(lines)):
        if lines[end] == delimiter:
            return "\n".join(lines[index + 1 : end]), end - index
    raise ValuesError(index + 1, f"the value does not end: a line {shown(delimiter)} is missing")
