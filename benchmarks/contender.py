"""What every way to run a graph of containers has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks.graphs import Graph


@dataclass(frozen=True)
class Measured:
    """One run of a graph.

    Args:
        makespan_s: from the call to its end; for a program, the interpreter's start included.
        cpu_s: processor time of the client; the engine's is not in it.
        before_s, epic_s, after_s: parts of the makespan, where they are known: until the epic began, from its
            beginning to its end as the result has it, and from there to the end of the program.
    """

    makespan_s: float
    cpu_s: float
    before_s: float = 0.0
    epic_s: float = 0.0
    after_s: float = 0.0


class Contender(Protocol):
    """A way to run a graph."""

    @property
    def name(self) -> str:
        """For the tables."""
        ...

    def run(self, graph: Graph) -> Measured:
        """Runs the graph to its end, leaving nothing behind."""
        ...
