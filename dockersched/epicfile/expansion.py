"""Tasks with a matrix become several tasks, in the data, before anything else looks at them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from dockersched.epicfile.allowance import Allowance, SpentError
from dockersched.epicfile.findings import Finding, Path
from dockersched.epicfile.matrix import Combination, combinations
from dockersched.epicfile.placeholders import filled, placeholders
from dockersched.epicfile.values import shown
from dockersched.graph.problems import MAX_SUGGESTIONS, suggestion
from dockersched.ids import TASK_ID_PATTERN

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.-]")
_TASK_ID = re.compile(TASK_ID_PATTERN)


class Expansion(Struct, frozen=True):
    """A file's data without matrices.

    Attributes:
        data: the data.
        findings: what is wrong with matrices and their use; such a task stays one.
        origins: for each instance the id of the task in the file.
        positions: for each task whose dependencies have become more, by its id in the data, where each one stands in
            the file's list.
    """

    data: Any
    findings: Sequence[Finding] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    positions: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def in_file(self, path: Path) -> Path:
        """The path in the file of what stands at a path of the data."""
        if len(path) < 2 or path[0] != "tasks":
            return path
        task_id, rest = str(path[1]), path[2:]
        if len(rest) > 1 and rest[0] == "depends_on" and task_id in self.positions:
            # Behind those in the file come those that inputs and values imply.
            position, positions = int(rest[1]), self.positions[task_id]
            rest = ("depends_on", positions[position] if position < len(positions) else position, *rest[2:])
        return ("tasks", self.origins.get(task_id, task_id), *rest)

    def found_in_file(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings with their paths in the file; what several instances of a task have in common is said once."""
        placed: list[Finding] = []
        seen: set[Path] = set()
        for finding in findings:
            path = self.in_file(finding.path)
            of_instance = len(path) > 1 and finding.path[1] in self.origins
            if not of_instance or path not in seen:
                placed.append(finding._replace(path=path))
            if of_instance:
                seen.add(path)
        return placed


def expand(data: Any) -> Expansion:
    """The data with every task that has a matrix written out, one for each combination, and `depends_on` adapted."""
    tasks = data.get("tasks") if isinstance(data, dict) else None
    if not isinstance(tasks, dict):
        return Expansion(data)
    findings: list[Finding] = []
    expanded: dict[str, Any] = {}
    instances: dict[str, list[str]] = {}
    origins: dict[str, str] = {}
    allowance = Allowance()
    spent: list[Finding] = []
    for task_id, task in tasks.items():
        path = ("tasks", task_id)
        if not (isinstance(task, dict) and "matrix" in task):
            findings += _misused(task, None, path)
            expanded[task_id] = task
            continue
        made: dict[str, Any] = {}
        try:
            if not spent:
                made = _instances(task_id, task, allowance, findings)
        except SpentError as error:  # said once: more of it would not help
            spent.append(Finding(str(error), (*path, "matrix"), at_key=True))
        if taken := next((one for one in made if one in tasks or one in expanded), None):
            message = f"one instance would be called {shown(taken)}, as another task: rename one of them"
            findings.append(Finding(message, (*path, "matrix"), at_key=True))
            made = {}
        if made:
            expanded |= made
            origins |= dict.fromkeys(made, str(task_id))
            instances[task_id] = list(made)
        else:
            expanded[task_id] = _filled(task, {}, Allowance())
    positions = _depend_on_instances(expanded, instances, allowance, spent)
    return Expansion(data | {"tasks": expanded}, findings + spent, origins, positions)


def _instances(task_id: str, task: dict[str, Any], allowance: Allowance, findings: list[Finding]) -> dict[str, Any]:
    """The task's instances by their ids; none if something is wrong with the matrix.

    Raises:
        SpentError: they would be too many or too large.
    """
    path = ("tasks", task_id)
    chosen, problems = combinations(task["matrix"], (*path, "matrix"), allowance)
    named = {} if problems else _named(task_id, chosen, problems)
    findings += problems
    allowance.take("tasks", len(named))
    allowance.take("values", len(named) * _size(task))
    findings += _misused(task, list(named.values()), path) if named else ()
    return {instance_id: _filled(task, combination.values, allowance) for instance_id, combination in named.items()}


def _size(task: dict[str, Any]) -> int:
    """How many values a task holds, at any depth."""
    count, unseen = 0, [value for key, value in task.items() if key != "matrix"]
    while unseen:
        value = unseen.pop()
        count += 1
        if isinstance(value, dict | list):
            unseen += value.values() if isinstance(value, dict) else value
    return count


def _named(task_id: str, chosen: Sequence[Combination], findings: list[Finding]) -> dict[str, Combination]:
    """The combinations by the ids of their instances; none if these cannot be ids."""
    named: dict[str, Combination] = {}
    for combination in chosen:
        instance_id = _NOT_IN_IDS.sub("-", ".".join([task_id, *combination.naming]))
        message = ""
        if instance_id in named:
            message = f"two instances would be called {shown(instance_id)}: give them values that differ in letters or"
            message += " digits"
        elif not _TASK_ID.fullmatch(instance_id):
            message = f"one instance would be called {shown(instance_id)}: no id has more than 63 characters, so make"
            message += " the task's id or the values shorter"
        if message:
            findings.append(Finding(message, ("tasks", task_id, "matrix"), at_key=True))
            return {}
        named[instance_id] = combination
    return named


def _texts(task: Any) -> Iterator[tuple[Path, Any]]:
    """Where references may stand, or where people might expect that they may."""
    if not isinstance(task, dict):
        return
    for key in ("image", "run"):
        yield (key,), task.get(key)
    args, environment = task.get("args"), task.get("environment")
    for position, text in enumerate(args if isinstance(args, list) else ()):
        yield ("args", position), text
    for name, text in environment.items() if isinstance(environment, dict) else ():
        yield ("environment", name), text


def _misused(task: Any, chosen: Sequence[Combination] | None, path: Path) -> Iterator[Finding]:
    """In each text the first reference to what not every combination has, or where none may stand.

    Args:
        task: as it is in the file.
        chosen: the combinations of its matrix, or None if it has none.
        path: of the task.
    """
    common = set.intersection(*(set(combination.values) for combination in chosen)) if chosen else set()
    found = 0
    for where, text in _texts(task):
        scripted = where == ("run",)
        for written, axis in placeholders(text):
            if axis is None or (axis in common and not scripted):
                continue
            found += 1
            known = common if found <= MAX_SUGGESTIONS else ()
            yield Finding(_misuse(written, axis, known if chosen else None, scripted=scripted), (*path, *where))
            break


def _misuse(written: str, axis: str, known: Iterable[str] | None, *, scripted: bool) -> str:
    if scripted:
        return (
            f"{written} is not filled in in a script, where its value would be code: "
            f'give it to a variable (environment: VALUE: {written!r}), and use "$VALUE" here'
        )
    if known is None:
        return f"{written} needs a matrix, which this task does not have: give it one, or write $${{{{ for text"
    near = suggestion(axis, list(known))
    return f"not every combination of the matrix has a value for {written}{near or ': give it one, by include say'}"


def _filled(task: dict[str, Any], chosen: Mapping[str, str], allowance: Allowance) -> dict[str, Any]:
    """The task without its matrix, with the values in its texts, and nothing in place of those that there are not."""

    def value(axis: str) -> str:
        filled_in = chosen.get(axis, "")
        allowance.take("characters", len(filled_in))
        return filled_in

    def fill(text: Any) -> Any:
        if type(text) is not str or "${{" not in text:
            return text
        allowance.take("characters", len(text))
        return filled(text, value)

    instance = {key: value for key, value in task.items() if key != "matrix"}
    if "image" in task:
        instance["image"] = fill(task["image"])
    if isinstance(task.get("args"), list):
        instance["args"] = [fill(text) for text in task["args"]]
    if isinstance(task.get("environment"), dict):
        instance["environment"] = {name: fill(text) for name, text in task["environment"].items()}
    return instance


def _depend_on_instances(
    tasks: dict[str, Any], instances: Mapping[str, Sequence[str]], allowance: Allowance, spent: list[Finding]
) -> dict[str, list[int]]:
    """Puts all instances in the place of a task with a matrix; tells where each dependency stood."""
    positions: dict[str, list[int]] = {}
    for task_id, task in tasks.items() if instances else ():
        depends_on = task.get("depends_on") if isinstance(task, dict) else None
        if isinstance(depends_on, list) and any(isinstance(one, str) and one in instances for one in depends_on):
            needed = [instances.get(one, (one,)) if isinstance(one, str) else (one,) for one in depends_on]
            try:
                if not spent:
                    allowance.take("values", sum(map(len, needed)))
            except SpentError as error:
                spent.append(Finding(str(error), ("tasks", task_id, "depends_on"), at_key=True))
            if spent:
                needed = [()]
            tasks[task_id] = task | {"depends_on": [one for several in needed for one in several]}
            positions[task_id] = [position for position, several in enumerate(needed) for _ in several]
    return positions
