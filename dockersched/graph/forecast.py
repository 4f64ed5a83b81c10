"""When each task would run if all took as long as expected: the plan itself, driven by a clock that is made up."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from msgspec import Struct

from dockersched.graph.dag import TaskDAG
from dockersched.graph.order import remaining_s
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

    Args:
        dag: the graph.
        durations: expected seconds, by index.
    """
    remaining = remaining_s(dag, durations)
    following: Sequence[int] = [index for index, count in enumerate(dag.dependency_counts) if not count]
    path: list[int] = []
    while following:
        path.append(max(following, key=remaining.__getitem__))
        following = dag.dependents[path[-1]]
    return path


def lower_bound_s(dag: TaskDAG, durations: Sequence[float], slots: float) -> float:
    """No order can be faster: the longest path takes its time, and so do all tasks on the slots there are.

    Args:
        dag: the graph.
        durations: expected seconds, by index.
        slots: how many tasks can run side by side.
    """
    return max([*remaining_s(dag, durations), sum(durations) / slots, 0.0])
