"""Where every task of a run stands: the one mutable object of the core, with a single writer."""

from collections.abc import Iterable, Mapping
from functools import cache
from heapq import heappop, heappush
from time import monotonic

from dockersched.errors import StateError
from dockersched.graph.admission import Admission
from dockersched.graph.conditions import counted, verdict
from dockersched.graph.dag import TaskDAG
from dockersched.graph.order import start_order
from dockersched.graph.transitions import FINAL_STATES, TRANSITIONS
from dockersched.model import TaskIs
from dockersched.states import TaskState

_History = tuple[TaskState, ...]


class Plan:
    """The states of a graph's tasks, by index, and which of them may start.

    The ready set is kept up as tasks end: over a whole run that costs O(tasks * log(tasks) + dependencies). Which ready
    task starts next is for `admission` to say. Not thread-safe: one coordinator owns it.

    Args:
        dag: the graph.
        admission: of its tasks, none of them added; without one they start in order, without limits.
    """

    def __init__(self, dag: TaskDAG, admission: Admission | None = None) -> None:
        self._dag = dag
        self.admission = admission or Admission(start_order(dag))
        self._final = frozenset(index for index, task in enumerate(dag) if task.finally_)
        self._main_left = len(dag) - len(self._final)
        self._is_closing = False
        self._unmet = list(dag.dependency_counts)
        self._troubled: set[int] = set()  # those that depend on one that ended, but did not succeed
        for index in self._final:  # what the main tasks are together is one more thing that it waits for
            needed = {dag.index(task_id) for task_id in dag.tasks[index].depends_on}
            self._unmet[index] = len(needed & self._final) + 1
        self._rank = [0] * len(dag)
        for rank, index in enumerate(dag.topological):
            self._rank[index] = rank
        self.ready_at = [0.0] * len(dag)
        """When each task became ready the last time, by the monotonic clock."""
        self._causes: dict[int, int] = {}
        self._written: dict[str, Mapping[str, str] | None] = {}
        self._histories: list[_History] = [(TaskState.PENDING,)] * len(dag)
        self.unfinished = len(dag)
        """How many tasks are not in a final state."""
        for index, count in enumerate(self._unmet):
            if count == 0:
                self._release(index)
        self._decide([])

    @property
    def may_start(self) -> bool:
        """Whether a task may start now."""
        return self.admission.next() is not None

    @property
    def is_closing(self) -> bool:
        """Whether all main tasks have ended, so that those with `finally` run."""
        return self._is_closing

    def state(self, index: int) -> TaskState:
        """Where a task stands."""
        return self._histories[index][-1]

    def start_next(self) -> int:
        """Takes the first ready task that fits into RUNNING and returns its index.

        Raises:
            StateError: no task may start now.
        """
        index = self.admission.take()
        self._move(index, TaskState.RUNNING)
        return index

    def start_recorded(self) -> int | None:
        """Takes a ready task of which an attempt is on record into RUNNING; None when there is none."""
        return self._started(self.admission.take_recorded())

    def start_in_flight(self) -> int | None:
        """Takes a ready task whose attempt may have its sandbox already into RUNNING; None when there is none."""
        return self._started(self.admission.take_in_flight())

    def _started(self, index: int | None) -> int | None:
        if index is not None:
            self._move(index, TaskState.RUNNING)
        return index

    def stop(self, index: int) -> None:
        """A running task is being stopped; it keeps its share until it has ended."""
        self._move(index, TaskState.STOPPING)

    def succeed(self, index: int, values: Mapping[str, str] | None = None) -> list[int]:
        """A task succeeded: dependents that waited for it alone become ready, or are skipped.

        Args:
            index: of the task.
            values: that it wrote; None is unknown, and conditions on them hold.

        Returns:
            those that this moved to a final state, in declaration order.
        """
        self._written[self._dag.tasks[index].id] = values
        self._move(index, TaskState.SUCCEEDED)
        self.admission.release(index)
        return self._follow(index)

    def cause(self, index: int) -> int | None:
        """The task to which it is due that one never started; None where that is its own condition."""
        return self._causes.get(index)

    def retry(self, index: int) -> None:
        """A running task will be tried again; until then it holds no share."""
        self._move(index, TaskState.RETRYING)
        self.admission.release(index)

    def requeue(self, index: int) -> bool:
        """The pause before a retry is over; False when the task was cancelled meanwhile."""
        if self.state(index) is not TaskState.RETRYING:
            return False
        self._release(index)
        return True

    def fail(self, index: int) -> list[int]:
        """A task failed: unless it was allowed to, its transitive dependents can never start.

        Returns:
            those that this moved to a final state, in declaration order.
        """
        self._end(index, TaskState.FAILED)
        return self._follow(index)

    def reject(self, index: int) -> list[int]:
        """A task that has not started can never start: it failed.

        Returns:
            those that this moved to a final state, in declaration order.
        """
        return self.fail(index)

    def cancel(self, index: int) -> list[int]:
        """A running or stopping task was cancelled, and dependents with it.

        Returns:
            those that this moved to a final state, in declaration order.
        """
        self._end(index, TaskState.CANCELLED)
        return self._follow(index)

    def withdraw(self, index: int) -> list[int]:
        """A task that has not started, or waits for a retry, was cancelled, and dependents with it.

        Returns:
            those that this moved to a final state, in declaration order.
        """
        return self.cancel(index)

    def cancel_waiting(self, *, spare_final: bool = True) -> list[int]:
        """Cancels the main tasks that have not started, and those with `finally` unless they are spared.

        Returns:
            those that this moved to a final state, in declaration order.
        """
        if spare_final and self._is_closing:
            return []
        self.admission.clear()
        waiting = (TaskState.PENDING, TaskState.READY, TaskState.RETRYING)
        spared = self._final if spare_final else ()
        everybody = range(len(self._histories))
        cancelled = [index for index in everybody if self.state(index) in waiting and index not in spared]
        for index in cancelled:
            self._move(index, TaskState.CANCELLED)
        return sorted([*cancelled, *self._decide([])])

    def check(self) -> None:
        """Verifies what must hold at any moment; for tests.

        Raises:
            StateError: an invariant is broken.
        """
        states = [self.state(index) for index in range(len(self._histories))]
        _require(self.unfinished == sum(state not in FINAL_STATES for state in states), "unfinished is miscounted")
        ready, holding = self.admission.ready(), set(self.admission.holding)
        _require(len(ready) == len(set(ready)), "a task is ready twice")
        _require(set(ready) == _indexes(states, TaskState.READY), "the ready queue differs from the states")
        running = _indexes(states, TaskState.RUNNING) | _indexes(states, TaskState.STOPPING)
        _require(holding == running, "what runs is not what holds a share")
        for index in range(len(states)):
            found = self._verdict(index)
            if TaskState.RUNNING in self._histories[index] or states[index] is TaskState.READY:
                _require(found == (TaskState.READY, None), f"{index} is past PENDING against its condition")
            if states[index] is TaskState.PENDING:
                _require(found is None, f"{index} waits for nothing")

    def _verdict(self, index: int) -> tuple[TaskState, str | None] | None:
        """Where a task goes by what it depends on; None as long as that is open."""
        task = self._dag.tasks[index]
        ended: dict[str, TaskState] = {}
        forgiven = set()
        for needed in task.depends_on:
            at = self._dag.index(needed)
            state = self.state(at)
            if state in FINAL_STATES:
                ended[needed] = state
                allowed = state is TaskState.FAILED and self._dag.tasks[at].allow_failure
                if allowed or (index in self._final and at not in self._final):
                    forgiven.add(needed)
        ended = counted(task.when, ended, forgiven)
        if self._unmet[index] == 0:
            return verdict(task.when, ended, self._written)
        if task.when in {"failure", "always"}:
            return None
        if isinstance(task.when, TaskIs):
            ended.pop(task.when.task, None)
        early = verdict("success", ended, {})
        return early if early[0] in {TaskState.UPSTREAM_FAILED, TaskState.CANCELLED} else None

    def _release(self, index: int) -> None:
        self._move(index, TaskState.READY)
        self.ready_at[index] = monotonic()
        self.admission.add(index)

    def _end(self, index: int, state: TaskState) -> None:
        """A task ends, from whatever state."""
        was = self.state(index)
        self._move(index, state)
        if was is TaskState.READY:
            self.admission.remove(index)
        elif was in {TaskState.RUNNING, TaskState.STOPPING}:
            self.admission.release(index)

    def _follow(self, index: int) -> list[int]:
        """What follows from the end of a task, those after it in the order of the graph."""
        concerned: list[tuple[int, int]] = []
        self._tell(index, concerned)
        return self._decide(concerned)

    def _decide(self, concerned: list[tuple[int, int]]) -> list[int]:
        """Moves those that something was decided on, and who follows from them; returns who that ended, in order."""
        moved: list[int] = []
        while concerned or self._begins_closing(concerned):
            _, dependent = heappop(concerned)
            if self.state(dependent) is not TaskState.PENDING:
                continue
            if self._is_plain(dependent):
                self._release(dependent)
                continue
            found = self._verdict(dependent)
            if found is None:
                continue
            state, cause = found
            if state is TaskState.READY:
                self._release(dependent)
                continue
            self._move(dependent, state)
            if cause is not None:
                at = self._dag.index(cause)
                self._causes[dependent] = self._causes.get(at, at)
            moved.append(dependent)
            self._tell(dependent, concerned)
        return sorted(moved)

    def _is_plain(self, index: int) -> bool:
        """Whether all that a task depends on succeeded and it wants no more: most do, and this takes no walk."""
        return self._unmet[index] == 0 and index not in self._troubled and self._dag.tasks[index].when == "success"

    def _begins_closing(self, concerned: list[tuple[int, int]]) -> bool:
        """Once the last main task has ended, adds the tasks with `finally` that waited for that alone, if any."""
        if self._main_left or self._is_closing:
            return False
        self._is_closing = True
        for index in self._final:
            self._count_down(index, concerned)
        return bool(concerned)

    def _count_down(self, index: int, concerned: list[tuple[int, int]], *, good: bool = True) -> None:
        self._unmet[index] -= 1
        if not good:
            self._troubled.add(index)
        if self._unmet[index] == 0 or not good:
            heappush(concerned, (self._rank[index], index))

    def _tell(self, index: int, concerned: list[tuple[int, int]]) -> None:
        """Counts down what the dependents of a task that ended wait for, and adds those that this decides on."""
        good = self.state(index) is TaskState.SUCCEEDED
        for dependent in self._dag.dependents[index]:
            if index in self._final or dependent not in self._final:
                self._count_down(dependent, concerned, good=good)

    def _move(self, index: int, state: TaskState) -> None:
        history = self._histories[index]
        if state not in TRANSITIONS[history[-1]]:
            path = " -> ".join(history)
            raise StateError(f"task {self._dag.tasks[index].id!r} cannot become {state} after {path}")
        self._histories[index] = _longer(history, state)
        if state in FINAL_STATES:
            self.unfinished -= 1
            self._main_left -= index not in self._final
            self.admission.forget(index)


@cache
def _longer(history: _History, state: TaskState) -> _History:
    """Tasks share their histories, which are few: one for each task is what a garbage collector walks through."""
    return (*history, state)


def _indexes(states: Iterable[TaskState], wanted: TaskState) -> set[int]:
    return {index for index, state in enumerate(states) if state is wanted}


def _require(holds: bool, message: str) -> None:  # noqa: FBT001 - an assertion with a name
    if not holds:
        raise StateError(message)
