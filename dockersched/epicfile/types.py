"""Kinds of values that several keys of an epic file share."""

from __future__ import annotations

from typing import Any

from dockersched.epicfile import values
from dockersched.epicfile.kinds import Kind, list_of
from dockersched.ids import TASK_ID_PATTERN
from dockersched.model import MIN_CPUS, MIN_MEMORY_BYTES
from dockersched.model.checks import MAX_ID, USER_PATTERN
from dockersched.model.image import IMAGE_PATTERN
from dockersched.units import DURATION_PATTERN, SIZE_PATTERN


def text_schema(pattern: str = r"[\s\S]+") -> dict[str, Any]:
    """The schema of a text that matches a pattern as a whole."""
    return {"pattern": f"^(?:{pattern})$", "type": "string"}


def number_schema(minimum: float, maximum: float, kind: str = "integer") -> dict[str, Any]:
    """The schema of a number within bounds."""
    return {"maximum": maximum, "minimum": minimum, "type": kind}


def either(*schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that may be written in several ways."""
    return {"anyOf": list(schemas)}


def whole(minimum: int, maximum: int = values.MAX_COUNT) -> Kind[int]:
    """A whole number within bounds."""
    return Kind(values.whole(minimum, maximum), number_schema(minimum, maximum))


def factor(minimum: float) -> Kind[float]:
    """A factor from a minimum on."""
    return Kind(values.factor(minimum), number_schema(minimum, values.MAX_FACTOR, "number"))


def size(minimum: int, words: str) -> Kind[int]:
    """A number of bytes, from a minimum that messages call `words`."""
    schema = either(number_schema(minimum, values.MAX_SIZE_BYTES), text_schema(rf"\s*(?:{SIZE_PATTERN})\s*"))
    return Kind(values.size(minimum, words), schema)


def map_or_text(kind: Kind[Any], name: str, pattern: str = r"[\s\S]+") -> Kind[Any]:
    """A map, or a text that stands for its most important key.

    Args:
        kind: of the map.
        name: of that key.
        pattern: of the text, as a whole.
    """
    prepared = kind.after(lambda value: {name: value} if isinstance(value, str) else value)
    return Kind(prepared.read, either(text_schema(pattern), kind.schema), kind.maps)


EPIC_ID = Kind(values.epic_id, text_schema(TASK_ID_PATTERN))
TASK_KEY = Kind(values.task_id, text_schema(TASK_ID_PATTERN))
TASK_ID = Kind(values.task_id, either(text_schema(TASK_ID_PATTERN), {"minimum": 0, "type": "number"}))
TEXT = Kind(values.text, text_schema())
SCRIPT = Kind(values.script, text_schema())
COMMAND = Kind(values.program, text_schema())
WORD = Kind(values.word, {"type": ["string", "number", "boolean"]})
NAME = Kind(values.name, text_schema(r"\S+"))
IMAGE = Kind(values.image, text_schema(rf"{IMAGE_PATTERN}|\S*\$\{{\{{[\s\S]*"))
"""The schema also takes what a matrix has yet to fill in."""

USER = Kind(values.user, either(text_schema(USER_PATTERN), number_schema(0, MAX_ID)))
ABSOLUTE_PATH = Kind(values.absolute_path, text_schema(r"/[\s\S]*"))
VARIABLE = Kind(values.variable, text_schema("[^=]+"))
SWITCH = Kind(values.boolean, {"type": "boolean"})
COUNT = whole(1)
WHOLE_NUMBER = whole(0)
CPUS = Kind(values.cpus, either(number_schema(MIN_CPUS, values.MAX_CPUS, "number"), text_schema(values.NUMBER_PATTERN)))
DURATION = Kind(
    values.duration,
    either(
        {"exclusiveMinimum": 0, "maximum": values.MAX_SECONDS, "type": "number"},
        text_schema(rf"\s*(?:{DURATION_PATTERN})\s*"),
    ),
)
FACTOR = factor(1)
MEMORY_SIZE = size(MIN_MEMORY_BYTES, "6m (the engine's lower limit)")


def _different_numbers(value: object) -> object:
    """Refuses 1 beside 1.0, two ids that are one number to `uniqueItems` of a JSON Schema."""
    written = [one for one in value if isinstance(one, values.Number)] if isinstance(value, list) else []
    if len({values.number_of(one) for one in written}) < len(set(written)):
        raise ValueError("lists a number twice, in two ways: write ids in quotes")
    return value


DEPENDS_ON = list_of(TASK_ID, unique=True).after(_different_numbers)
