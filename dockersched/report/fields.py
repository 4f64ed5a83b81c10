"""Tables of fields, from which a document and its JSON Schema are made, so that they cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

from dockersched.states import Reason

Schema = dict[str, object]
_Source = TypeVar("_Source")
_Source_contra = TypeVar("_Source_contra", contravariant=True)

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$",
}


class Field(NamedTuple, Generic[_Source_contra]):
    """One key of a document: what it is called, what it means, its schema, and where its value is from."""

    key: str
    description: str
    schema: Schema
    value: Callable[[_Source_contra], object]


def values_of(fields: Sequence[Field[_Source]], source: _Source) -> dict[str, object]:
    """The document that a table makes of its source."""
    return {field.key: field.value(source) for field in fields}


def object_schema(fields: Sequence[Field[_Source]]) -> Schema:
    """The schema of that document."""
    return {
        "type": "object",
        "required": [field.key for field in fields],
        "properties": {field.key: {"description": field.description, **field.schema} for field in fields},
    }


def nullable(schema: Schema) -> Schema:
    """The schema of a value that may be null."""
    return {**schema, "type": [schema["type"], "null"]}


def map_of(values: Schema, description: str) -> Schema:
    """The schema of an object with keys of any name."""
    return {"type": "object", "additionalProperties": {"description": description, **values}}


def timestamp(at: datetime | None) -> str | None:
    """A time as all documents have it: UTC, ISO 8601, microseconds."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Outcome(Protocol):
    """A task, as far as it is told why it did not succeed."""

    @property
    def reason(self) -> Reason | None:
        """Why it did not succeed."""

    @property
    def detail(self) -> str:
        """One line for people."""

    @property
    def root_cause(self) -> str | None:
        """For a task that never started, the failed task that it is due to."""


OUTCOME: tuple[Field[Outcome], ...] = (
    Field(
        "reason",
        "Why it, or its last attempt, did not succeed; else null.",
        {"enum": [*Reason, None]},
        lambda task: task.reason,
    ),
    Field("detail", "One line for people, often empty.", TEXT, lambda task: task.detail),
    Field(
        "root_cause",
        "For a task that never started: id of the task that this is due to.",
        nullable(TEXT),
        lambda task: task.root_cause,
    ),
)
"""What every document that shows a task has of this."""
