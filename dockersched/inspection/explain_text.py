"""What `explain` says to people."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from dockersched.graph.transitions import FINAL_STATES
from dockersched.inspection.explain import Explanation, Shortage
from dockersched.inspection.runs import OpenState
from dockersched.model import QuotaConfig
from dockersched.report.text import count_of, one_line
from dockersched.report.wording import advice, reason_sentence
from dockersched.results import TaskResult
from dockersched.states import Reason, TaskState
from dockersched.units import format_bytes

_NAMES_MAX = 8
_ID_MAX = 64
_BECAME = {TaskState.SKIPPED: "was skipped", TaskState.CANCELLED: "was cancelled"}
"""What became of a root cause, by the state that this brought its dependents into."""
_STOPPED = (Reason.CANCELLED, Reason.FAIL_FAST, Reason.EPIC_TIMED_OUT)


def explanation_lines(found: Explanation) -> list[str]:
    """Why the task stands where it stands, the main thing first; the number of lines is bounded."""
    task, state = found.task, found.task.state
    attempt = f", attempt {task.attempt} of at most {found.policy.limit + 1}" if task.attempt else ""
    lines = [f"{one_line(task.task_id, _ID_MAX)} is {state}{attempt}"]
    match state:
        case TaskState.PENDING:
            lines += _unmet(found)
        case TaskState.READY:
            lines += _waits(found)
        case TaskState.RETRYING:
            lines += [_reason(found), f"its pause before attempt {task.attempt + 1} is not over"]
        case TaskState.RUNNING | TaskState.STOPPING:
            shown = f"`dockersched logs {found.run.run_id} {shlex.quote(one_line(task.task_id))}`"
            lines.append(f"since {task.since}; {shown} has its output so far")
        case TaskState.FAILED | TaskState.UPSTREAM_FAILED | TaskState.SKIPPED | TaskState.CANCELLED:
            lines += _ended(found)
        case _:
            pass
    if state not in FINAL_STATES and found.run.state == OpenState.UNFINISHED:
        lines.append(f"its run's process is gone: `dockersched resume {found.run.run_id}` goes on with it")
    return lines


def _unmet(found: Explanation) -> Iterator[str]:
    waits = [f"{one_line(task_id, _ID_MAX)} ({state})" for task_id, state in found.unmet.items()]
    if waits:
        yield f"waits for {_names(waits)}"
    elif found.task.since is None:
        yield "waits for its epic to begin"
    else:
        yield "what it depends on has ended, and what follows from that is not on record yet"


def _waits(found: Explanation) -> Iterator[str]:
    for lack in found.shortages:
        held = f"; held by {_names([one_line(task_id, _ID_MAX) for task_id in lack.held_by])}" if lack.held_by else ""
        yield f"needs {_amount(lack, lack.needed)}; {_free(lack)} free{held}"
    if not found.shortages:
        yield "what it needs is free: it starts next, unless tasks before it in order do, or room is kept for one"


def _ended(found: Explanation) -> Iterator[str]:
    task = found.task
    yield _reason(found)
    if task.detail:
        yield f"detail: {one_line(task.detail)}"
    if found.path:
        yield f"the way from the root cause: {' -> '.join(_shortened(found.path))}"
    if found.last is not None and task.attempt:
        yield from _quotas(found.last.quota_requested, found.last.quota_effective)
        if found.last.log is not None:
            yield f"log: {one_line(found.last.log.path, 4_096)}"
    if task.state is TaskState.FAILED:
        yield _retries(found)
    if task.reason is not None:
        yield f"what helps: {advice(task)}"


def _reason(found: Explanation) -> str:
    task = found.task
    if task.root_cause:
        became = _BECAME.get(task.state, "failed")
        return f"never started, because {one_line(task.root_cause, _ID_MAX)} {became}"
    if task.reason in _STOPPED and not task.attempt:
        return f"never started: {task.reason}"
    ended = TaskResult(task.task_id, task.state, task.reason, task.detail, attempts=task.attempt, sandbox=found.last)
    code = "" if task.exit_code is None or task.reason is Reason.EXIT_CODE else f" (exit code {task.exit_code})"
    return f"{reason_sentence(ended)}{code}"


def _retries(found: Explanation) -> str:
    policy = found.policy
    named = [*policy.on, *(f"exit code {code}" for code in policy.exit_codes)]
    kind = "not the task's doing" if found.is_infrastructure else "not a failure of the engine"
    if not policy.limit:
        return f"retries: none are allowed; this is {kind}"
    if not found.is_covered:
        return f"retries: its policy is for {', '.join(named) or 'nothing'}, which this is not; this is {kind}"
    left = found.attempts_left
    return f"retries: {count_of(left, 'attempt') if left else 'no attempts'} left; this is {kind}"


def _quotas(requested: QuotaConfig | None, effective: QuotaConfig | None) -> Iterator[str]:
    for name, quota in (("asked for", requested), ("in effect", effective)):
        if quota is not None:
            parts = [f"{quota.cpus:g} CPUs"] if quota.cpus is not None else []
            parts += [f"{format_bytes(quota.memory_bytes)} of memory"] if quota.memory_bytes is not None else []
            parts += [f"{quota.pids} pids"] if quota.pids is not None else []
            yield f"quota {name}: {', '.join(parts) or 'nothing'}"


def _amount(lack: Shortage, value: float) -> str:
    match lack.resource:
        case "slots":
            return "a slot"
        case "cpus":
            return f"{value:g} CPUs"
        case "memory":
            return f"{format_bytes(int(value))} of memory"


def _free(lack: Shortage) -> str:
    if lack.resource == "memory":
        return f"{format_bytes(int(lack.free))} of {format_bytes(int(lack.whole))}"
    return f"{lack.free:g} of {lack.whole:g}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more:,} more" if more > 0 else "")


def _shortened(path: Sequence[str]) -> list[str]:
    names = [one_line(task_id, _ID_MAX) for task_id in path]
    return names if len(names) <= _NAMES_MAX else [*names[: _NAMES_MAX // 2], "…", *names[-_NAMES_MAX // 2 :]]
