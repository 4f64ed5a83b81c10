"""The key that says whether a task runs, by how others ended or by what one wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast, get_args

from dockersched.epicfile import values
from dockersched.epicfile.kinds import Fault, Kind, RefusedError
from dockersched.epicfile.types import TASK_ID, WORD, either, text_schema
from dockersched.graph.problems import suggestion
from dockersched.model import TaskIs, ValueIs, When
from dockersched.model.condition import Ending, Rule
from dockersched.model.references import VALUE_KEY_PATTERN, parse_expression

_Value = TypeVar("_Value")

_RULES = get_args(Rule)
_ENDINGS = get_args(Ending)
_INSTEAD = f"write {', '.join(_RULES[:-1])} or {_RULES[-1]}, or a map like {{task: build, is: failed}}"


def _when(value: object) -> When:
    if isinstance(value, dict):
        return _value_is(value) if "value" in value else _task_is(value)
    if value in _RULES and isinstance(value, str):
        return cast("Rule", value)
    near = suggestion(value, _RULES) if isinstance(value, str) else ""
    raise ValueError(f"{values.shown(value)} is no condition{near or f': {_INSTEAD}'}")


def _value_is(given: dict[str, object]) -> ValueIs:
    if set(given) not in ({"value", "equals"}, {"value", "not_equals"}):
        keys = ", ".join(values.shown(key) for key in given)
        raise ValueError(
            f"a condition on a value has the keys value and either equals or not_equals, not {keys}: write it like"
            " {value: tasks.build.values.flag, equals: 'yes'}"
        )
    equal = "equals" in given
    reference = parse_expression(_part(given, "value", values.text))
    if reference is None:
        shown = values.shown(given["value"])
        raise ValueError(f"{shown} is no reference to a value: write it like tasks.build.values.flag")
    text = _part(given, "equals" if equal else "not_equals", values.word)
    return ValueIs(reference.task_id, reference.key, text, equal)


def _task_is(given: dict[str, object]) -> TaskIs:
    if set(given) != {"task", "is"}:
        keys = ", ".join(values.shown(key) for key in given) or "none"
        raise ValueError(f"a condition has the keys task and is, not {keys}: write it like {{task: build, is: failed}}")
    ending = _part(given, "is", values.given)
    if ending not in _ENDINGS:
        near = suggestion(ending, _ENDINGS) if isinstance(ending, str) else ""
        known = near or f": write {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}"
        raise ValueError(f"{values.shown(ending)} is not how a task can end{known}")
    return TaskIs(_part(given, "task", values.task_id), cast("Ending", ending))


def _part(given: dict[str, object], key: str, read: Callable[[object], _Value]) -> _Value:
    """What `read` makes of the value of a key; what is wrong with it is told there."""
    try:
        return read(given[key])
    except ValueError as error:
        raise RefusedError(Fault(str(error), (key,), at_key=given[key] is None)) from None


CONDITION: Kind[When] = Kind(
    _when,
    either(
        {"enum": list(_RULES)},
        {
            "additionalProperties": False,
            "properties": {
                "task": {"description": "A task in depends_on, by its id."} | TASK_ID.schema,
                "is": {"description": "How it ended.", "enum": list(_ENDINGS)},
            },
            "required": ["task", "is"],
            "type": "object",
        },
        *(
            {
                "additionalProperties": False,
                "properties": {
                    "value": {
                        "description": "A value of a task, which this one then depends on.",
                        **text_schema(rf"\s*tasks\.\S+\.values\.{VALUE_KEY_PATTERN}\s*"),
                    },
                    comparison: {"description": description} | WORD.schema,
                },
                "required": ["value", comparison],
                "type": "object",
            }
            for comparison, description in (
                ("equals", "What it must be."),
                ("not_equals", "What it must not be; it must have been written all the same."),
            )
        ),
    ),
)
