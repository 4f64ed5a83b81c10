"""Text from untrusted places made fit for a terminal, and colours.

Whatever comes out of a sandbox may try to steer the terminal that shows it: move the cursor over other lines,
set the clipboard, reorder what is read. Only what is written here as an escape sequence is one.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEERING = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f"  # C0 but the tab, DEL, C1
    "\u2028-\u202e\ufff9-\ufffb"  # line ends, bidi, annotations
    # Default_Ignorable_Code_Point (https://www.unicode.org/reports/tr44/), of which text can be made that nobody sees
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]"  # lone surrogates: no encoding has them
)
_UTF8_CONTINUATION = range(0x80, 0xC0)
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_TASK_CODES = ("36", "35", "33", "34", "32", "96", "95", "93", "94", "92")
"""Red is kept for failures."""


def printable(text: str, limit: int | None = None) -> str:
    r"""The text with everything that could steer a terminal or that nobody sees written out (`\x1b`, `\u202e`).

    Tabs stay, and what emoji are joined with where it follows something visible.

    Args:
        text: anything.
        limit: characters after which it is cut, with a mark.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isascii() and text.isprintable() else _STEERING.sub(_written_out_or_joining, text)


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line, printable and bounded."""
    return printable(" ".join(text.split()), limit)


def for_xml(text: str) -> str:
    r"""The text with what XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets) written out, as `\ufffe`."""
    return _not_in_xml().sub(written_out, text)


def _written_out_or_joining(found: re.Match[str]) -> str:
    at = found.start()
    before = found.string[max(0, at - 1) : at]
    joins = found[0] in "\u200d\ufe0f" and before > " "  # else there is nothing to join
    if joins and (before + found[0] == "\ufe0f\u200d" or not _STEERING.match(before)):
        return found[0]
    return written_out(found)


@cache
def _not_in_xml() -> re.Pattern[str]:
    return re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # takes 6 ms


def count_of(number: int, noun: str) -> str:
    """A number of things: `1 task`, `1,000 tasks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def decode(data: bytes, limit: int) -> str:
    """A line of task output, printable; cut after `limit` bytes with a mark, never inside a character."""
    if len(data) <= limit:
        return printable(data.decode("utf-8", "replace"))
    end = limit
    while end > limit - 4 and data[end] in _UTF8_CONTINUATION:
        end -= 1
    return printable(data[:end].decode("utf-8", "replace")) + " … (line cut)"


class TerminalText:
    """Task output on its way to a terminal: nothing is cut, and nothing steers.

    Args:
        encoding: of the terminal.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes) -> bytes:
        """The next chunk, fit for the terminal; what may go on in the one after it comes with that, or at the end."""
        text = self._held + self._decoder.decode(data)
        self._held = "\r" if text.endswith("\r") else ""  # it may belong to a line end
        return self._shown(text.removesuffix(self._held))

    def end(self) -> bytes:
        """What is left when no chunk follows."""
        return self._shown(self._held + self._decoder.decode(b"", final=True))

    def _shown(self, text: str) -> bytes:
        lines = map(printable, text.replace("\r\n", "\n").split("\n"))
        return "\n".join(lines).encode(self._encoding, "backslashreplace")


class Paint:
    """Colours text, or leaves it alone.

    Args:
        enabled: whether the reader shows colours.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    def __call__(self, text: str, *styles: str) -> str:
        """The text in these styles: `bold`, `dim` or a colour."""
        return self._wrap(text, ";".join(_CODES[style] for style in styles))

    def task(self, text: str, task_id: str) -> str:
        """The text in the colour of a task, the same in every run."""
        return self._wrap(text, _TASK_CODES[crc32(task_id.encode("utf-8", "replace")) % len(_TASK_CODES)])

    def _wrap(self, text: str, codes: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self.enabled and codes else text


SHOW_CURSOR = "\x1b[?25h"


def can_move_cursor(environ: Mapping[str, str]) -> bool:
    """Whether a terminal can draw over what it shows; rich takes the same two for such that cannot."""
    return environ.get("TERM", "").lower() not in ("dumb", "unknown")


def colours_wanted(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether to colour (https://no-color.org, https://force-color.org)."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] != "0"
    return terminal and can_move_cursor(environ)


def written_out(found: re.Match[str]) -> str:
    r"""What a pattern found, as `\x1b` or `\u202e`: for `re.sub`."""
    return found[0].encode("unicode_escape").decode("ascii")
