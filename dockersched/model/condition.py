"""When a task runs, by how those that it depends on ended, or by a value that one of them wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dockersched.model.checks import choice, flag, text
from dockersched.model.references import VALUE_KEY_PATTERN, Reference, shown

Rule = Literal["success", "failure", "always"]
Ending = Literal["succeeded", "failed", "skipped"]

_RULES = get_args(Rule)


@dataclass(frozen=True, slots=True)
class TaskIs:
    """The condition that a task, one of those depended on, ended in a certain way; all others must have succeeded.

    Args:
        task: id of the task.
        ending: `succeeded`, `failed` (itself or because of another task, even where that is allowed) or `skipped`.

    Raises:
        ValueError: one of them cannot be right.
    """

    task: str
    ending: Ending

    def __post_init__(self) -> None:
        """Checks the fields."""
        text("task", self.task)
        if self.ending not in get_args(Ending):
            raise ValueError(f"ending must be one of {', '.join(get_args(Ending))}, not {self.ending!r}")

    def __str__(self) -> str:
        """As a person would say it."""
        return f"{self.task} is {self.ending}"


@dataclass(frozen=True, slots=True)
class ValueIs:
    """The condition that a value has a certain text, or has another; the task that writes it is depended on.

    All that is depended on must have succeeded. A value that was not written meets neither.

    Args:
        task: id of the task that writes the value.
        key: of the value.
        text: that it is compared with.
        equal: whether it must be that text; False is any other.

    Raises:
        ValueError, TypeError: one of them cannot be right.
    """

    task: str
    key: str
    text: str
    equal: bool = True

    def __post_init__(self) -> None:
        """Checks the fields."""
        text("task", self.task)
        if not re.fullmatch(VALUE_KEY_PATTERN, self.key):
            raise ValueError(f"key must be a value's key, not {self.key!r}")
        if not isinstance(self.text, str):
            raise TypeError(f"text must be a text, not {self.text!r}")
        flag("equal", self.equal)

    @property
    def reference(self) -> Reference:
        """To the value."""
        return Reference(self.task, self.key, f"tasks.{self.task}.values.{self.key}")

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether it holds with the values that the task wrote."""
        return self.key in values and (values[self.key] == self.text) is self.equal

    def refuted(self, values: Mapping[str, str]) -> str:
        """In words, why it does not hold with these values."""
        found = f"it is {shown(values[self.key])}" if self.key in values else f"{self.task!r} did not write it"
        return f"{self}, but {found}"

    def __str__(self) -> str:
        """As a person would say it."""
        return f"{self.reference.text} {'equals' if self.equal else 'is not'} {shown(self.text)}"


When = Rule | TaskIs | ValueIs


def check_when(when: Any, depends_on: Sequence[str]) -> None:
    """Refuses what is no condition, and one that nothing could make differ."""
    if isinstance(when, TaskIs):
        if when.task not in depends_on:
            raise ValueError(f"when asks for {when.task!r}, which is not in depends_on: add it there, by its whole id")
        return
    if isinstance(when, ValueIs):
        return
    choice("when", when, _RULES)
    if when is None or (when != "success" and not depends_on):
        raise ValueError(f"when: {when} needs tasks to depend on: add depends_on, or remove it")
