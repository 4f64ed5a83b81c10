"""The scheduler alone on large random graphs, with a runner that returns at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import report

SIZES = (1_000, 10_000, 100_000)

_BEST_OF = 3
_SECONDS_TARGET = 2.5
_MEMORY_TARGET_MB = 300.0
_GROWTH_TARGET = 1.3
_MILLION = 1_000_000
_MILLION_TARGET = 1.5
_RECORDED_SECONDS_TARGET = 8.0
_LOADED_SECONDS_TARGET = 6.0
_SHARES_TARGET = 1.5
_KINDS = ("plain", "shares", "own-shares")
_NOISE_LIMIT = 1.25
_HEAD = ("tasks", "build tasks s", "build graph s", "execute s", "CPU s", "execute µs/task", "peak MB")


def run() -> None:
    """Measures all sizes, each in processes of its own, and prints a table and targets."""
    print(f"\n## scale: best of {_BEST_OF} processes at each size, by turns; each executes 100,000 tasks\n")
    best = _best([[_measure(size) for size in SIZES] for _ in range(_BEST_OF)])
    print(report.table(_HEAD, [_row(size, figures) for size, figures in zip(SIZES, best, strict=True)]))
    print(*_targets(best), sep="\n")
    print(
        f"\n{SIZES[-1]:,} tasks without quotas; with one of 8, a priority and a duration; with a quota of their own:\n"
    )
    of_kinds = _best([[_measure(SIZES[-1], kind) for kind in _KINDS] for _ in range(_BEST_OF)])
    rows = [(kind, *_row(SIZES[-1], figures)[1:]) for kind, figures in zip(_KINDS, of_kinds, strict=True)]
    print(report.table(_HEAD, rows))
    plain, *shared = (figures["execute_cpu_s"] for figures in of_kinds)
    for kind, cpu_s in zip(_KINDS[1:], shared, strict=True):
        print(report.target(f"CPU time of {kind} to that without", cpu_s / plain, _SHARES_TARGET))
    _run_recorded_and_loaded()
    _run_million(best[1])


def _run_recorded_and_loaded() -> None:
    """The same graph with the state database, and read from JSON."""
    size, kinds = SIZES[-1], ("recorded", "loaded")
    recorded, loaded = _best([[_measure(size, kind) for kind in kinds] for _ in range(_BEST_OF)])
    print(f"\n{size:,} tasks with the state database, 1,000 side by side; and read from JSON, not executed:\n")
    print(
        report.table(
            ("", "s", "CPU s", "peak MB"),
            [
                ("run put on record", f"{recorded['create_run_s']:.2f}", "", ""),
                ("executed, on record", *_figures(recorded, "execute_s")),
                (f"read, {loaded['size_mb']:.1f} MiB", *_figures(loaded, "load_s")),
            ],
        )
    )
    load, cpus = os.getloadavg()[0], os.cpu_count() or 1
    noisy = f"too noisy (a load of {load:.1f} on {cpus} CPUs)" if load > cpus * _NOISE_LIMIT else ""
    for what, seconds, limit in (
        ("with the state database", recorded["execute_s"], _RECORDED_SECONDS_TARGET),
        ("read from JSON", loaded["load_s"], _LOADED_SECONDS_TARGET),
    ):
        print(report.target(f"{size:,} tasks {what}", seconds, limit, unit=" s", noisy=noisy))


def _figures(found: dict[str, float], seconds: str) -> tuple[str, ...]:
    return f"{found[seconds]:.2f}", f"{found['cpu_s']:.2f}", f"{found['peak_mb']:.0f}"


def _run_million(small: dict[str, float]) -> None:
    """A million tasks, once: of processor time, a task may take little more than among ten thousand."""
    found = _measure(_MILLION)
    print(f"\n{_MILLION:,} tasks, once:\n")
    print(report.table(_HEAD, [_row(_MILLION, found)]))
    growth = (found["execute_cpu_s"] / _MILLION) / (small["execute_cpu_s"] / SIZES[1])
    print(report.target(f"CPU time per task at {_MILLION:,} to that at {SIZES[1]:,}", growth, _MILLION_TARGET))


def _best(rounds: Sequence[Sequence[dict[str, float]]]) -> list[dict[str, float]]:
    """The lowest of each figure, over the rounds, for each thing that is measured in a round."""
    return [{key: min(one[key] for one in found) for key in found[0]} for found in zip(*rounds, strict=True)]


def _measure(size: int, kind: str = "plain") -> dict[str, float]:
    answer = subprocess.run([sys.executable, "-m", "benchmarks.scale_once", str(size), kind], stdout=-1, check=True)
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def _row(size: int, figures: dict[str, float]) -> tuple[str, ...]:
    seconds = (figures["build_tasks_s"], figures["build_graph_s"], figures["execute_s"], figures["execute_cpu_s"])
    return (
        f"{size:,}",
        *(f"{value:.3f}" for value in seconds),
        f"{figures['execute_s'] / size * 1e6:.1f}",
        f"{figures['peak_mb']:.0f}",
    )


def _targets(best: Sequence[dict[str, float]]) -> list[str]:
    largest, smallest = best[-1], best[0]
    seconds = largest["build_tasks_s"] + largest["build_graph_s"] + largest["execute_s"]
    growth = (largest["execute_s"] / SIZES[-1]) / (smallest["execute_s"] / SIZES[0])
    # It has the processor for itself where it can: the rest of the time went to other programs.
    shared = largest["execute_s"] / largest["execute_cpu_s"]
    noisy = f"too noisy (the clock went {shared:.2f} times as far as the processor)" if shared > _NOISE_LIMIT else ""
    return [
        report.target(f"{SIZES[-1]:,} tasks, built and executed", seconds, _SECONDS_TARGET, unit=" s", noisy=noisy),
        report.target(f"{SIZES[-1]:,} tasks, peak memory", largest["peak_mb"], _MEMORY_TARGET_MB, digits=0, unit=" MB"),
        report.target(f"cost per task at {SIZES[-1]:,} to that at {SIZES[0]:,}", growth, _GROWTH_TARGET, noisy=noisy),
    ]
