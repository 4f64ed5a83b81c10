"""The graph of an epic: tasks in declaration order and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dockersched.errors import EpicError
from dockersched.graph.handover import declared, find_misplaced, find_unmet, writing_values
from dockersched.graph.problems import find_problems
from dockersched.model import ScheduledTask


class TaskDAG:
    """A directed acyclic graph of tasks, checked when built; iterable over its tasks in declaration order.

    Attributes:
        tasks: the tasks, in declaration order.
        dependents: for each task, by index, the indexes of the tasks that depend on it, in declaration order.
        dependency_counts: for each task, by index, how many different tasks it depends on.
        topological: the indexes, each behind those of the tasks that it depends on.

    Raises:
        EpicError: duplicate ids, unknown dependencies, self-dependencies, cycles, inputs and references that nothing
            meets, main tasks that depend on one with `finally`; all of them at once.
    """

    __slots__ = ("_index_of", "dependency_counts", "dependents", "tasks", "topological")

    def __init__(self, tasks: Iterable[ScheduledTask]) -> None:
        self.tasks: Sequence[ScheduledTask] = tuple(tasks)
        self._index_of = {task.id: index for index, task in enumerate(self.tasks)}
        self.dependents: list[list[int]] = [[] for _ in self.tasks]
        self.dependency_counts = [len(set(task.depends_on)) for task in self.tasks]
        self.topological: list[int] = []
        users = [task for task in self.tasks if task.uses_others]
        unmet = [*(find_unmet(users, self.tasks) if users else []), *find_misplaced(self.tasks)]
        if not self._connect() or unmet:
            raise EpicError([*unmet, *find_problems([(task.id, declared(task, self)) for task in self.tasks])])
        self.tasks = writing_values(users, self.tasks)

    @classmethod
    def of(cls, tasks: TaskDAG | Iterable[ScheduledTask]) -> TaskDAG:
        """The graph of `tasks`; a graph is returned as it is."""
        return tasks if isinstance(tasks, TaskDAG) else cls(tasks)

    def __iter__(self) -> Iterator[ScheduledTask]:
        """Iterates over the tasks in declaration order."""
        return iter(self.tasks)

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self.tasks)

    def __contains__(self, task_id: object) -> bool:
        """Whether a task has this id."""
        return task_id in self._index_of

    def __getitem__(self, task_id: str) -> ScheduledTask:
        """The task with this id."""
        return self.tasks[self._index_of[task_id]]

    def index(self, task_id: str) -> int:
        """The position of a task in declaration order."""
        return self._index_of[task_id]

    def with_dependencies(self, task_ids: Iterable[str]) -> TaskDAG:
        """The graph of these tasks and of all that they depend on, in declaration order.

        Raises:
            KeyError: one of them is not in this graph.
        """
        needed = dict.fromkeys(task_ids)
        waiting = list(needed)
        for task_id in waiting:  # grows while it is walked
            for dependency in self[task_id].depends_on:
                if dependency not in needed:
                    needed[dependency] = None
                    waiting.append(dependency)
        return TaskDAG(task for task in self.tasks if task.id in needed)

    def _connect(self) -> bool:
        """Fills in the dependents; tells whether all dependencies are known and a full order exists."""
        if len(self._index_of) < len(self.tasks):
            return False
        for index, task in enumerate(self.tasks):
            for dependency in dict.fromkeys(task.depends_on):
                known = self._index_of.get(dependency)
                if known is None:
                    return False
                self.dependents[known].append(index)
        unmet = list(self.dependency_counts)
        released = self.topological
        released += [index for index, count in enumerate(unmet) if count == 0]
        for index in released:  # grows while it is walked
            for dependent in self.dependents[index]:
                unmet[dependent] -= 1
                if unmet[dependent] == 0:
                    released.append(dependent)
        return len(released) == len(self.tasks)
