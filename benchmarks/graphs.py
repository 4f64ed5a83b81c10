"""The graphs that the benches run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dockersched.model import QuotaConfig

IMAGE = "dockersched/base"


@dataclass(frozen=True)
class Graph:
    """A graph of tasks that all run the same command.

    Args:
        name: for the tables.
        needs: for each task, by index, the indexes of the tasks before it.
        command: the program and its arguments.
        max_parallel: sandboxes that may run side by side.
        quota: of each task; None takes the defaults.
    """

    name: str
    needs: tuple[tuple[int, ...], ...]
    command: tuple[str, ...] = ("true",)
    max_parallel: int = 4
    quota: QuotaConfig | None = None

    def __len__(self) -> int:
        """How many tasks it has."""
        return len(self.needs)

    def dependents(self) -> list[list[int]]:
        """For each task, by index, the tasks that wait for it."""
        found: list[list[int]] = [[] for _ in self.needs]
        for index, needs in enumerate(self.needs):
            for need in needs:
                found[need].append(index)
        return found

    def write_epic(self, folder: Path) -> Path:
        """Writes the graph as an epic file; returns its path."""
        command, *args = self.command
        stem = self.name.replace(" ", "-")
        defaults: dict[str, Any] = {"image": IMAGE}
        if self.quota is not None:
            quota = {"cpus": self.quota.cpus, "memory": self.quota.memory, "pids": self.quota.pids}
            defaults["quota"] = {key: value for key, value in quota.items() if value is not None}
        tasks = {
            task_id(index): {"command": command, "args": [*args], "depends_on": [task_id(need) for need in needs]}
            for index, needs in enumerate(self.needs)
        }
        path = folder / f"{stem}.yaml"
        epic = {
            "epic": f"bench-{stem}",
            "max_parallel": self.max_parallel,
            "max_cpus": self.max_parallel,  # slots alone limit, as they do the raw client
            "defaults": defaults,
            "tasks": tasks,
        }
        path.write_text(yaml.safe_dump(epic, sort_keys=False), "utf-8")
        return path


def task_id(index: int) -> str:
    """A task's id."""
    return f"t{index}"


def wide(tasks: int) -> Graph:
    """Independent tasks."""
    return Graph(f"{tasks} wide", ((),) * tasks)


def chain(tasks: int) -> Graph:
    """Each task after the one before it."""
    return Graph(f"chain of {tasks}", tuple((index - 1,) if index else () for index in range(tasks)))


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
