"""Which tasks come next, so that their sandboxes can be created, or started behind a gate, before they may run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

from dockersched.graph.dag import TaskDAG
from dockersched.graph.plan import Plan
from dockersched.graph.transitions import FINAL_STATES
from dockersched.model import ScheduledTask
from dockersched.states import TaskState

GATED_BYTES = 2 * 2**20
"""What a gated sandbox counts until it is released: more than its first process and its init take, as measured."""


class Outlook(Struct, frozen=True):
    """What changes about the sandboxes that are prepared: tasks by index.

    Args:
        given_up: those that will not run, or whose memory is needed.
        next: those to be prepared now.
    """

    given_up: Sequence[int] = ()
    next: Sequence[int] = ()


class LookAhead:
    """Chooses the tasks to prepare: those of which every dependency runs or has ended, as they come in the order.

    A task is prepared once at most, for its first attempt. What it gets only from its dependencies cannot be put in
    before they have ended, so that those with `inputs` or values of others are not prepared. Over a whole run it costs
    O(dependencies + tasks * log(tasks)).

    Args:
        dag: the graph.
        plan: where its tasks stand, and in what order they start.
        most: sandboxes that are prepared at the same time.
        each_bytes: memory that each of them counts.
    """

    def __init__(self, dag: TaskDAG, plan: Plan, most: int, each_bytes: int = GATED_BYTES) -> None:
        self._dag = dag
        self._plan = plan
        self._most = most
        self._each_bytes = each_bytes
        self._rank = plan.admission.rank
        self._unstarted = list(dag.dependency_counts)
        self._started: set[int] = set()
        self._candidates = [
            (self._rank(index), index)
            for index, count in enumerate(self._unstarted)
            if count == 0 and _can_be_prepared(dag.tasks[index])
        ]
        heapify(self._candidates)
        self._prepared: set[int] = set()

    def started(self, index: int) -> None:
        """A task runs: a sandbox that was prepared for it is released, and dependents may be next."""
        self._prepared.discard(index)
        if index in self._started:
            return
        self._started.add(index)
        for dependent in self._dag.dependents[index]:
            self._unstarted[dependent] -= 1
            if self._unstarted[dependent] == 0 and _can_be_prepared(self._dag.tasks[dependent]):
                heappush(self._candidates, (self._rank(dependent), dependent))

    def look(self, may_begin: Callable[[], bool] = lambda: True) -> Outlook:
        """Chooses anew, after something has happened to the plan.

        Args:
            may_begin: asked whether anything may be prepared for now, if there is room for it.
        """
        given_up = [index for index in self._prepared if self._plan.state(index) in FINAL_STATES]
        self._prepared.difference_update(given_up)
        free_bytes = self._plan.admission.free().memory_bytes
        while len(self._prepared) * self._each_bytes > max(free_bytes, 0):
            last = max(self._prepared, key=self._rank)
            self._prepared.discard(last)
            given_up.append(last)
        chosen = []
        room_bytes = self._plan.admission.room().memory_bytes
        while len(self._prepared) < self._most and (len(self._prepared) + 1) * self._each_bytes <= room_bytes:
            if not self._candidates or not may_begin() or (index := self._next()) is None:
                break
            self._prepared.add(index)
            chosen.append(index)
        return Outlook(given_up, chosen)

    def _next(self) -> int | None:
        admission = self._plan.admission
        while self._candidates:
            _, index = heappop(self._candidates)
            waits = self._plan.state(index) in {TaskState.PENDING, TaskState.READY} and index not in self._started
            if waits and index not in admission.recorded and index not in admission.in_flight:
                return index
        return None


def _can_be_prepared(task: ScheduledTask) -> bool:
    return not task.uses_others and not task.finally_ and task.when in {"success", "always"}
