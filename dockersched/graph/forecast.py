"""When each task would run if all took as long as expected: the plan itself, driven by a clock that is made up."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from msgspec import Struct

from dockersched.graph.dag import TaskDAG
from dockersched.graph.plan import Plan


class Span(Struct, frozen=True):
    """From when to when a task runs, in seconds from the start of the epic."""

    start_s: float
    end_s: float


def forecast(plan: Plan, durations: Sequence[float]) -> list[Span]:
    """When each task would run, by index.

    Args:
        plan: of a run in which nothing has started; it is carried to its end.
        durations: expected seconds, by index.
    """
    spans = [Span(0.0, 0.0)] * len(durations)
    running: list[tuple[float, int]] = []
    now = 0.0
    while plan.unfinished:
        while plan.may_start:
            index = plan.start_next()
            spans[index] = Span(now, now + durations[index])
            heappush(running, (spans[index].end_s, index))
        now = running[0][0]
        while running and running[0][0] == now:  # what ends at once is known at once
            plan.succeed(heappop(running)[1])
    return spans


def makespan_s(spans: Sequence[Span]) -> float:
    """How long the epic takes."""
    return max((span.end_s for span in spans), default=0.0)


def critical_path(dag: TaskDAG, durations: Sequence[float]) -> list[int]:
    """The longest path through a graph, as indexes in the order in which they run; the first one among equals.

    Behind all main tasks come those with `finally`: so does their longest path behind that of the others.

    Args:
        dag: the graph.
        durations: expected seconds, by index.
    """
    remaining = list(durations)
    following: dict[int, int] = {}
    for index in reversed(dag.topological):
        at_end = dag.tasks[index].finally_
        after = [other for other in dag.dependents[index] if dag.tasks[other].finally_ == at_end]
        if after:
            following[index] = max(after, key=remaining.__getitem__)
            remaining[index] += remaining[following[index]]
    path: list[int] = []
    for at_end in (False, True):
        begins = [index for index, task in enumerate(dag) if task.finally_ == at_end]
        at = max(begins, key=remaining.__getitem__, default=None)
        while at is not None:
            path.append(at)
            at = following.get(at)
    return path


def lower_bound_s(dag: TaskDAG, durations: Sequence[float], slots: float) -> float:
    """No order can be faster: the longest path takes its time, and so do all tasks on the slots there are.

    Args:
        dag: the graph.
        durations: expected seconds, by index.
        slots: how many tasks can run side by side.
    """
    return max(sum(durations[index] for index in critical_path(dag, durations)), sum(durations) / slots)
