"""Contenders that take turns at the same graphs: their figures, and what they make of the first one's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import report
from benchmarks.contender import Contender, Measured
from benchmarks.graphs import Graph

NOISE_LIMIT = 0.25
"""How far the runs of the floor may lie apart, (most - least) / median, for any figure to be told."""

_PAUSE_S = 1.5

_HEAD = (
    *("graph", "client", "makespan s", "spread", "ratio", "by round", "overhead ms/step", "ratio", "before + after s"),
    *("CPU ms/task", "MB", "left behind"),
)


@dataclass(frozen=True)
class Turns:
    """The runs of one graph.

    Args:
        graph: what was run.
        runs: of each contender, by name, in the order of the rounds; the first one is the plain floor.
    """

    graph: Graph
    runs: Mapping[str, Sequence[Measured]]

    @property
    def spread(self) -> float:
        """How far the floor's runs lie apart."""
        return _spread(self._floor())

    def ratio(self, name: str) -> float:
        """A contender's makespan to the floor's, of the medians."""
        return median(self._makespans(name)) / median(self._floor())

    def overhead_ratio(self, name: str) -> float:
        """A contender's overhead a step to the floor's, of the medians."""
        return self.overhead_s(name) / self.graph.overhead_a_step_s(median(self._floor()))

    def overhead_s(self, name: str) -> float:
        """What a contender takes for a step of the critical path beside the task's own time, in seconds."""
        return self.graph.overhead_a_step_s(median(self._makespans(name)))

    def cpu_ms(self, name: str) -> float:
        """A contender's processor time for a task, in milliseconds."""
        return median(run.cpu_s for run in self.runs[name]) / len(self.graph) * 1_000

    def peak_mb(self, name: str) -> float:
        """A contender's memory, in millions of bytes."""
        return median(run.peak_bytes for run in self.runs[name]) / 1_000_000

    def rows(self) -> list[tuple[str, ...]]:
        """A line of the table for each contender."""
        return [(self.graph.name, name, *self._cells(name)) for name in self.runs]

    def _cells(self, name: str) -> list[str]:
        makespans, runs = self._makespans(name), self.runs[name]
        by_round = [mine / least for mine, least in zip(makespans, self._floor(), strict=True)]
        around = [median(run.before_s for run in runs), median(run.after_s for run in runs)]
        return [
            f"{median(makespans):.2f}",
            f"{_spread(makespans):.0%}",
            f"{self.ratio(name):.2f}",
            f"{min(by_round):.2f}-{max(by_round):.2f}",
            f"{self.overhead_s(name) * 1_000:.0f}",
            f"{self.overhead_ratio(name):.2f}",
            " + ".join(f"{part:.2f}" for part in around) if any(around) else "",
            f"{self.cpu_ms(name):.1f}",
            f"{self.peak_mb(name):.0f}" if self.peak_mb(name) else "",
            str(runs[-1].left),
        ]

    def _floor(self) -> list[float]:
        return self._makespans(next(iter(self.runs)))

    def _makespans(self, name: str) -> list[float]:
        return [run.makespan_s for run in self.runs[name]]


def take(contenders: Sequence[Contender], graph: Graph, rounds: int) -> Turns:
    """Runs a graph with each contender; the order turns around with each round, so that a drift favours none.

    Before each run is a pause, for what the engine and the kernel still take down of the one before.
    """
    runs: dict[str, list[Measured]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            time.sleep(_PAUSE_S)
            runs[contender.name].append(contender.run(graph))
    return Turns(graph, runs)


def tell(measured: Turns, targets: Sequence[str] = ()) -> bool:
    """Prints a table and the lines of targets, or why there is nothing to tell; returns whether there is."""
    if measured.spread > NOISE_LIMIT:
        why = f"the machine is too noisy: the plain floor's spread is {measured.spread:.0%}"
        print(f"not reported: {measured.graph.name}: {why}\n")
        return False
    print(report.table(_HEAD, measured.rows()), *targets, "", sep="\n")
    return True


def _spread(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / median(values)
