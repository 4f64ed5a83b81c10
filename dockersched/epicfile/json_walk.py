"""Where things stand in a JSON text, and which keys are there twice.

YAML's reader could tell of most JSON, but not of what `json.dumps` makes of an emoji, nor of long keys.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Collection
from typing import Any

from dockersched.epicfile.findings import Path, Places, Position

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]|[^\s{}\[\],:"]+')


class _Frame:
    """A map or list, the key or index of the value that comes next, and where that key stands."""

    __slots__ = ("key", "key_at", "seen")

    def __init__(self, opening: str) -> None:
        self.key: str | int | None = None if opening == "{" else 0
        self.key_at: int | None = None
        self.seen: set[str] = set()


class JsonWalk:
    """One walk over a text that the JSON reader has taken, without recursion.

    Args:
        text: it.
        wanted: the paths to find.

    Attributes:
        places: of those of them that are there.
        duplicates: the path and place of each key that was in its map before.
    """

    def __init__(self, text: str, wanted: Collection[Path] = ()) -> None:
        self.places: dict[Path, Places] = {}
        self.duplicates: list[tuple[Path, Position]] = []
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._stack: list[_Frame] = []
        for token in _TOKEN.finditer(text):
            self._take(token[0], token.start(), wanted)

    def _take(self, word: str, at: int, wanted: Collection[Path]) -> None:
        frame = self._stack[-1] if self._stack else None
        if word in {"}", "]"}:
            self._stack.pop()
        elif word == "," and frame:
            frame.key = frame.key + 1 if isinstance(frame.key, int) else None
        elif frame and frame.key is None:
            self._key(frame, json.loads(word), at)
        else:
            if wanted and (path := self._path()) in wanted and path not in self.places:
                key_at = at if frame is None or frame.key_at is None else frame.key_at
                self.places[path] = Places(self._position(key_at), self._position(at))
            if word in {"{", "["}:
                self._stack.append(_Frame(word))

    def _key(self, frame: _Frame, key: Any, at: int) -> None:
        frame.key, frame.key_at = key, at
        if key in frame.seen:
            self.duplicates.append((self._path(), self._position(at)))
        frame.seen.add(key)

    def _path(self) -> Path:
        return tuple(frame.key for frame in self._stack if frame.key is not None)

    def _position(self, at: int) -> Position:
        line = bisect_right(self._lines, at)
        return Position(line, at - self._lines[line - 1] + 1)
