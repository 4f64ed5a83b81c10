"""References to the small values of other tasks in a text: `${{ tasks.build.values.version }}`.

`$${{` stands for `${{` itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dockersched.errors import ValueReferenceError

VALUE_KEY_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]{0,99}"
OPENING = "${{"

_OPENING = re.compile(r"\$?\$\{\{")
_EXPRESSION = re.compile(rf"\s*tasks\.(?P<task>\S+)\.values\.(?P<key>{VALUE_KEY_PATTERN})\s*")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference to a value.

    Attributes:
        task_id: the task that writes it.
        key: its name.
        text: the reference as it was written.
    """

    task_id: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text with references in it.

    Attributes:
        parts: the literal texts and the references, in order.
    """

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """All references, in order; one that is written twice is there twice."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    def render(self, values: Mapping[str, Mapping[str, str]]) -> str:
        """The text with all values filled in; what a value holds is never read as a reference.

        Args:
            values: for each task the values that it wrote.

        Raises:
            ValueReferenceError: a task did not write a value that is referred to.
        """
        return "".join(part if isinstance(part, str) else _value_of(part, values) for part in self.parts)


def parse_template(text: str) -> Template:
    """Finds the references of a text.

    Raises:
        ValueReferenceError: something that begins as a reference is none.
    """
    parts: list[str | Reference] = []
    position = 0
    while (opening := _OPENING.search(text, position)) is not None:
        parts.append(text[position : opening.start()])
        if opening[0].startswith("$$"):
            parts.append(OPENING)
            position = opening.end()
            continue
        end = text.find("}}", opening.end())
        if end < 0:
            raise ValueReferenceError(
                f"{shown(text[opening.start() :])} does not end: add }}}}, or write $${{{{ for text"
            )
        parts.append(_reference(text[opening.start() : end + 2], text[opening.end() : end]))
        position = end + 2
    parts.append(text[position:])
    return Template(tuple(part for part in parts if part))


def parse_expression(text: str) -> Reference | None:
    """The reference that a text is, without what opens and closes one; None when it is none."""
    found = _EXPRESSION.fullmatch(text)
    return Reference(found["task"], found["key"], text) if found else None


def literal(text: str) -> str:
    """The text such that nothing in it is read as a reference."""
    return text.replace(OPENING, f"${OPENING}")


def shown(text: str) -> str:
    """The beginning of a text, quoted and in ASCII, for messages."""
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _reference(text: str, expression: str) -> Reference:
    found = _EXPRESSION.fullmatch(expression)
    if found is None:
        raise ValueReferenceError(
            f"{shown(text)} is no reference: write ${{{{ tasks.TASK.values.KEY }}}}, or $${{{{ for text"
        )
    return Reference(found["task"], found["key"], text)


def _value_of(reference: Reference, values: Mapping[str, Mapping[str, str]]) -> str:
    written = values.get(reference.task_id, {})
    if reference.key not in written:
        known = ", ".join(sorted(written)) or "none"
        raise ValueReferenceError(
            f"{reference.text}: task {reference.task_id!r} wrote no value {reference.key!r} (it wrote: {known})"
        )
    return written[reference.key]
