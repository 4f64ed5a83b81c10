"""Where the nodes of a graph go: in columns by their depth, ordered so that few edges cross.

The method of Sugiyama et al. 1981: layers by the longest path, points where an edge passes a layer, and sweeps that
sort each layer by the mean place of its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

SWEEPS = 4
POINTS_MAX = 20_000
"""That all edges together pass through. Those of tasks for which there is no room go straight, behind what is in their
way: the cost of any graph is bounded by its tasks and edges, and by this."""

Place = tuple[int, float]
"""Column, from 0, and row, from the middle."""


class Layers(Struct, frozen=True):
    """Where everything is.

    Args:
        places: of the tasks, by id.
        passed: for each task, the places between it and its furthest dependent, through which its edges go.
    """

    places: Mapping[str, Place]
    passed: Mapping[str, Sequence[Place]]


def lay_out(needs: Mapping[str, Sequence[str]]) -> Layers:
    """Places the tasks of a graph without cycles.

    Args:
        needs: for each task, those that it depends on.
    """
    dependents: dict[str, list[str]] = {task: [] for task in needs}
    for task, needed in needs.items():
        for other in dict.fromkeys(needed):
            dependents[other].append(task)
    depth = _depths(needs, dependents)
    columns: list[list[tuple[str, int]]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    before: dict[tuple[str, int], list[tuple[str, int]]] = {}
    passed: dict[str, list[tuple[str, int]]] = {}
    points = 0
    for task, column in depth.items():
        columns[column].append((task, column))
        until = max((depth[other] for other in dependents[task]), default=column)
        passing = sum(depth[other] - column - 1 for other in dependents[task])
        has_room = points + passing <= POINTS_MAX
        points += passing if has_room else 0
        passed[task] = [(task, at) for at in range(column + 1, until)] if has_room else []
        for point in passed[task]:
            columns[point[1]].append(point)
            before[point] = [(task, point[1] - 1)]
    for task, needed in needs.items():
        at = depth[task]
        before[task, at] = [(other, at - 1 if passed[other] else depth[other]) for other in dict.fromkeys(needed)]
    rows = _sorted_rows(columns, before)
    return Layers(
        {task: (column, rows[task, column]) for task, column in depth.items()},
        {task: [(point[1], rows[point]) for point in found] for task, found in passed.items()},
    )


def _depths(needs: Mapping[str, Sequence[str]], dependents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    unmet = {task: len(set(needed)) for task, needed in needs.items()}
    depth = {task: 0 for task in needs if not unmet[task]}
    for task in (queue := list(depth)):  # grows while it is walked
        for other in dependents[task]:
            depth[other] = max(depth.get(other, 0), depth[task] + 1)
            unmet[other] -= 1
            if not unmet[other]:
                queue.append(other)
    return depth


def _sorted_rows(
    columns: Sequence[list[tuple[str, int]]], before: Mapping[tuple[str, int], Sequence[tuple[str, int]]]
) -> dict[tuple[str, int], float]:
    after: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for node, needed in before.items():
        for other in needed:
            after.setdefault(other, []).append(node)
    rows: dict[tuple[str, int], float] = {}

    def number(column: Sequence[tuple[str, int]]) -> None:
        rows.update({node: row - (len(column) - 1) / 2 for row, node in enumerate(column)})

    for column in columns:
        number(column)
    for sweep in range(SWEEPS):
        neighbours, order = (before, columns) if sweep % 2 == 0 else (after, columns[::-1])
        for column in order:
            wanted = {}
            for node in column:
                near = [rows[other] for other in neighbours.get(node, ())]
                wanted[node] = sum(near) / len(near) if near else rows[node]
            column.sort(key=wanted.__getitem__)
            number(column)
    return rows
