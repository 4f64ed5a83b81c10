"""What follows for a task from how those ended that it depends on. Pure, and whatever the order in which they ended."""

from __future__ import annotations

from collections.abc import Container, Mapping

from dockersched.model.condition import TaskIs, ValueIs, When
from dockersched.states import TaskState

_S = TaskState

_FAILED = (_S.FAILED, _S.UPSTREAM_FAILED)
_AGAINST = ((_FAILED, _S.UPSTREAM_FAILED), ((_S.CANCELLED,), _S.CANCELLED), ((_S.SKIPPED,), _S.SKIPPED))
_MATCHES = {"succeeded": (_S.SUCCEEDED,), "failed": _FAILED, "skipped": (_S.SKIPPED,)}


def verdict(
    when: When, ended: Mapping[str, TaskState], written: Mapping[str, Mapping[str, str] | None]
) -> tuple[TaskState, str | None]:
    """Where a task goes once all that it depends on has ended, and which one of these that is due to, if one.

    A failure comes before a cancellation, and both before a task that was skipped.

    Args:
        when: the task's condition.
        ended: states of what it depends on, as `counted` gives them.
        written: values of tasks that succeeded, None where they are not known: then a condition on them holds.

    Returns:
        READY, SKIPPED, UPSTREAM_FAILED or CANCELLED.
    """
    if when == "always":
        return _S.READY, None
    if when == "failure":
        return _after_failure(ended)
    asked = when.task if isinstance(when, TaskIs) else None
    against = {task_id: state for task_id, state in ended.items() if state is not _S.SUCCEEDED and task_id != asked}
    for states, state in _AGAINST if against else ():
        if (cause := _first(against, *states)) is not None:
            return state, cause
    if isinstance(when, TaskIs):
        return _by_ending(when, ended[when.task])
    if isinstance(when, ValueIs):
        values = written.get(when.task, {})
        return (_S.READY if values is None or when.holds(values) else _S.SKIPPED), None
    return _S.READY, None


def counted(when: When, ended: Mapping[str, TaskState], forgiven: Container[str]) -> dict[str, TaskState]:
    """The states of what a task depends on as they count for it.

    Args:
        when: the task's condition.
        ended: how each of them ended.
        forgiven: those whose ends do not matter to it, as an allowed failure does not: they count as `SUCCEEDED`,
            except for the task that the condition asks for.
    """
    asked = when.task if isinstance(when, TaskIs) else None
    return {
        task_id: _S.SUCCEEDED if task_id in forgiven and task_id != asked else state for task_id, state in ended.items()
    }


def _after_failure(ended: Mapping[str, TaskState]) -> tuple[TaskState, str | None]:
    if _first(ended, *_FAILED) is not None:
        return _S.READY, None
    cancelled = _first(ended, _S.CANCELLED)
    return (_S.SKIPPED, None) if cancelled is None else (_S.CANCELLED, cancelled)


def _by_ending(when: TaskIs, state: TaskState) -> tuple[TaskState, str | None]:
    if state in _MATCHES[when.ending]:
        return _S.READY, None
    return (_S.CANCELLED, when.task) if state is _S.CANCELLED else (_S.SKIPPED, None)


def _first(ended: Mapping[str, TaskState], *states: TaskState) -> str | None:
    return next((task_id for task_id, state in ended.items() if state in states), None)
