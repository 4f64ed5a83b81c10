"""Text to plain data, and to positions in it: one walk over YAML's events, without recursion.

JSON is YAML too, but the standard library reads it ten times as fast, so it gets the first try.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from contextlib import suppress
from typing import Any, NoReturn

import yaml
from msgspec import Struct, field

from dockersched.epicfile.findings import Finding, Path, Places, Position
from dockersched.epicfile.json_walk import JsonWalk
from dockersched.epicfile.values import Number, resolve

MAX_DEPTH = 100
MAX_PROBLEMS = 100
"""A file with more problems than this in its YAML alone is not one that somebody repairs line by line."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LIKE_JSON = re.compile(r"\s*\{\s*\"")
_TWICE = "key is used twice in one map: remove or rename one of them"
_UNQUOTED = ("cannot start any token", "mapping values are not allowed")
_SCANNING = ("while scanning an alias", "while scanning an anchor")
"""What YAML says of a text without quotes that begins with a special character, or holds a colon and a space."""

_INSTEAD = "write the value out, or put what tasks share into defaults"


class Document(Struct):
    """What a text holds: `data` is None when the text cannot be read to its end."""

    data: Any = None
    findings: list[Finding] = field(default_factory=list)


def read(text: str) -> Document:
    """Reads a text: maps, lists, `Number`, `Boolean`, None and texts; keys are texts as they are written."""
    found = _read_json(text)
    if isinstance(found, Document):
        return found
    document = _read_yaml(text)
    if document.data is None and found is not None and _LIKE_JSON.match(text):
        # YAML gives up on JSON at a place that has nothing to do with what is wrong.
        document.findings[-1] = Finding(
            f"is not valid JSON: {found.msg[:1].lower()}{found.msg[1:]}", position=Position(found.lineno, found.colno)
        )
    return document


def find_places(text: str, wanted: Collection[Path]) -> dict[Path, Places]:
    """Where the wanted paths stand in a text; those that are not in it are left out."""
    if isinstance(_read_json(text), Document):
        return JsonWalk(text, wanted).places
    walk = _Walk(wanted)
    with suppress(yaml.YAMLError, _UnreadableError):  # what was found before counts
        walk.over(text)
    return walk.places


def _read_json(text: str) -> Document | json.JSONDecodeError | None:
    """What a text holds if it is JSON; if not, the reason where there is one. NaN is a text, as it is to YAML."""
    twice = False

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(pairs)
        twice |= len(found) < len(pairs)
        return found

    if not text.lstrip().startswith("{"):
        return None
    try:
        data = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=str, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        return error
    except RecursionError:
        return None
    duplicates = JsonWalk(text).duplicates[:MAX_PROBLEMS] if twice else []
    return Document(data, [Finding(_TWICE, path, position=position) for path, position in duplicates])


def _read_yaml(text: str) -> Document:
    walk = _Walk()
    try:
        walk.over(text)
    except _UnreadableError:
        return Document(None, walk.findings)
    except yaml.YAMLError as error:
        return Document(None, [*walk.findings, _syntax_finding(error, text)])
    if walk.root is None and not walk.findings:
        walk.findings.append(Finding("the file is empty: an epic needs at least epic and tasks"))
    return Document(walk.root, walk.findings)


def _syntax_finding(error: Any, text: str) -> Finding:
    """What a yaml.YAMLError tells, whose marks are missing where it is about a character alone."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return Finding(f"is not valid YAML: {' '.join(str(error).split())}")
    problem, context = error.problem or "", error.context or ""
    lines = text.splitlines()
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    if rest.startswith("\t"):
        message = "tabs cannot indent YAML: use spaces"
    elif "quoted scalar" in context and "end of stream" in problem:
        mark, message = error.context_mark, "is not valid YAML: this quote is not closed"
    else:
        message = f"is not valid YAML: {problem} {context}".rstrip()
        if context in _SCANNING or any(words in problem for words in _UNQUOTED):
            message += "; put a text in quotes, or below |"
    return Finding(message, position=Position(mark.line + 1, mark.column + 1))


class _UnreadableError(Exception):
    """The rest of the text cannot be read."""


class _Frame:
    """A map or list that is being filled, and the key or index of the value that comes next."""

    __slots__ = ("attached", "container", "key", "key_mark")

    def __init__(self, container: dict[str, Any] | list[Any]) -> None:
        self.container = container
        self.key: str | int | None = 0 if type(container) is list else None
        self.key_mark: Any = None
        self.attached = True


class _Walk:
    """Builds data from events; refuses what epic files do not have; notes the places of wanted paths."""

    def __init__(self, wanted: Collection[Path] = ()) -> None:
        self.root: Any = None
        self.findings: list[Finding] = []
        self.places: dict[Path, Places] = {}
        self._wanted = wanted
        self._stack: list[_Frame] = []
        self._documents = 0

    def over(self, text: str) -> None:
        """Walks over the text.

        Raises:
            yaml.YAMLError: it is not YAML.
            _UnreadableError: it is YAML, but no reader should go on.
        """
        for event in yaml.parse(text, Loader=_LOADER):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._open({}, event)
            elif kind is yaml.SequenceStartEvent:
                self._open([], event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._stack.pop()
                self._next()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self._documents += 1
                if self._documents > 1:
                    self._give_up("a second document begins here: an epic file holds one", event)

    def _scalar(self, event: Any) -> None:
        if self._wants_key():
            self._key(self._stack[-1], event)
        else:
            self._add(resolve(event.value) if event.implicit[0] else event.value, event)
            self._next()

    def _open(self, container: dict[str, Any] | list[Any], event: Any) -> None:
        if self._wants_key():
            self._give_up("a key must be a text, not a map or a list", event)
        if len(self._stack) >= MAX_DEPTH:
            self._give_up(f"nesting is deeper than {MAX_DEPTH} levels", event)
        self._add(container, event)
        self._stack.append(_Frame(container))

    def _alias(self, event: Any) -> None:
        if self._wants_key():
            self._give_up("a key must be a text, not an alias", event)
        if not (self._stack and self._stack[-1].key == "<<"):  # a merge key has been refused as such
            self._find(f"aliases (*{event.anchor}) are refused: {_INSTEAD}", event)
        self._attach(None)
        self._next()

    def _wants_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].key is None

    def _key(self, frame: _Frame, event: Any) -> None:
        key = event.value
        if event.anchor is not None or event.tag is not None:
            self._properties(event)
        frame.attached = False
        if key == "<<" and event.implicit[0]:
            self._find(f"merge keys (<<) are refused: {_INSTEAD}", event)
        elif key in frame.container:
            frame.key = key
            self._find(_TWICE, event)
        else:
            frame.attached = True
        frame.key, frame.key_mark = key, event.start_mark

    def _add(self, value: Any, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._properties(event)
        if self._wanted:
            self._note(event.start_mark)
        self._attach(value)

    def _attach(self, value: Any) -> None:
        if not self._stack:
            self.root = value
            return
        frame = self._stack[-1]
        if type(frame.container) is list:
            frame.container.append(value)
        elif frame.attached:
            frame.container[frame.key] = value  # type: ignore[index]

    def _next(self) -> None:
        if self._stack:
            frame = self._stack[-1]
            frame.key = frame.key + 1 if type(frame.key) is int else None

    def _note(self, mark: Any) -> None:
        path = self._path()
        if path in self._wanted and path not in self.places:
            key_mark = self._stack[-1].key_mark if self._stack else None
            self.places[path] = Places(_position(key_mark or mark), _position(mark))

    def _path(self) -> Path:
        """The path of the value that comes next; of the map, where a key comes next."""
        return tuple(frame.key for frame in self._stack if frame.key is not None)

    def _properties(self, event: Any) -> None:
        if event.anchor is not None:
            self._find(f"anchors (&{event.anchor}) are refused: {_INSTEAD}", event)
        if event.tag is not None:
            self._find("tags (!...) are refused: remove it; quotes make a value a text", event)

    def _find(self, message: str, event: Any) -> None:
        self.findings.append(Finding(message, self._path(), position=_position(event.start_mark)))
        if len(self.findings) >= MAX_PROBLEMS:
            self._give_up("too many problems: reading stops here", event)

    def _give_up(self, message: str, event: Any) -> NoReturn:
        self.findings.append(Finding(message, position=_position(event.start_mark)))
        raise _UnreadableError


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)
