"""dockersched end to end against a perfect client of the engine, by turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks.command import Dockersched
from benchmarks.contender import Contender, Measured
from benchmarks.graphs import Graph, chain, layers, wide
from benchmarks.raw_client import RawClient

GRAPHS = (wide(40), chain(12), layers(5, 8))

_RATIO_TARGET = 1.10
_NOISE_LIMIT = 0.25
_HEAD = ("graph", "client", "makespan s", "spread", "ratio", "by round", "before s", "epic s", "after s", "CPU ms/task")


def run(rounds: int) -> None:
    """Measures all graphs and prints tables and targets."""
    print(f"\n## floor: medians of {rounds} rounds, the clients by turns\n")
    with tempfile.TemporaryDirectory(prefix="dockersched-bench-") as folder:
        dockersched = Dockersched(Path(folder))
        dockersched.run(chain(1))  # builds the image where it is missing, and fills the bytecode cache
        contenders = (RawClient(), dockersched)
        rows: list[tuple[str, ...]] = []
        targets: list[str] = []
        for graph in GRAPHS:
            runs = _take_turns(contenders, graph, rounds)
            rows += _rows(graph, contenders, runs)
            targets += _targets(graph, contenders, runs)
    print(report.table(_HEAD, rows), *targets, sep="\n")


def _take_turns(contenders: Sequence[Contender], graph: Graph, rounds: int) -> list[list[Measured]]:
    """The runs of each contender; the order turns around with each round, so that a drift favours none."""
    runs: list[list[Measured]] = [[] for _ in contenders]
    for number in range(rounds):
        order = range(len(contenders)) if number % 2 == 0 else reversed(range(len(contenders)))
        for index in order:
            runs[index].append(contenders[index].run(graph))
    return runs


def _rows(graph: Graph, contenders: Sequence[Contender], runs: list[list[Measured]]) -> list[tuple[str, ...]]:
    floor = [measured.makespan_s for measured in runs[0]]
    rows = []
    for contender, own in zip(contenders, runs, strict=True):
        makespans = [measured.makespan_s for measured in own]
        by_round = [mine / least for mine, least in zip(makespans, floor, strict=True)]
        parts = [median(part) for part in zip(*((run.before_s, run.epic_s, run.after_s) for run in own), strict=True)]
        rows.append(
            (
                graph.name,
                contender.name,
                f"{median(makespans):.2f}",
                f"{_spread(makespans):.0%}",
                f"{median(makespans) / median(floor):.2f}",
                f"{min(by_round):.2f}-{max(by_round):.2f}",
                *(f"{part:.2f}" if any(parts) else "" for part in parts),
                f"{median(run.cpu_s for run in own) / len(graph) * 1_000:.1f}",
            )
        )
    return rows


def _targets(graph: Graph, contenders: Sequence[Contender], runs: list[list[Measured]]) -> list[str]:
    floor = [measured.makespan_s for measured in runs[0]]
    spread = _spread(floor)
    noisy = f"too noisy (the floor's spread is {spread:.0%})" if spread > _NOISE_LIMIT else ""
    return [
        report.target(
            f"{contender.name}, {graph.name}, makespan to the floor's",
            median(measured.makespan_s for measured in own) / median(floor),
            _RATIO_TARGET,
            noisy=noisy,
        )
        for contender, own in list(zip(contenders, runs, strict=True))[1:]
    ]


def _spread(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / median(values)
