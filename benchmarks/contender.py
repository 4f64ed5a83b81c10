"""What every way to run a graph of containers has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks.graphs import Graph
from benchmarks.leftovers import Left


@dataclass(frozen=True)
class Measured:
    """One run of a graph.

    Args:
        makespan_s: from the call to its end; for a program, the interpreter's start included.
        cpu_s: processor time of the client; the engine's is not in it.
        left: what it left on the engine, and is removed.
        peak_bytes: memory of the client; 0 for one that is part of the bench's own process.
        before_s, epic_s, after_s: parts of the makespan, where they are known: until the epic began, from its
            beginning to its end as the result has it, and from there to the end of the program.
    """

    makespan_s: float
    cpu_s: float
    left: Left
    peak_bytes: int = 0
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
        """Runs the graph to its end; what it left behind is counted and removed.

        Raises:
            CommandFailedError: a program did not succeed.
            EngineAnswerError: the engine refused something, or a container failed.
        """
        ...
