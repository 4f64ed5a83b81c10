"""Finds everything that is wrong with a graph, all at once, in one pass over its edges."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from dockersched.errors import Problem

Node = tuple[str, Sequence[str]]
"""A task's id and the ids it depends on."""

MAX_SUGGESTIONS = 20
"""Finding a near word takes milliseconds in a large graph; nobody reads more than a few."""


_SHOWN_OF_CYCLE = 5
"""Tasks of a long cycle that are named, at either end."""


def find_problems(nodes: Sequence[Node]) -> list[Problem]:
    """Duplicate ids, unknown dependencies, self-dependencies and cycles, in the order of the nodes.

    Each problem's path leads to its place: `("tasks", id)` or `("tasks", id, "depends_on", position)`.
    """
    index_of: dict[str, int] = {}
    problems: list[Problem] = []
    for index, (task_id, _) in enumerate(nodes):
        if index_of.setdefault(task_id, index) != index:
            problems.append(Problem(f"task id {task_id!r} is used twice; ids must be unique", ("tasks", task_id)))
    known = list(index_of)
    for task_id, depends_on in nodes:
        for position, dependency in enumerate(depends_on):
            path = ("tasks", task_id, "depends_on", position)
            if dependency == task_id:
                problems.append(Problem(f"task {task_id!r} depends on itself; remove it from depends_on", path))
            elif dependency not in index_of:
                near = known if len(problems) < MAX_SUGGESTIONS else ()
                problems.append(Problem(_unknown(task_id, dependency, near), path))
    problems += [_cycle_problem(nodes, cycle) for cycle in _find_cycles(nodes, index_of)]
    return problems


def suggestion(word: str, known: Sequence[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is near."""
    near = get_close_matches(word, known, n=1, cutoff=0.6) if len(known) <= 2_000 else []
    return f" (did you mean {near[0]!r}?)" if near else ""


def _unknown(task_id: str, dependency: str, known: Sequence[str]) -> str:
    hint = suggestion(dependency, known)
    return f"task {task_id!r} depends on {dependency!r}, which is not a task of this epic{hint}"


def _cycle_problem(nodes: Sequence[Node], cycle: list[int]) -> Problem:
    ids = [nodes[index][0] for index in cycle]
    ends = ids if len(ids) <= 2 * _SHOWN_OF_CYCLE else [*ids[:_SHOWN_OF_CYCLE], "…", *ids[-_SHOWN_OF_CYCLE:]]
    path = " -> ".join([*ends, ids[0]])
    position = list(nodes[cycle[0]][1]).index(ids[1])
    return Problem(
        f"dependency cycle: {path}; remove one of these dependencies", ("tasks", ids[0], "depends_on", position)
    )


def _find_cycles(nodes: Sequence[Node], index_of: dict[str, int]) -> list[list[int]]:
    """One cycle for each knot of tasks that wait for each other, as indexes along `depends_on`.

    Releases tasks in dependency order; what is left waits for a cycle. A walk along the waiting dependencies must
    then run into itself: that is a cycle, and releasing it lets the walk go on behind it.
    """
    needs = [_inner_dependencies(index, node, index_of) for index, node in enumerate(nodes)]
    releases = _Releases(needs)
    cycles: list[list[int]] = []
    unwalked = [iter(dependencies) for dependencies in needs]
    for start in range(len(nodes)):
        walk, on_walk = [start], {start: 0}
        while walk:
            following = releases.next_held(walk[-1], unwalked[walk[-1]])
            if following is None:
                on_walk.pop(walk.pop())
            elif following in on_walk:
                cycles.append(walk[on_walk[following] :])
                releases.release(cycles[-1])
            else:
                on_walk[following] = len(walk)
                walk.append(following)
    return cycles


class _Releases:
    """Which tasks could run if everything before them did, by index."""

    def __init__(self, needs: Sequence[Sequence[int]]) -> None:
        self._dependents: list[list[int]] = [[] for _ in needs]
        for index, dependencies in enumerate(needs):
            for dependency in dependencies:
                self._dependents[dependency].append(index)
        self._unmet = [len(dependencies) for dependencies in needs]
        self._released = [False] * len(needs)
        self.release([index for index, count in enumerate(self._unmet) if count == 0])

    def next_held(self, index: int, dependencies: Iterator[int]) -> int | None:
        """The next of a task's dependencies that is not released; None when the task itself is."""
        if self._released[index]:
            return None
        return next((dependency for dependency in dependencies if not self._released[dependency]), None)

    def release(self, indexes: Sequence[int]) -> None:
        """Releases these tasks, and those that waited for them alone."""
        queue = list(indexes)
        while queue:
            index = queue.pop()
            if self._released[index]:
                continue
            self._released[index] = True
            for dependent in self._dependents[index]:
                self._unmet[dependent] -= 1
                if self._unmet[dependent] == 0:
                    queue.append(dependent)


def _inner_dependencies(index: int, node: Node, index_of: dict[str, int]) -> list[int]:
    known = (index_of[dependency] for dependency in dict.fromkeys(node[1]) if dependency in index_of)
    return [dependency for dependency in known if dependency != index]
