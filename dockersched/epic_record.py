"""How the tasks of one run ended, those that ran and those that never started; told to the observers as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from dockersched.errors import EpicCancelledError, EpicTimeoutError, TaskExecutionError
from dockersched.events import EpicFinished, Event, Observer, TaskFinished
from dockersched.graph.dag import TaskDAG
from dockersched.graph.plan import Plan
from dockersched.model import EpicExecutionOptions, ValueIs, When
from dockersched.results import EpicResult, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState


class Stop(Struct, frozen=True):
    """Why a run starts nothing more.

    Args:
        reason: of what it does not start.
        detail: in words.
    """

    reason: Reason
    detail: str


class EpicRecord:
    """The results of one run's tasks.

    Args:
        dag: the graph.
        options: of the run.
        run_id: of the run.
        observers: see every event.
        started_at: when the run began; None for now.
    """

    def __init__(
        self,
        dag: TaskDAG,
        options: EpicExecutionOptions,
        run_id: str,
        observers: Sequence[Observer],
        started_at: datetime | None = None,
    ) -> None:
        self._dag = dag
        self._options = options
        self._run_id = run_id
        self._observers = observers
        self._results: list[TaskResult | None] = [None] * len(dag)
        self._attempts: dict[int, int] = {}
        self._earlier: dict[int, list[SandboxResult]] = {}  # of the tasks that wait for a retry, or did
        self._started_at = started_at or datetime.now(UTC)

    def emit(self, kind: Callable[..., Event], *fields: object) -> None:
        """Tells the observers of an event, now."""
        if self._observers:
            event = kind(datetime.now(UTC), *fields)
            for observer in self._observers:
                observer(event)

    def next_attempt(self, index: int) -> int:
        """The number of the attempt that a task begins now."""
        attempt = self._attempts[index] = self._attempts.get(index, 0) + 1
        return attempt

    def will_retry(self, index: int, sandbox: SandboxResult) -> None:
        """An attempt of a task ended as it did, and another one follows."""
        self._earlier.setdefault(index, []).append(sandbox)

    def ended(
        self,
        index: int,
        state: TaskState,
        sandbox: SandboxResult,
        reason: Reason | None = None,
        detail: str = "",
        *,
        allowed: bool = False,
    ) -> None:
        """A task's last attempt ended, and the task with it.

        Args:
            index: of the task.
            state: that is final.
            sandbox: how the attempt ended.
            reason: why it did not succeed.
            detail: in words.
            allowed: whether its failure is allowed.
        """
        task_id, attempts, earlier = self._dag.tasks[index].id, self._attempts.get(index, 0), self._earlier.get(index)
        self._record(index, TaskResult(task_id, state, reason, detail, None, attempts, sandbox, allowed, earlier or ()))

    def withdrawn(self, index: int) -> None:
        """A task was cancelled before it, or its next attempt, was started."""
        self._never_started(index, TaskState.CANCELLED, Reason.CANCELLED, "the task was cancelled", None)

    def moved(self, plan: Plan, indexes: Iterable[int], stop: Stop | None) -> None:
        """The plan has moved tasks to a final state, since others ended as they did.

        Args:
            plan: that knows their states and causes.
            indexes: of the tasks.
            stop: why the run starts nothing more, if so.
        """
        for index in indexes:
            state, at = plan.state(index), plan.cause(index)
            cause = None if at is None else self._dag.tasks[at].id
            if state is TaskState.UPSTREAM_FAILED:
                reason, detail = Reason.UPSTREAM_FAILED, f"{cause!r} failed"
            elif state is TaskState.CANCELLED:
                reason = stop.reason if stop else Reason.CANCELLED
                detail = stop.detail if stop else f"{cause!r} was cancelled"
            elif cause is None:
                reason, detail = Reason.CONDITION, f"when: {self._unmet(self._dag.tasks[index].when)}"
            else:
                reason, detail = Reason.UPSTREAM_SKIPPED, f"{cause!r} was skipped"
            self._never_started(index, state, reason, detail, cause)

    def sandboxes_of(self, task_ids: Iterable[str]) -> dict[str, SandboxResult]:
        """How the last attempts of some tasks ended, of those that were started."""
        results = {task_id: self._results[self._dag.index(task_id)] for task_id in task_ids}
        return {task_id: result.sandbox for task_id, result in results.items() if result and result.sandbox}

    def finish(self, stop: Stop | None) -> EpicResult:
        """The result, once every task has one.

        Args:
            stop: why the run started nothing more, if so.

        Raises:
            TaskExecutionError: not every task succeeded.
        """
        tasks = {result.task_id: result for result in self._results if result is not None}
        state = _final_state(tasks.values(), stop)
        result = EpicResult(self._options.epic_id, self._run_id, state, tasks, self._started_at, datetime.now(UTC))
        self.emit(EpicFinished, result)
        if state is EpicState.TIMED_OUT:
            raise EpicTimeoutError(result.told(f"timed out after {self._options.timeout_s:g} s"), result)
        if state is EpicState.CANCELLED:
            raise EpicCancelledError(result.told("was cancelled"), result)
        if state is EpicState.FAILED:
            raise TaskExecutionError(result.told("failed"), result)
        return result

    def _unmet(self, when: When) -> str:
        if not isinstance(when, ValueIs):
            return str(when)
        written = self._results[self._dag.index(when.task)]
        return when.refuted(written.sandbox.values if written and written.sandbox else {})

    def _never_started(self, index: int, state: TaskState, reason: Reason, detail: str, root_cause: str | None) -> None:
        task_id, attempts = self._dag.tasks[index].id, self._attempts.get(index, 0)
        tried = self._earlier.get(index, [])
        last, earlier = (tried[-1], tried[:-1]) if tried else (None, ())
        result = TaskResult(task_id, state, reason, detail, root_cause, attempts, last, earlier=earlier)
        self._record(index, result)

    def _record(self, index: int, result: TaskResult) -> None:
        self._results[index] = result
        self.emit(TaskFinished, result)


def _final_state(tasks: Iterable[TaskResult], stop: Stop | None) -> EpicState:
    reason = stop.reason if stop else None
    if all(task.succeeded or task.failure_allowed or task.state is TaskState.SKIPPED for task in tasks):
        return EpicState.SUCCEEDED
    if reason is Reason.EPIC_TIMED_OUT:
        return EpicState.TIMED_OUT
    if any(task.is_root_cause for task in tasks) and reason is not Reason.CANCELLED:
        return EpicState.FAILED
    return EpicState.CANCELLED
