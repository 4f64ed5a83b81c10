"""How much can be given to a program when it starts.

Linux refuses more with "argument list too long" (execve(2), E2BIG), which would look like a failure of the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dockersched.model.references import OPENING, parse_template

MAX_TEXT_BYTES = 131_071
"""Of one argument, or of NAME=VALUE: MAX_ARG_STRLEN without the NUL at the end."""

MAX_BYTES = 2**21 - 2**16
"""Of all arguments and variables: a quarter of the usual limit of the stack, less what image and engine add."""

_SPARE_BYTES = 1 + 8
"""What each takes beside its text: a NUL and a pointer."""

_REMEDY = "put it into a file of the workspace"
_WIDEST = 4
"""Bytes of a character, at most."""


def check_size(command: str, args: Sequence[str], environment: Mapping[str, str]) -> None:
    """Refuses what no program could be started with; what references will be filled in with is not known yet."""
    length = len(command) + sum(map(len, args))
    if environment:
        length += sum(map(len, environment)) + sum(map(len, environment.values()))
    count = 1 + len(args) + len(environment)
    if length * _WIDEST + count * (_SPARE_BYTES + 1) <= MAX_TEXT_BYTES:
        return
    texts = [command, *args, *(f"{name}={value}" for name, value in environment.items())]
    sizes = [_size(text) for text in texts]
    for text, size in zip(texts, sizes, strict=True):
        if size > MAX_TEXT_BYTES:
            raise ValueError(f"{text[:20]!r}... {too_long(size)}")
    if (size := sum(sizes) + len(sizes) * _SPARE_BYTES) > MAX_BYTES:
        raise ValueError(
            f"command, arguments and variables take {size:,} bytes together, and {MAX_BYTES:,} is the most: "
            "put what is long into a file of the workspace"
        )


def too_long(size: int) -> str:
    """What to say of an argument or variable of more than `MAX_TEXT_BYTES`."""
    return f"has {size:,} bytes, and a program is given at most {MAX_TEXT_BYTES:,} at once: {_REMEDY}"


def byte_size(text: str) -> int:
    """The bytes of a text; half a surrogate pair counts as it is encoded, and is refused elsewhere."""
    return len(text.encode("utf-8", "surrogatepass"))


def _size(text: str) -> int:
    size = byte_size(text)
    if size <= MAX_TEXT_BYTES or OPENING not in text:
        return size
    return sum(byte_size(part) for part in parse_template(text).parts if isinstance(part, str))
