"""The one table of legal moves between task states."""

from dockersched.states import TaskState

_S = TaskState

TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    # A task fails before it could start when its image cannot be had.
    _S.PENDING: frozenset({_S.READY, _S.FAILED, _S.UPSTREAM_FAILED, _S.SKIPPED, _S.CANCELLED}),
    _S.READY: frozenset({_S.RUNNING, _S.FAILED, _S.SKIPPED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.STOPPING, _S.RETRYING, _S.CANCELLED}),
    _S.STOPPING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED}),
    _S.RETRYING: frozenset({_S.READY, _S.CANCELLED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.UPSTREAM_FAILED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.CANCELLED: frozenset(),
}

FINAL_STATES = frozenset(state for state, following in TRANSITIONS.items() if not following)
"""States that a task never leaves."""
