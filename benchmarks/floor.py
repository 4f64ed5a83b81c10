"""dockersched end to end against a perfect client of the engine, by turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import report, turns
from benchmarks.command import Dockersched
from benchmarks.contender import Contender
from benchmarks.graphs import Graph, chain, layers, wide
from benchmarks.raw_client import RawClient
from benchmarks.turns import Turns
from benchmarks.workflows import WORKFLOWS, workflow

PLAIN, AHEAD, OWN = "dockersched", "dockersched, prepare_ahead", "dockersched, own namespaces"

_WIDE, _CHAIN, _LAYERS, _SLEEPS = wide(40), chain(12), layers(5, 8), chain(12, 0.5)
GRAPHS = (_WIDE, _CHAIN, _LAYERS, _SLEEPS)
_PREPARED = 4

# Makespan to the plain floor's; of the chain that sleeps, overhead a step to the plain floor's.
_TARGETS: dict[str, dict[str, float]] = {
    PLAIN: {_WIDE.name: 0.78, _CHAIN.name: 0.85, _LAYERS.name: 0.78, _SLEEPS.name: 0.70},
    AHEAD: {_WIDE.name: 0.78, _CHAIN.name: 0.60, _LAYERS.name: 0.75, _SLEEPS.name: 0.30},
    OWN: {_WIDE.name: 1.05, _CHAIN.name: 1.10, _LAYERS.name: 1.05, _SLEEPS.name: 1.10},
}
_WORKFLOW_TARGETS = {PLAIN: 0.95, AHEAD: 0.90, OWN: 1.05}
_CPU_TARGET_MS = 10.0
_MEMORY_TARGET_MB = 60.0


def run(rounds: int) -> bool:
    """Measures what bounds an engine's speed, and prints; returns whether the machine was quiet enough."""
    print(f"\n## floor: medians of {rounds} rounds, the clients by turns\n")
    return _run(GRAPHS, rounds)


def run_workflows(rounds: int) -> bool:
    """Measures graphs as people have them, and prints; returns whether the machine was quiet enough."""
    print(f"\n## shapes: workflows as published, medians of {rounds} rounds, the clients by turns\n")
    return _run([workflow(name) for name in WORKFLOWS], rounds)


def contenders(folder: Path) -> list[Contender]:
    """The floors, and dockersched in three ways, ready to be measured; the plain floor is the first."""
    ways: dict[str, dict[str, Any]] = {
        PLAIN: {},
        AHEAD: {"prepare_ahead": _PREPARED},
        OWN: {"defaults": {"network_namespace": "own"}},
    }
    found: list[Contender] = []
    for number, (name, keys) in enumerate(ways.items()):
        own_folder = folder / f"dockersched-{number}"
        own_folder.mkdir()
        found.append(Dockersched(own_folder, name, keys))
    for contender in found:
        contender.run(wide(16))  # builds the images where they are missing, and fills the bytecode cache
    return [RawClient(), RawClient(shared=True), *found]


def _run(graphs: Sequence[Graph], rounds: int) -> bool:
    is_quiet = True
    with tempfile.TemporaryDirectory(prefix="dockersched-bench-") as folder:
        everybody = contenders(Path(folder))
        for graph in graphs:
            measured = turns.take(everybody, graph, rounds)
            is_quiet &= turns.tell(measured, _targets(measured))
    return is_quiet


def _targets(measured: Turns) -> list[str]:
    graph, lines = measured.graph.name, []
    for name, limits in _TARGETS.items():
        if graph == _SLEEPS.name:
            what, ratio = "overhead a step", measured.overhead_ratio(name)
        else:
            what, ratio = "makespan", measured.ratio(name)
        limit = limits.get(graph, _WORKFLOW_TARGETS[name])
        lines.append(report.target(f"{name}, {graph}, {what} to the plain floor's", ratio, limit))
    if graph == _WIDE.name:
        for name in _TARGETS:
            what = f"{name}, {graph}, "
            cpu, memory = measured.cpu_ms(name), measured.peak_mb(name)
            lines.append(report.target(f"{what}client's CPU a task", cpu, _CPU_TARGET_MS, digits=1, unit=" ms"))
            lines.append(report.target(f"{what}client's memory", memory, _MEMORY_TARGET_MB, digits=0, unit=" MB"))
    return lines
