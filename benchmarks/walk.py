"""The order in which a perfect client starts a graph's tasks."""

from __future__ import annotations

import heapq
import threading

from benchmarks.graphs import Graph


class Walk:
    """Hands out a graph's tasks to threads, each one as soon as its dependencies are done.

    Of those that may start, the one that begins the longest path comes first.
    """

    def __init__(self, graph: Graph) -> None:
        self.error: BaseException | None = None
        self._unmet = [len(needs) for needs in graph.needs]
        self._dependents = graph.dependents()
        self._rank = [(-path.seconds, -path.steps, index) for index, path in enumerate(graph.paths())]
        self._left = len(graph)
        self._changed = threading.Condition()
        self._ready = [self._rank[index] for index, unmet in enumerate(self._unmet) if unmet == 0]
        heapq.heapify(self._ready)

    def next(self) -> int | None:
        """Waits for a task that may start; None when there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._has_ended)
            return None if self._has_ended else heapq.heappop(self._ready)[-1]

    def done(self, index: int) -> None:
        """A task has ended: those that waited for it alone may start."""
        with self._changed:
            self._left -= 1
            for dependent in self._dependents[index]:
                self._unmet[dependent] -= 1
                if self._unmet[dependent] == 0:
                    heapq.heappush(self._ready, self._rank[dependent])
                    self._changed.notify()
            if self._has_ended:
                self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Nothing more is started."""
        with self._changed:
            self.error = error
            self._changed.notify_all()

    @property
    def _has_ended(self) -> bool:
        return self._left == 0 or self.error is not None
