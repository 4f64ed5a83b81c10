"""When a task runs, by how those that it depends on ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dockersched.model.checks import choice, text

Rule = Literal["success", "failure", "always"]
Ending = Literal["succeeded", "failed", "skipped"]


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


When = Rule | TaskIs


def check_when(when: Any, depends_on: Sequence[str]) -> None:
    """Refuses what is no condition, and one that nothing could make differ."""
    if isinstance(when, TaskIs):
        if when.task not in depends_on:
            raise ValueError(f"when asks for {when.task!r}, which is not in depends_on: add it there, by its whole id")
        return
    choice("when", when, get_args(Rule))
    if when is None or (when != "success" and not depends_on):
        raise ValueError(f"when: {when} needs tasks to depend on: add depends_on, or remove it")
