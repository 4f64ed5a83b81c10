"""What the values of an epic file's keys accept, with their JSON Schema; and what the models of its maps share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from dockersched.epicfile import values
from dockersched.ids import TASK_ID_PATTERN
from dockersched.model import MIN_CPUS, MIN_MEMORY_BYTES
from dockersched.model.checks import MAX_ID
from dockersched.units import DURATION_PATTERN, SIZE_PATTERN

_Item = TypeVar("_Item", bound=Hashable)


def text_schema(pattern: str = r"[\s\S]+") -> dict[str, Any]:
    """The schema of a text that matches a pattern as a whole."""
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def either(*schemas: dict[str, Any]) -> WithJsonSchema:
    """The schema of a value that may be written in several ways."""
    return WithJsonSchema({"anyOf": list(schemas)})


class OrText:
    """A map that may be written as one text, which a validator before it makes a map of: for the schema.

    Args:
        pattern: of the text, as a whole.
    """

    def __init__(self, pattern: str = r"[\s\S]+") -> None:
        self._pattern = pattern

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema of either."""
        return {"anyOf": [text_schema(self._pattern), handler(schema)]}


def size_schema(minimum: int) -> WithJsonSchema:
    """The schema of a number of bytes."""
    return either(
        {"type": "integer", "minimum": minimum, "maximum": values.MAX_SIZE_BYTES},
        text_schema(rf"\s*(?:{SIZE_PATTERN})\s*"),
    )


def check_unique(items: Iterable[Hashable]) -> None:
    """Refuses what is listed twice."""
    seen: set[Hashable] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"{item!r} is listed twice: remove one")
        seen.add(item)


def unique(items: list[_Item]) -> list[_Item]:
    """The items, of which none is listed twice."""
    check_unique(items)
    return items


Given = BeforeValidator(values.given)

EpicId = Annotated[str, BeforeValidator(values.epic_id), WithJsonSchema(text_schema(TASK_ID_PATTERN))]
TaskKey = Annotated[str, BeforeValidator(values.task_id), WithJsonSchema(text_schema(TASK_ID_PATTERN))]
TaskId = Annotated[
    str, BeforeValidator(values.task_id), either(text_schema(TASK_ID_PATTERN), {"type": "number", "minimum": 0})
]
Text = Annotated[str, BeforeValidator(values.text), WithJsonSchema(text_schema())]
Command = Annotated[str, BeforeValidator(values.program), WithJsonSchema(text_schema())]
Word = Annotated[str, BeforeValidator(values.word), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Name = Annotated[str, BeforeValidator(values.name), WithJsonSchema(text_schema(r"\S+"))]
User = Annotated[
    str,
    BeforeValidator(values.user),
    either(text_schema(r"\S+"), {"type": "integer", "minimum": 0, "maximum": MAX_ID}),
]
AbsolutePath = Annotated[str, BeforeValidator(values.absolute_path), WithJsonSchema(text_schema(r"/[\s\S]*"))]
Variable = Annotated[str, BeforeValidator(values.variable), WithJsonSchema(text_schema("[^=]+"))]
Switch = Annotated[bool, BeforeValidator(values.boolean)]
Count = Annotated[
    int,
    BeforeValidator(values.whole(1)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": values.MAX_COUNT}),
]
WholeNumber = Annotated[
    int,
    BeforeValidator(values.whole(0)),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": values.MAX_COUNT}),
]
Cpus = Annotated[
    float,
    BeforeValidator(values.cpus),
    either({"type": "number", "minimum": MIN_CPUS, "maximum": values.MAX_CPUS}, text_schema(values.NUMBER_PATTERN)),
]
Duration = Annotated[
    float,
    BeforeValidator(values.duration),
    either(
        {"type": "number", "exclusiveMinimum": 0, "maximum": values.MAX_SECONDS},
        text_schema(rf"\s*(?:{DURATION_PATTERN})\s*"),
    ),
]
Factor = Annotated[
    float,
    BeforeValidator(values.factor(1)),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": values.MAX_FACTOR}),
]
MemorySize = Annotated[
    int,
    BeforeValidator(values.size(MIN_MEMORY_BYTES, "6m (the engine's lower limit)")),
    size_schema(MIN_MEMORY_BYTES),
]
DependsOn = Annotated[list[TaskId], AfterValidator(unique), Field(json_schema_extra={"uniqueItems": True})]


def key(description: str, *examples: Any, default: Any = None) -> Any:
    """A key that may be left out; `default` is only shown, the runner fills it in."""
    shown: dict[str, Any] = {} if default is None else {"default": default}
    return Field(default=None, description=description, examples=list(examples) or None, json_schema_extra=shown)


class Keys(BaseModel):
    """A map of known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
