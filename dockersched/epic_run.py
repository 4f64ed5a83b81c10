"""The bookkeeping of one run of an epic: what its events mean for the plan, the results and the observers."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from time import monotonic

from msgspec import Struct
from msgspec.structs import replace

from dockersched import ids
from dockersched.epic_record import EpicRecord, Stop
from dockersched.events import EpicStarted, Observer, TaskRetrying, TaskStarted
from dockersched.graph.admission import Admission
from dockersched.graph.capacity import Shares, demand_of
from dockersched.graph.dag import TaskDAG
from dockersched.graph.lookahead import GATED_BYTES, LookAhead
from dockersched.graph.order import expected_s, start_order
from dockersched.graph.plan import Plan
from dockersched.graph.retry import next_memory_bytes, pause_s, wants_retry
from dockersched.graph.transitions import FINAL_STATES
from dockersched.model import EpicExecutionOptions, QuotaConfig
from dockersched.results import EpicResult, SandboxResult
from dockersched.sandbox.asked import sandbox_options
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.came_back import interpret
from dockersched.states import Reason, TaskState

_STOP_DETAILS = {
    Reason.EPIC_TIMED_OUT: "the epic reached its timeout",
    Reason.CANCELLED: "the epic was cancelled",
}


class Settled(Struct, frozen=True):
    """What follows from a sandbox that came back.

    Args:
        options: of that sandbox.
        stop: indexes of the sandboxes that must be stopped now.
        retry_in_s: seconds until its task may start again; None when it is finished.
    """

    options: SandboxRunOptions
    stop: Sequence[int] = ()
    retry_in_s: float | None = None


class EpicRun:
    """What has happened so far in one run; knows neither time limits nor asyncio.

    Args:
        dag: the graph.
        options: of the run.
        observers: see every event.
        shares: what the tasks ask for and what they may have together; without them nothing is limited.
        history: seconds that tasks took in earlier runs, by task id.
        ahead: how many sandboxes are prepared before their tasks may run.
        started_at: when the run began, where an earlier process began it.
    """

    def __init__(
        self,
        dag: TaskDAG,
        options: EpicExecutionOptions,
        observers: Sequence[Observer],
        shares: Shares | None = None,
        history: Mapping[str, float] | None = None,
        *,
        ahead: int = 0,
        started_at: datetime | None = None,
    ) -> None:
        order = start_order(dag, expected_s(dag, history))
        self.plan = Plan(dag, shares.admission(order) if shares else Admission(order))
        self._ahead = LookAhead(dag, self.plan, ahead, GATED_BYTES if options.prepare_ahead else 0) if ahead else None
        self._prepared: dict[int, SandboxRunOptions] = {}
        self._shares = shares
        self._quotas: dict[int, QuotaConfig] = {}  # of the tasks whose next attempt gets more memory
        self._dag = dag
        self._options = options
        self._run_id = options.run_id or ids.new_run_id()
        self._in_flight: dict[int, SandboxRunOptions] = {}
        self._no_more: set[int] = set()  # tasks that get no attempt after those on record
        self._held_back: list[str] | None = None  # failures on record, of which the first one stops the run
        self._stop: Stop | None = None
        self._record = EpicRecord(dag, options, self._run_id, observers, started_at)
        task_ids = tuple(task.id for task in dag)
        whole = (shares.limits.cpus, shares.limits.memory) if shares else (None, None)
        self._record.emit(EpicStarted, options.epic_id, self._run_id, task_ids, options.max_parallel, *whole)

    def start_next(self) -> tuple[int, SandboxRunOptions]:
        """Takes the next ready task; returns its index and what to run."""
        return self._begin(self.plan.start_next())

    def start_recorded(self) -> tuple[int, SandboxRunOptions] | None:
        """The same of a ready task of which an attempt is on record; None when there is none."""
        index = self.plan.start_recorded()
        return None if index is None else self._begin(index)

    def start_in_flight(self) -> tuple[int, SandboxRunOptions] | None:
        """The same of a ready task whose attempt may have its sandbox already; None when there is none."""
        index = self.plan.start_in_flight()
        return None if index is None else self._begin(index)

    def _begin(self, index: int) -> tuple[int, SandboxRunOptions]:
        if self._ahead is not None:
            self._prepared.pop(index, None)
            self._ahead.started(index)
        attempt = self._record.next_attempt(index)
        task = self._dag.tasks[index]
        queued_s = monotonic() - self.plan.ready_at[index]
        sandbox = sandbox_options(task, self._options.epic_id, self._run_id, attempt, queued_s)
        if index in self._quotas:
            sandbox = replace(sandbox, quota=self._quotas[index])
        if task.uses_others:
            sandbox = replace(sandbox, upstream=self._record.sandboxes_of(task.implied))
        self._in_flight[index] = sandbox
        self._record.emit(TaskStarted, sandbox.task_id, sandbox.sandbox_id, attempt)
        return index, sandbox

    def look_ahead(self, may_begin: Callable[[], bool]) -> tuple[list[SandboxRunOptions], list[SandboxRunOptions]]:
        """Of the prepared sandboxes those to be given up, and those to be prepared now if any may be."""
        if self._ahead is None:
            return [], []
        outlook = self._ahead.look(may_begin)
        given_up = [self._prepared.pop(index) for index in outlook.given_up]
        for index in outlook.next:
            self._prepared[index] = sandbox_options(self._dag.tasks[index], self._options.epic_id, self._run_id)
        return given_up, [self._prepared[index] for index in outlook.next]

    def give_up_prepared(self) -> list[SandboxRunOptions]:
        """The sandboxes that are prepared when the run is over: none of them will run any more."""
        given_up = list(self._prepared.values())
        self._prepared.clear()
        return given_up

    def settle(self, index: int, outcome: SandboxResult | BaseException) -> Settled:
        """Takes in how a sandbox came back, and decides what follows from it."""
        options = self._in_flight.pop(index)
        sandbox, state, may_retry = interpret(options, outcome)
        task = self._dag.tasks[index]
        wants_another = state is TaskState.FAILED and may_retry and wants_retry(task.retry, sandbox, options.attempt)
        if wants_another and self.plan.state(index) is TaskState.STOPPING:
            state = TaskState.CANCELLED  # as if it had ended a moment before, and waited for its retry
        elif wants_another and (self._stop is None or task.finally_):
            pause = pause_s(task.retry, options.attempt, random.random())  # noqa: S311 - only spreads retries
            self.plan.retry(index)
            self._record.will_retry(index, sandbox)
            if sandbox.reason is Reason.OOM_KILLED:
                self._grow(index)
            self._record.emit(TaskRetrying, options.task_id, options.attempt, sandbox, pause)
            if index in self._no_more and index not in self.plan.admission.recorded:
                self._withdraw(index)
                return Settled(options)
            return Settled(options, retry_in_s=pause)
        return Settled(options, stop=self._settle(index, sandbox, state))

    def _grow(self, index: int) -> None:
        """The task's next attempt may get more memory, which it asks for like any other."""
        task, shares = self._dag.tasks[index], self._shares
        if task.retry.memory_factor is None or shares is None:
            return
        quota = self._quotas.get(index, task.quota) or QuotaConfig()
        memory_bytes = quota.memory_bytes or shares.quotas[index].memory_bytes
        if memory_bytes is None:  # only the runner knows
            return
        memory_bytes = next_memory_bytes(task.retry, memory_bytes, shares.limits.memory_bytes)
        self._quotas[index] = dataclasses.replace(quota, memory=memory_bytes)
        self.plan.admission.set_demand(index, demand_of(dataclasses.replace(shares.quotas[index], memory=memory_bytes)))

    def _settle(self, index: int, sandbox: SandboxResult, state: TaskState) -> list[int]:
        task = self._dag.tasks[index]
        if state is TaskState.SUCCEEDED:
            self._record.ended(index, state, sandbox)
            self._record_moved(self.plan.succeed(index, sandbox.values))
            return []
        if state is TaskState.CANCELLED:
            stop = Stop(Reason.CANCELLED, "the task was cancelled")
            if self._stop is not None and not task.finally_:
                stop = self._stop
            self._record.ended(index, state, sandbox, stop.reason, stop.detail)
            self._record_moved(self.plan.cancel(index))
            return []
        allowed = task.allow_failure
        self._record.ended(index, state, sandbox, sandbox.reason, sandbox.detail, allowed=allowed)
        self._record_moved(self.plan.fail(index))
        return self._fail_fast(task.id) if self._options.fail_fast and not allowed else []

    def _fail_fast(self, task_id: str) -> list[int]:
        if self._held_back is not None:
            self._held_back.append(task_id)
            return []
        return self.stop(Reason.FAIL_FAST, f"{task_id!r} failed")

    def hold_back_failures(self) -> None:
        """From now on `fail_fast` stops nothing, until `stop_held_back`."""
        self._held_back = self._held_back or []

    def stop_held_back(self) -> list[int]:
        """Does what the first failure since `hold_back_failures` asks for; gives what must be stopped now."""
        failed, self._held_back = self._held_back, None
        return self._fail_fast(failed[0]) if failed else []

    def reject(self, unavailable: Mapping[str, str]) -> None:
        """Ends the run before anything starts, because some tasks' images cannot be had (why, by task id).

        That is no failure of a task that could be allowed: the epic is not what it says it is.
        """
        for task_id, detail in unavailable.items():
            index = self._dag.index(task_id)
            if self.plan.state(index) in FINAL_STATES:
                continue
            sandbox = sandbox_options(self._dag.tasks[index], self._options.epic_id, self._run_id)
            reason = Reason.IMAGE_UNAVAILABLE
            result = SandboxResult(sandbox.sandbox_id, reason=reason, detail=detail, image=sandbox.image)
            self._record.ended(index, TaskState.FAILED, result, reason, detail)
            self._record_moved(self.plan.reject(index))
        detail = "nothing was started: an image of the epic is unavailable"
        self.stop(Reason.IMAGE_UNAVAILABLE, detail, spare_final=False)

    def stop(self, reason: Reason, detail: str = "", *, spare_final: bool = True) -> list[int]:
        """Starts nothing more but the tasks with `finally`.

        Args:
            reason: of the first call that has something to stop; it stays.
            detail: in words.
            spare_final: whether tasks with `finally` run all the same.

        Returns:
            the indexes of the running sandboxes, which must be stopped now.
        """
        if spare_final and (self._stop is not None or self.plan.is_closing):
            return []
        if self._stop is None:
            self._stop = Stop(reason, detail or _STOP_DETAILS[reason])
        stopped = [index for index in self._in_flight if self.plan.state(index) is TaskState.RUNNING]
        for index in stopped:
            self.plan.stop(index)
        self._record_moved(self.plan.cancel_waiting(spare_final=spare_final))
        return stopped

    def requeue(self, index: int) -> list[int]:
        """The pause before a task's retry is over; nothing must be stopped for it."""
        self.plan.requeue(index)
        return []

    def cancel(self, task_ids: Iterable[str] | None) -> list[int]:
        """Cancels tasks and all that depends on them, or everything.

        Returns:
            the indexes of the sandboxes that must be stopped now.
        """
        if task_ids is None:
            return self.stop(Reason.CANCELLED)
        stopped = []
        for index in sorted(self._dag.index(task_id) for task_id in task_ids if task_id in self._dag):
            if index in self._in_flight:
                if self.plan.state(index) is TaskState.RUNNING:
                    self.plan.stop(index)
                    stopped.append(index)
            elif index in self.plan.admission.recorded:
                self._no_more.add(index)
            elif self.plan.state(index) not in FINAL_STATES:
                self._withdraw(index)
        return stopped

    def _withdraw(self, index: int) -> None:
        moved = self.plan.withdraw(index)
        self._record.withdrawn(index)
        self._record_moved(moved)

    def _record_moved(self, indexes: Sequence[int]) -> None:
        self._record.moved(self.plan, indexes, self._stop)

    def finish(self) -> EpicResult:
        """The result, once no task is unfinished.

        Raises:
            TaskExecutionError: not every task succeeded.
        """
        return self._record.finish(self._stop)
