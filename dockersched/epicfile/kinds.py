"""What a value of an epic file may be: a function that reads it, and the JSON Schema of what that accepts.

A reader makes a value of what the file holds, or raises ValueError with the words for what is wrong. The readers of
lists and maps go on after a fault, and raise all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar, get_args

from dockersched.epicfile import wording
from dockersched.epicfile.findings import Finding, Path
from dockersched.epicfile.values import NO_VALUE
from dockersched.graph.problems import MAX_SUGGESTIONS

_Value = TypeVar("_Value")


class Kind(Generic[_Value]):
    """What a value may be.

    Args:
        read: makes a value of what the file holds, which is never null. It raises ValueError.
        schema: the JSON Schema of what it accepts, with its words in alphabetical order.
        maps: the classes of maps that the schema refers to.
    """

    __slots__ = ("maps", "read", "schema")

    def __init__(self, read: Callable[[Any], _Value], schema: dict[str, Any], maps: tuple[type[Any], ...] = ()) -> None:
        self.read = read
        self.schema = schema
        self.maps = maps

    def after(self, prepare: Callable[[object], object]) -> Kind[_Value]:
        """This kind, of what `prepare` makes of a value or refuses with a ValueError; the schema stays."""
        return Kind(lambda value: self.read(prepare(value)), self.schema, self.maps)


class Fault(NamedTuple):
    """One thing that is wrong with a value.

    Attributes:
        words: what is wrong. For an unknown word a function, told whether it may look for a known one that is near.
        path: of the part of the value.
        at_key: the fault is the part's key, or that there is no value.
    """

    words: str | Callable[[bool], str]
    path: Path = ()
    at_key: bool = False


class RefusedError(ValueError):
    """A value that has faults, in the order of its declaration."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__()
        self.faults = faults


def findings_of(error: ValueError) -> Iterator[Finding]:
    """All that a reader has found; near words are looked for as often as somebody reads them."""
    unknown = 0
    for words, path, at_key in _faults_of(error, at_key=False):
        if not isinstance(words, str):
            unknown += 1
            yield Finding(words(unknown <= MAX_SUGGESTIONS), path, at_key)
        else:
            yield Finding(words, path, at_key)


def _faults_of(error: ValueError, *, at_key: bool) -> tuple[Fault, ...]:
    return error.faults if isinstance(error, RefusedError) else (Fault(str(error), at_key=at_key),)


def read_part(kind: Kind[Any], part: object, step: str | int, faults: list[Fault], *, at_key: bool = False) -> Any:
    """Reads a part of a map or list; what is wrong with it goes to the faults of that.

    Args:
        kind: of the part.
        part: as the file has it.
        step: its key or position.
        faults: of what it is a part of.
        at_key: it is a key itself.
    """
    if part is None:
        faults.append(Fault(NO_VALUE, (step,), at_key=True))
        return None
    try:
        return kind.read(part)
    except ValueError as error:
        faults += [fault._replace(path=(step, *fault.path)) for fault in _faults_of(error, at_key=at_key)]
        return None


def list_of(item: Kind[_Value], *, unique: bool = False) -> Kind[list[_Value]]:
    """A list; of different items, if it is `unique`."""

    def read(value: object) -> list[_Value]:
        if not isinstance(value, list):
            raise ValueError(wording.no_list(value))
        faults: list[Fault] = []
        items = [read_part(item, part, position, faults) for position, part in enumerate(value)]
        if faults:
            raise RefusedError(*faults)
        if unique:
            check_unique(items)
        return items

    different = {"uniqueItems": True} if unique else {}
    return Kind(read, {"items": item.schema, "type": "array", **different}, item.maps)


def check_unique(items: Iterable[Hashable]) -> None:
    """Refuses what is listed twice."""
    seen: set[Hashable] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"{item!r} is listed twice: remove one")
        seen.add(item)


def map_of(name: Kind[str], item: Kind[_Value], *, empty: str = "") -> Kind[dict[str, _Value]]:
    """A map with keys that people choose.

    Args:
        name: of the keys, with a pattern in its schema.
        item: of the values.
        empty: what to say of a map that holds nothing, if that is wrong.
    """

    def read(value: object) -> dict[str, _Value]:
        if not isinstance(value, dict):
            raise ValueError(wording.no_map(value))
        if empty and not value:
            raise ValueError(empty)
        faults: list[Fault] = []
        items = {
            read_part(name, key, key, faults, at_key=True): read_part(item, part, key, faults)
            for key, part in value.items()
        }
        if faults:
            raise RefusedError(*faults)
        return items

    schema: dict[str, Any] = {"minProperties": 1} if empty else {}
    schema |= {"patternProperties": {name.schema["pattern"]: item.schema}, "type": "object"}
    return Kind(read, schema | {"additionalProperties": False}, item.maps)


def choice_of(literal: Any) -> Kind[Any]:
    """One of the texts of a `Literal`."""
    choices: tuple[str, ...] = get_args(literal)

    def read(value: object) -> Any:
        if value not in choices:
            raise ValueError(wording.no_choice(value, choices))
        return value

    return Kind(read, {"enum": list(choices), "type": "string"})
