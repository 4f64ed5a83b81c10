"""Where an epic file comes from: a path or stdin to text, refusing what no epic file can be."""

import re
import sys
from pathlib import Path

from dockersched.errors import EpicError, Problem

MAX_BYTES = 8 * 2**20
"""A file larger than this is refused before it is read: ten thousand tasks take about 2 MiB."""

STDIN = "-"

_NOT_TEXT = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\r(?!\n)"
)
"""Beside what YAML refuses, what shows a file otherwise than it is read: YAML ends lines, and comments with them, at
CR, U+0085, U+2028 and U+2029, editors do not; U+202A to U+202E and U+2066 to U+2069 change the order of what is shown
(https://trojansource.codes)."""

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


def name_of(source: str) -> str:
    """The source as messages call it."""
    return "<stdin>" if source == STDIN else source


def read_source(source: str) -> str:
    """The text of a file, or of stdin for `-`.

    Raises:
        EpicError: it cannot be read, is too large, or is not text.
    """
    try:
        if source == STDIN:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(source, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a NUL in the name
        raise _refusal(source, f"cannot be read: {error}") from error
    return decode(content, name_of(source))


def decode(content: str | bytes, name: str) -> str:
    """The text of an epic file's content.

    Raises:
        EpicError: it is too large, not UTF-8, or holds control characters.
    """
    if len(content) > MAX_BYTES:
        raise _refusal(name, f"is larger than {MAX_BYTES // 2**20} MiB: split it into several epics")
    text = (_utf8(content, name) if isinstance(content, bytes) else content).removeprefix(_BOM)
    found = _NOT_TEXT.search(text)
    if found:
        message = f"control character U+{ord(found[0]):04X}: remove it, or write it as an escape in double quotes"
        raise _refusal(name, message, text[: found.start()])
    return text


def _utf8(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise _refusal(name, "is not UTF-8: save the file as UTF-8", before) from error


def _refusal(name: str, message: str, before: str = "") -> EpicError:
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return EpicError([Problem(message, (), name_of(name), line, column)])
