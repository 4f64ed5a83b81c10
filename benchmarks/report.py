"""What the benches print."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence

from benchmarks.engine_client import EngineConnection


def conditions() -> str:
    """Where and when, in two lines."""
    with EngineConnection() as engine:
        version = engine.call("GET", "/version")
        info = engine.call("GET", "/info")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}: {os.cpu_count()} CPUs, load {load}, "
        f"kernel {platform.release()}, Python {platform.python_version()}\n"
        f"engine {version['Version']} (API {version['ApiVersion']}): {info['NCPU']} CPUs, storage {info['Driver']}, "
        f"cgroup v{info.get('CgroupVersion', '?')}, runtime {info['DefaultRuntime']}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = [f"{'-' * (width - 1)}:" if column else "-" * width for column, width in enumerate(widths)]
    cells = [_padded(head, widths), rule, *(_padded(row, widths) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def target(what: str, measured: float, limit: float, *, digits: int = 2, unit: str = "", noisy: str = "") -> str:
    """A line that tells whether a target is met.

    Args:
        what: the name of the figure.
        measured: the figure.
        limit: what it should be at most.
        digits: behind the point.
        unit: behind the figures, with its space.
        noisy: why the figure tells nothing; empty when it does.
    """
    verdict = f"not judged, {noisy}" if noisy else "met" if measured <= limit else "missed"
    return f"target {what}: {measured:.{digits}f}{unit}, at most {limit:g}{unit}: {verdict}"


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    aligned = zip(line, widths, strict=True)
    return [cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(aligned)]
