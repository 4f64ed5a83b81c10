"""Maps of known keys: a class with one attribute for each key, declared once for the loader and the JSON Schema."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar, cast

from dockersched.epicfile import wording
from dockersched.epicfile.kinds import Fault, Kind, RefusedError, read_part

_Value = TypeVar("_Value")


class Key:
    """A key, as it is declared.

    Attributes:
        attribute: of the class, which has this name where the file has `name`.
        kind: of the value.
        needed: it cannot be left out.
        told: what the JSON Schema tells of it.
    """

    def __init__(self, kind: Kind[Any], name: str, *, needed: bool, told: dict[str, Any]) -> None:
        self.kind = kind
        self.name = name
        self.needed = needed
        self.told = told

    def __set_name__(self, owner: type[Keys], attribute: str) -> None:
        self.attribute = attribute
        self.name = self.name or attribute


def key(kind: Kind[_Value], description: str, *examples: Any, default: Any = None, name: str = "") -> _Value | None:
    """Declares a key that may be left out: then the attribute is None.

    Args:
        kind: of the value.
        description: for the JSON Schema, like the examples.
        examples: values.
        default: only shown; the runner fills it in.
        name: in the file, where Python cannot call the attribute that.
    """
    shown = {} if default is None else {"default": default}
    shown["description"] = description
    if examples:
        shown["examples"] = list(examples)
    return cast("_Value | None", Key(kind, name, needed=False, told=shown))


def needed(kind: Kind[_Value], description: str, *examples: Any, name: str = "") -> _Value:
    """Declares a key that cannot be left out."""
    told = {"description": description, "examples": list(examples)}
    return cast("_Value", Key(kind, name, needed=True, told=told))


class Keys:
    """A map of known keys; without arguments one that has none of them.

    Attributes:
        declared: the keys by their names in the file, those of base classes first.
        noun: what a map with keys that cannot be left out is called.
        more_schema: what its JSON Schema has beside the keys.
    """

    declared: ClassVar[dict[str, Key]] = {}
    noun: ClassVar[str] = "map"
    more_schema: ClassVar[dict[str, Any]] = {}

    _own: ClassVar[dict[str, Key]] = {}

    def __init_subclass__(cls) -> None:
        own = {value.name: value for value in vars(cls).values() if isinstance(value, Key)}
        for declared in own.values():
            setattr(cls, declared.attribute, None)
        cls._own = own
        cls.declared = {}
        for base in reversed(cls.__mro__):
            cls.declared |= vars(base).get("_own", {})

    @classmethod
    def kind(cls) -> Kind[Self]:
        """This map as a value."""
        return Kind(cls.read, {"$ref": f"#/$defs/{cls.__name__}"}, (cls,))

    @classmethod
    def read(cls, value: object) -> Self:
        """Reads a map.

        Raises:
            ValueError: it is none, or all that is wrong with its keys, in the order of their declaration.
        """
        if not isinstance(value, dict):
            raise ValueError(wording.no_map(value))
        faults: list[Fault] = []
        made = cls()
        given = vars(made)
        for name, known in cls.declared.items():
            if name in value:
                given[known.attribute] = read_part(known.kind, value[name], name, faults)
            elif known.needed:
                faults.append(Fault(wording.missing(cls.noun), (name,)))
        if len(given) < len(value):
            faults += [cls._unknown(name) for name in value if name not in cls.declared]
        if faults:
            raise RefusedError(*faults)
        made.check()
        return made

    def check(self) -> None:
        """Raises ValueError for what single keys cannot tell; called when each of them is right."""

    @classmethod
    def refusal(cls, name: str) -> str:
        """Better words for an unknown key than that it is unknown, if there are any."""
        del name
        return ""

    @classmethod
    def _unknown(cls, name: str) -> Fault:
        known = list(cls.declared)
        return Fault(
            lambda suggest: cls.refusal(name) or wording.unknown_key(name, known, suggest=suggest), (name,), at_key=True
        )
