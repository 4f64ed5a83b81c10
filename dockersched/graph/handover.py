"""What tasks hand on to each other: checks that every input and every reference can be met."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

from dockersched.errors import Problem
from dockersched.graph.problems import MAX_SUGGESTIONS, suggestion
from dockersched.model import Input, ScheduledTask
from dockersched.model.references import Reference, shown

_BRIEF = 100
"""Characters of a reference in a message, so that what to do about it is in sight."""


def writing_values(users: Iterable[ScheduledTask], tasks: Sequence[ScheduledTask]) -> Sequence[ScheduledTask]:
    """The tasks, such that each one that users refer to writes values, even if it does not declare them."""
    wanted: dict[str, dict[str, None]] = {}
    for task in users:
        for _, reference in task.references():
            wanted.setdefault(reference.task_id, {})[reference.key] = None
    if not wanted:
        return tasks
    return tuple(
        replace(task, values=tuple(wanted[task.id])) if task.values is None and task.id in wanted else task
        for task in tasks
    )


def find_unmet(users: Iterable[ScheduledTask], tasks: Iterable[ScheduledTask]) -> list[Problem]:
    """Inputs and references to what no task of the graph makes; each with the path to its place."""
    by_id = {task.id: task for task in tasks}
    problems: list[Problem] = []
    for task in users:
        for position, given in enumerate(task.inputs):
            if message := _unmet_input(task.id, given, by_id, suggest=len(problems) < MAX_SUGGESTIONS):
                problems.append(Problem(f"task {task.id!r} {message}", ("tasks", task.id, "inputs", position, "from")))
        for where, reference in task.references():
            if message := _unmet_reference(task.id, reference, by_id, suggest=len(problems) < MAX_SUGGESTIONS):
                problems.append(Problem(f"task {task.id!r}: {message}", ("tasks", task.id, *where)))
    return problems


def find_misplaced(tasks: Sequence[ScheduledTask]) -> list[Problem]:
    """Dependencies between tasks that run at the end and those that do not, where they mean nothing."""
    at_end = {task.id for task in tasks if task.finally_}
    if not at_end:
        return []
    main = {task.id for task in tasks if not task.finally_}
    problems: list[Problem] = []
    for task in tasks:
        taken = set(task.implied)
        for position, needed in enumerate(task.depends_on):
            path = ("tasks", task.id) if needed in taken else ("tasks", task.id, "depends_on", position)
            if task.finally_ and needed in main and needed not in taken:
                message = (
                    f"task {task.id!r} has finally, so it runs after {needed!r} anyway: remove that from depends_on"
                )
            elif not task.finally_ and needed in at_end:
                message = (
                    f"task {task.id!r} depends on {needed!r}, which has finally and runs after all tasks without: "
                    f"give {task.id!r} finally too, or remove the dependency"
                )
            else:
                continue
            problems.append(Problem(message, path))
    return problems


def declared(task: ScheduledTask, known: Container[str]) -> list[str]:
    """What a task depends on, without what `find_unmet` has a better word for."""
    implied = {needed for needed in task.implied if needed == task.id or needed not in known}
    return [needed for needed in task.depends_on if needed not in implied]


def _unmet_input(task_id: str, given: Input, by_id: Mapping[str, ScheduledTask], *, suggest: bool) -> str:
    if given.task == task_id:
        return "takes an input from itself: name the task that makes it"
    maker = by_id.get(given.task)
    if maker is None:
        hint = suggestion(given.task, list(by_id)) if suggest else ""
        return f"takes an input from {shown(given.task)}, which is not a task of this epic{hint}"
    if given.output not in maker.outputs:
        hint = suggestion(given.output, list(maker.outputs)) if suggest else ""
        return (
            f"takes the output {given.output!r} of task {given.task!r}, which has none of that name{hint}: "
            f"add it to the outputs of {given.task!r}"
        )
    return ""


def _unmet_reference(task_id: str, reference: Reference, by_id: Mapping[str, ScheduledTask], *, suggest: bool) -> str:
    if reference.task_id == task_id:
        return f"{reference.text} refers to the task itself, which has no value before it starts"
    writer = by_id.get(reference.task_id)
    if writer is None:
        hint = suggestion(reference.task_id, list(by_id)) if suggest else ""
        return f"{_brief(reference.text)} refers to {shown(reference.task_id)}, which is not a task of this epic{hint}"
    if writer.values is not None and reference.key not in writer.values:
        hint = suggestion(reference.key, list(writer.values)) if suggest else ""
        return (
            f"{reference.text}: task {reference.task_id!r} has no value {reference.key!r}{hint}: "
            f"add it to the values of {reference.task_id!r}"
        )
    return ""


def _brief(text: str) -> str:
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"
