"""Small values that tasks hand on: what a task wrote to `$DOCKERSCHED_OUTPUT`, and references to it. Pure.

A task writes lines as to GitHub's `$GITHUB_OUTPUT`: `key=value`, or, for a value of several lines,

    key<<END
    first line
    second line
    END

A later task refers to it by `${{ tasks.build.values.version }}`; `$${{` stands for `${{` itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dockersched.errors import ValueReferenceError, ValuesError
from dockersched.graph.problems import suggestion
from dockersched.units import format_bytes

MAX_VALUES_BYTES = 64 * 1024
"""All that a task may write; the kernel takes 128 KiB for one environment variable."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_MAX_KEY = 100
_SHOWN = 60
_OPENING = re.compile(r"\$?\$\{\{")
_EXPRESSION = re.compile(r"\s*tasks\.(?P<task>\S+)\.values\.(?P<key>[A-Za-z_][A-Za-z0-9_-]*)\s*")


def parse_values(data: bytes) -> dict[str, str]:
    r"""The values that a task wrote; of two with the same key the later one counts.

    Lines end with `\n`; a value is everything after the first `=`, exactly. Empty lines are passed over.

    Raises:
        ValuesError: a line is no value, or it is too much, or not text.
    """
    if len(data) > MAX_VALUES_BYTES:
        raise ValuesError(0, f"more than {format_bytes(MAX_VALUES_BYTES)} of values: hand large data on as an output")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValuesError(data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from None
    lines = text.split("\n")
    values: dict[str, str] = {}
    index = 0
    while index < len(lines):
        if lines[index]:
            key, value, taken = _value_at(lines, index)
            values[key] = value
            index += taken
        index += 1
    return values


def _value_at(lines: Sequence[str], index: int) -> tuple[str, str, int]:
    """The key, the value, and how many more lines it takes."""
    line, number = lines[index], index + 1
    found = re.search("=|<<", line)
    if found is None:
        raise ValuesError(number, f"{_shown(line)} is no value: write key=value, or key<<END and lines up to END")
    key, rest = line[: found.start()], line[found.end() :]
    if not _KEY.fullmatch(key) or len(key) > _MAX_KEY:
        raise ValuesError(number, f"{_shown(key)} is no key: write up to {_MAX_KEY} letters, digits, _ and -")
    value, taken = rest, 0
    if found[0] == "<<":
        value, taken = _lines_up_to(rest, lines, index)
    if "\0" in value:
        raise ValuesError(number, f"the value of {key} holds NUL, which no variable can")
    return key, value, taken


def _lines_up_to(delimiter: str, lines: Sequence[str], index: int) -> tuple[str, int]:
    if not delimiter.strip():
        raise ValuesError(index + 1, "<< needs a word that ends the value: write key<<END")
    for end in range(index + 1, len(lines)):
        if lines[end] == delimiter:
            return "\n".join(lines[index + 1 : end]), end - index
    raise ValuesError(index + 1, f"the value does not end: a line {_shown(delimiter)} is missing")


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
            parts.append("${{")
            position = opening.end()
            continue
        end = text.find("}}", opening.end())
        if end < 0:
            raise ValueReferenceError(
                f"{_shown(text[opening.start() :])} does not end: add }}}}, or write $${{{{ for text"
            )
        parts.append(_reference(text[opening.start() : end + 2], text[opening.end() : end]))
        position = end + 2
    parts.append(text[position:])
    return Template(tuple(part for part in parts if part))


def check_references(
    template: Template, tasks: Collection[str], values: Mapping[str, Collection[str]] | None = None
) -> list[str]:
    """What is wrong with the references of a text, as far as it can be known; each a message of its own.

    Args:
        template: the text.
        tasks: ids of the tasks that may be referred to.
        values: for tasks that declare what they write, or have written it: the keys.
    """
    problems: list[str] = []
    for reference in template.references:
        keys = (values or {}).get(reference.task_id)
        if reference.task_id not in tasks:
            hint = suggestion(reference.task_id, sorted(tasks))
            problems.append(f"{reference.text} refers to {reference.task_id!r}, which is not a task of this epic{hint}")
        elif keys is not None and reference.key not in keys:
            problems.append(_missing(reference, keys))
    return problems


def _reference(text: str, expression: str) -> Reference:
    found = _EXPRESSION.fullmatch(expression)
    if found is None:
        raise ValueReferenceError(
            f"{_shown(text)} is no reference: write ${{{{ tasks.TASK.values.KEY }}}}, or $${{{{ for text"
        )
    return Reference(found["task"], found["key"], text)


def _value_of(reference: Reference, values: Mapping[str, Mapping[str, str]]) -> str:
    written = values.get(reference.task_id, {})
    if reference.key not in written:
        raise ValueReferenceError(_missing(reference, written))
    return written[reference.key]


def _missing(reference: Reference, keys: Collection[str]) -> str:
    hint = suggestion(reference.key, sorted(keys))
    return f"{reference.text}: task {reference.task_id!r} has no value {reference.key!r}{hint}"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
