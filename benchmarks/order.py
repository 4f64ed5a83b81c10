"""How long simulated epics take by the order of their starts, against what no order can beat."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from statistics import median

from benchmarks import report
from benchmarks.shapes import SHAPES, Workload, workload
from dockersched.graph.admission import PATIENCE, Admission
from dockersched.graph.capacity import demand_of
from dockersched.graph.demand import Demand, Limits
from dockersched.graph.forecast import Span, forecast, lower_bound_s, makespan_s
from dockersched.graph.order import expected_s, start_order
from dockersched.graph.plan import Plan

SEEDS = range(50)
SLOTS = (4, 16)
ENGINE = Limits(slots=16, nano_cpus=4_000_000_000, memory_bytes=16 * 2**30)

_SPREAD = 0.3
_NEVER = 10**9
_ORDERS: dict[str, Callable[[Workload], Sequence[int]]] = {
    "as declared": lambda load: range(len(load.dag)),
    "most tasks": lambda load: start_order(load.dag, expected_s(load.dag)),
    "estimated": lambda load: start_order(load.dag, _estimates(load)),
    "known": lambda load: start_order(load.dag, load.durations),
}


def run() -> None:
    """Simulates all shapes, and prints tables."""
    print(f"\n## order: makespan by the lower bound, median (worst) of {len(SEEDS)} workloads of each shape\n")
    rows = [(name, f"{slots}", *_ratios(name, Limits(slots), is_sized=False)) for name in SHAPES for slots in SLOTS]
    print(report.table(("shape", "slots", *_ORDERS), rows))
    print("\nThe same on 16 slots, 4 CPUs and 16 GiB, with tasks from half a CPU to all four:\n")
    print(report.table(("shape", *_ORDERS), [(name, *_ratios(name, ENGINE, is_sized=True)) for name in SHAPES]))
    print("\nThe same, durations known, by how many tasks may pass one that does not fit:\n")
    patiences = (1, PATIENCE // 2, PATIENCE, 2 * PATIENCE, 4 * PATIENCE, _NEVER)
    head = ("shape", *("any" if patience == _NEVER else f"{patience}" for patience in patiences))
    print(report.table(head, [(name, *(_passing(name, patience) for patience in patiences)) for name in SHAPES]))


def _estimates(load: Workload) -> list[float]:
    """Durations as somebody would guess them, or as they were in earlier runs."""
    choose = random.Random(len(load.dag))  # noqa: S311 - a guess is no secret
    return [duration * choose.lognormvariate(0, _SPREAD) for duration in load.durations]


def _ratios(name: str, limits: Limits, *, is_sized: bool) -> list[str]:
    cells = []
    loads = [workload(name, seed) for seed in SEEDS]
    for order in _ORDERS.values():
        ratios = []
        for load in loads:
            demands = _demands(load) if is_sized else None
            spans = _simulate(load, order(load), demands, limits)
            ratios.append(makespan_s(spans) / _bound(load, demands, limits))
        cells.append(f"{median(ratios):.2f} ({max(ratios):.2f})")
    return cells


def _passing(name: str, patience: int) -> str:
    ratios = []
    for load in (workload(name, seed) for seed in SEEDS):
        demands = _demands(load)
        spans = _simulate(load, start_order(load.dag, load.durations), demands, ENGINE, patience)
        ratios.append(makespan_s(spans) / _bound(load, demands, ENGINE))
    return f"{median(ratios):.2f} ({max(ratios):.2f})"


def _demands(load: Workload) -> list[Demand]:
    return [demand_of(task.quota) for task in load.dag if task.quota]


def _simulate(
    load: Workload,
    order: Sequence[int],
    demands: Sequence[Demand] | None,
    limits: Limits,
    patience: int = PATIENCE,
) -> list[Span]:
    return forecast(Plan(load.dag, Admission(order, demands, limits, patience=patience)), load.durations)


def _bound(load: Workload, demands: Sequence[Demand] | None, limits: Limits) -> float:
    """The longest path, or the work by the slots, or by the CPUs, or by the memory: none can be beaten."""
    bounds = [lower_bound_s(load.dag, load.durations, limits.slots)]
    if demands is not None:
        work = list(zip(load.durations, demands, strict=True))
        bounds.append(sum(seconds * demand[0] for seconds, demand in work) / limits.nano_cpus)
        bounds.append(sum(seconds * demand[1] for seconds, demand in work) / limits.memory_bytes)
    return max(bounds)
