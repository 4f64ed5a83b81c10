"""Which ready task comes first: the one with the longest path of expected work behind it.

That rule, the bottom level of list scheduling, keeps a run from ending with one long chain after everything else is
done (Graham 1969, "Bounds on multiprocessing timing anomalies"; Topcuoglu et al. 2002, "HEFT").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dockersched.graph.dag import TaskDAG

UNKNOWN_S = 1.0
"""What each task counts when nothing is known of any: then the longest path is the one with the most tasks."""


def expected_s(dag: TaskDAG, history: Mapping[str, float] | None = None) -> list[float]:
    """How long each task will probably take, in seconds, by index.

    Its own `expected_duration_s` comes first, then `history`; a task of which nothing is known counts as the median
    of those that are known.

    Args:
        dag: the graph.
        history: seconds that tasks took in earlier runs, by task id.
    """
    history = history or {}
    known = [task.expected_duration_s or history.get(task.id) for task in dag]
    usual = UNKNOWN_S
    if found := [value for value in known if value is not None]:
        from statistics import median  # noqa: PLC0415 - takes long to load, and not every epic knows durations

        usual = median(found)
    return [usual if value is None else value for value in known]


def remaining_s(dag: TaskDAG, durations: Sequence[float]) -> list[float]:
    """The longest path from the start of each task to the end of the epic, by index.

    Args:
        dag: the graph.
        durations: seconds, by index.
    """
    remaining = list(durations)
    dependents = dag.dependents
    for index in reversed(dag.topological):
        after = dependents[index]
        if after:
            remaining[index] += max([remaining[dependent] for dependent in after])
    return remaining


def start_order(dag: TaskDAG, durations: Sequence[float] | None = None) -> list[int]:
    """All tasks' indexes in the order in which they would start if all were ready.

    A higher `priority` comes first, then a longer remaining path, then an earlier declaration.

    Args:
        dag: the graph.
        durations: expected seconds, by index; `expected_s` without a history when left out.
    """
    remaining = remaining_s(dag, expected_s(dag) if durations is None else durations)
    # Sorting is stable, reversed too: what is equal stays in declaration order.
    order = sorted(range(len(dag)), key=remaining.__getitem__, reverse=True)
    priorities = [task.priority for task in dag]
    if any(priorities):
        order.sort(key=priorities.__getitem__, reverse=True)
    return order
