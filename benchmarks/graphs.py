"""The graphs that the benches run."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dockersched.model import QuotaConfig

IMAGE = "dockersched/base"

_NOT_IN_STEMS = re.compile(r"[^A-Za-z0-9.]+")


class Stretch(NamedTuple):
    """A path of a graph: the longer one is greater.

    Args:
        seconds: that its tasks take.
        steps: the tasks.
    """

    seconds: float
    steps: int


@dataclass(frozen=True)
class Graph:
    """A graph of tasks.

    Args:
        name: for the tables.
        needs: for each task, by index, the indexes of the tasks before it, which are smaller.
        command: the program and its arguments, of tasks whose seconds are not given.
        max_parallel: sandboxes that may run side by side.
        quota: of each task; None takes the defaults.
        seconds: for each task, how long it sleeps; empty when all run the command.
    """

    name: str
    needs: tuple[tuple[int, ...], ...]
    command: tuple[str, ...] = ("true",)
    max_parallel: int = 4
    quota: QuotaConfig | None = None
    seconds: tuple[float, ...] = ()

    def __len__(self) -> int:
        """How many tasks it has."""
        return len(self.needs)

    @property
    def stem(self) -> str:
        """Its name, as part of a file's and an epic's."""
        return _NOT_IN_STEMS.sub("-", self.name)

    def command_of(self, index: int) -> tuple[str, ...]:
        """What a task runs: the program and its arguments."""
        return ("sleep", f"{self.seconds[index]:g}") if self.seconds else self.command

    def dependents(self) -> list[list[int]]:
        """For each task, by index, the tasks that wait for it."""
        found: list[list[int]] = [[] for _ in self.needs]
        for index, needs in enumerate(self.needs):
            for need in needs:
                found[need].append(index)
        return found

    def paths(self) -> list[Stretch]:
        """For each task, by index, the longest path that begins with it."""
        dependents = self.dependents()
        paths = [Stretch(0.0, 0)] * len(self)
        for index in reversed(range(len(self))):
            behind = max((paths[dependent] for dependent in dependents[index]), default=Stretch(0.0, 0))
            paths[index] = Stretch(behind.seconds + (self.seconds[index] if self.seconds else 0.0), behind.steps + 1)
        return paths

    def critical_path(self) -> Stretch:
        """The longest of all paths."""
        return max(self.paths())

    def overhead_a_step_s(self, makespan_s: float) -> float:
        """What a makespan holds beside the tasks' own time on the critical path, for each of its steps, in seconds."""
        path = self.critical_path()
        return (makespan_s - path.seconds) / path.steps

    def write_epic(self, folder: Path, **keys: Any) -> Path:
        """Writes the graph as an epic file; returns its path.

        Args:
            folder: where to.
            keys: more keys of the epic; `defaults` adds to those of the graph.
        """
        defaults: dict[str, Any] = {"image": IMAGE, **keys.pop("defaults", {})}
        if self.quota is not None:
            quota = {"cpus": self.quota.cpus, "memory": self.quota.memory, "pids": self.quota.pids}
            defaults["quota"] = {key: value for key, value in quota.items() if value is not None}
        path = folder / f"{self.stem}.yaml"
        epic = {
            "epic": f"bench-{self.stem}",
            "max_parallel": self.max_parallel,
            "max_cpus": self.max_parallel,  # slots alone limit, as they do the raw client
            **keys,
            "defaults": defaults,
            "tasks": {task_id(index): self._task(index) for index in range(len(self))},
        }
        path.write_text(yaml.safe_dump(epic, sort_keys=False), "utf-8")
        return path

    def _task(self, index: int) -> dict[str, Any]:
        command, *args = self.command_of(index)
        task = {"command": command, "args": args, "depends_on": [task_id(need) for need in self.needs[index]]}
        if self.seconds:
            task["expected_duration"] = f"{round(self.seconds[index] * 1_000)}ms"
        return task


def task_id(index: int) -> str:
    """A task's id."""
    return f"t{index}"


def wide(tasks: int) -> Graph:
    """Independent tasks."""
    return Graph(f"{tasks} wide", ((),) * tasks)


def chain(tasks: int, seconds: float = 0.0) -> Graph:
    """Each task after the one before it; all of them sleep, or do nothing."""
    needs = tuple((index - 1,) if index else () for index in range(tasks))
    if not seconds:
        return Graph(f"chain of {tasks}", needs)
    return Graph(f"chain of {tasks}, {seconds:g} s each", needs, seconds=(seconds,) * tasks)


def layers(count: int, width: int) -> Graph:
    """Layers of tasks: by turns, a layer's tasks wait for two tasks of the layer before, or for all of it."""
    needs: list[tuple[int, ...]] = [()] * width
    for layer in range(1, count):
        before = range((layer - 1) * width, layer * width)
        for column in range(width):
            two = (before[column], before[(column + 1) % width])
            needs.append(two if layer % 2 else tuple(before))
    return Graph(f"{count} layers of {width}", tuple(needs))


def random_needs(tasks: int, seed: int = 1) -> list[tuple[int, ...]]:
    """A random graph in which each task waits for two earlier ones (the first two for none)."""
    choose = random.Random(seed)  # noqa: S311 - a graph is no secret
    return [tuple(choose.sample(range(index), 2)) if index > 1 else () for index in range(tasks)]
