"""The key that says whether a task runs, by how others ended."""

from __future__ import annotations

from typing import Annotated, cast, get_args

from pydantic import BeforeValidator

from dockersched.epicfile import values
from dockersched.epicfile.types import either, text_schema
from dockersched.graph.problems import suggestion
from dockersched.ids import TASK_ID_PATTERN
from dockersched.model import TaskIs, When
from dockersched.model.condition import Ending, Rule

_RULES = get_args(Rule)
_ENDINGS = get_args(Ending)
_INSTEAD = f"write {', '.join(_RULES[:-1])} or {_RULES[-1]}, or a map like {{task: build, is: failed}}"


def _when(value: object) -> When:
    if isinstance(value, dict):
        return _task_is(value)
    if value in _RULES and isinstance(value, str):
        return cast("Rule", value)
    near = suggestion(value, _RULES) if isinstance(value, str) else ""
    raise ValueError(f"{values.shown(value)} is no condition{near or f': {_INSTEAD}'}")


def _task_is(given: dict[str, object]) -> TaskIs:
    if set(given) != {"task", "is"}:
        keys = ", ".join(values.shown(key) for key in given) or "none"
        raise ValueError(f"a condition has the keys task and is, not {keys}: write it like {{task: build, is: failed}}")
    ending = given["is"]
    if ending not in _ENDINGS:
        near = suggestion(ending, _ENDINGS) if isinstance(ending, str) else ""
        known = near or f": write {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}"
        raise ValueError(f"{values.shown(ending)} is not how a task can end{known}")
    return TaskIs(values.task_id(given["task"]), cast("Ending", ending))


Condition = Annotated[
    When,
    BeforeValidator(_when),
    either(
        {"enum": list(_RULES)},
        {
            "type": "object",
            "required": ["task", "is"],
            "properties": {
                "task": {
                    "description": "A task in depends_on, by its id.",
                    "anyOf": [text_schema(TASK_ID_PATTERN), {"type": "number", "minimum": 0}],
                },
                "is": {"description": "How it ended.", "enum": list(_ENDINGS)},
            },
            "additionalProperties": False,
        },
    ),
]
