"""Graphs with the durations of their tasks, shaped as published workflows are.

Montage and Epigenomics are the synthetic workflows of the Pegasus project (Bharathi et al. 2008, "Characterization of
scientific workflows"), a quarter as wide: edges as published, and durations drawn around the mean of each kind of task
in Montage_1000 and GENOME.n.1000.0 (https://github.com/kfigiela/msc-thesis/tree/master/dags). Tasks of one kind have
one quota there. The others are textbook shapes, and random graphs, in which each task has a quota of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from dockersched.graph.dag import TaskDAG
from dockersched.model import QuotaConfig, ScheduledTask

_GIB = 2**30


@dataclass
class Shape:
    """A graph that grows task by task.

    Args:
        choose: where durations come from.
    """

    choose: random.Random
    durations: list[float] = field(default_factory=list)
    quotas: list[QuotaConfig] = field(default_factory=list)
    kinds: dict[str, QuotaConfig] = field(default_factory=dict)
    needs: list[list[int]] = field(default_factory=list)

    def add(self, mean_s: float, *needs: int, kind: str = "", spread: float = 0.4) -> int:
        """Adds a task that takes about this long; returns its index."""
        quota = _quota(self.choose)
        self.quotas.append(self.kinds.setdefault(kind, quota) if kind else quota)
        self.durations.append(max(0.01, self.choose.gauss(mean_s, mean_s * spread)))
        self.needs.append(list(needs))
        return len(self.needs) - 1

    def shuffled(self) -> Workload:
        """The graph as somebody might write it down: the order in the file says nothing of the durations."""
        order = list(range(len(self.needs)))
        self.choose.shuffle(order)
        tasks = [
            ScheduledTask(f"t{index}", [f"t{need}" for need in self.needs[index]], "true", quota=self.quotas[index])
            for index in order
        ]
        return Workload(TaskDAG(tasks), [self.durations[index] for index in order])


@dataclass(frozen=True)
class Workload:
    """A graph, and how long its tasks take, in seconds, by index."""

    dag: TaskDAG
    durations: list[float]


def _quota(choose: random.Random) -> QuotaConfig:
    """Most tasks are small, some take much of the engine."""
    cpus, gib = choose.choices([(0.5, 0.5), (1, 1), (2, 2), (4, 4), (1, 12)], weights=[40, 30, 15, 10, 5])[0]
    return QuotaConfig(cpus=cpus, memory=int(gib * _GIB))


def fork_join(shape: Shape, stages: int = 6, width: tuple[int, int] = (5, 25)) -> None:
    """Stages that fan out and in."""
    before: list[int] = []
    for _ in range(stages):
        stage = [shape.add(shape.choose.expovariate(1 / 30), *before) for _ in range(shape.choose.randint(*width))]
        before = [shape.add(2, *stage)]


def pipelines(shape: Shape) -> None:
    """Independent chains, some much longer than others."""
    for _ in range(20):
        last: list[int] = []
        for _ in range(shape.choose.choice([2, 3, 4, 5, 12])):
            last = [shape.add(shape.choose.expovariate(1 / 20), *last)]


def montage(shape: Shape, images: int = 42, overlaps: int = 166) -> None:
    """Mosaics of the sky: project images, compare those that overlap, fit all, correct each, add up."""
    projected = [shape.add(13.58, kind="project") for _ in range(images)]
    compared = [shape.add(10.59, *shape.choose.sample(projected, 2), kind="compare") for _ in range(overlaps)]
    model = shape.add(89.12, shape.add(52.96, *compared))
    corrected = [shape.add(10.74, model, image, kind="correct") for image in projected]
    mosaic = shape.add(99.53, shape.add(65.91, *corrected), *corrected)
    shape.add(2.52, shape.add(22.25, mosaic))


def epigenomics(shape: Shape, lanes: int = 7, chunks: tuple[int, int] = (4, 14)) -> None:
    """Sequencing lanes: split each, take its chunks through four steps, merge, then one way to the end."""
    merged = []
    for _ in range(lanes):
        split = shape.add(60.36, kind="split")
        mapped = []
        for _ in range(shape.choose.randint(*chunks)):
            filtered = shape.add(1.40, split, kind="filter")
            converted = shape.add(0.68, shape.add(0.37, filtered, kind="to sanger"), kind="to binary")
            mapped.append(shape.add(6_068.53, converted, kind="map"))
        merged.append(shape.add(18.98, *mapped, kind="merge"))
    shape.add(1_845.77, shape.add(0.18, shape.add(136.76, *merged)))


def layered(shape: Shape) -> None:
    """Random graphs: each task waits for up to three of the forty before it."""
    for index in range(200):
        earlier = range(max(0, index - 40), index)
        needs = shape.choose.sample(earlier, min(len(earlier), shape.choose.choice([0, 1, 1, 2, 3])))
        shape.add(shape.choose.lognormvariate(2.5, 1.0), *needs, spread=0)


SHAPES: dict[str, Callable[[Shape], None]] = {
    "fork-join": fork_join,
    "pipelines": pipelines,
    "Montage": montage,
    "Epigenomics": epigenomics,
    "random": layered,
}


def workload(name: str, seed: int) -> Workload:
    """One workload of a shape."""
    shape = Shape(random.Random(f"{name}-{seed}"))  # noqa: S311 - a workload is no secret
    SHAPES[name](shape)
    return shape.shuffled()
