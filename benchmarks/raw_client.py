"""The floor: a perfect client, which asks the engine for nothing but the containers themselves."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from contextlib import suppress
from typing import Any

from benchmarks.contender import Measured
from benchmarks.engine_client import EngineAnswerError, EngineConnection, quoted_filters
from benchmarks.graphs import IMAGE, Graph, task_id
from dockersched import ids
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.translate import LABEL_RUN, create_body

_EPIC = "bench"


class RawClient:
    """Create, start, wait, remove, and nothing else, for the same containers as dockersched's.

    There are as many threads as slots, each with a connection of its own. A task's end releases its dependents
    before its container is removed. The image must be there.
    """

    name = "floor"

    def __init__(self) -> None:
        with EngineConnection() as engine:
            self._image_id = str(engine.call("GET", f"/images/{IMAGE}/json")["Id"])
        self._defaults = SandboxDefaults()

    def run(self, graph: Graph) -> Measured:
        """Runs the graph.

        Raises:
            EngineAnswerError: a container failed, or the engine refused something.
        """
        run_id = f"bench-{secrets.token_hex(4)}"
        started, cpu = time.monotonic(), time.process_time()
        walk = _Walk(graph)
        threads = [threading.Thread(target=self._work, args=(walk, graph, run_id)) for _ in range(graph.max_parallel)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt as interrupt:
            walk.fail(interrupt)
            raise
        measured = Measured(time.monotonic() - started, time.process_time() - cpu)
        if walk.error is not None:
            _remove_all(run_id)
            raise walk.error
        return measured

    def _work(self, walk: _Walk, graph: Graph, run_id: str) -> None:
        try:
            with EngineConnection() as engine:
                while (index := walk.next()) is not None:
                    self._run_one(engine, walk, index, self._create(engine, graph, run_id, index))
        except (EngineAnswerError, OSError) as error:
            walk.fail(error)

    def _create(self, engine: EngineConnection, graph: Graph, run_id: str, index: int) -> str:
        task, (command, *args) = task_id(index), graph.command
        options = self._defaults.fill(
            SandboxRunOptions(ids.sandbox_id(_EPIC, task), command, args, _EPIC, run_id, task, quota=graph.quota)
        )
        body = create_body(options, image_id=self._image_id)
        name = ids.container_name(_EPIC, run_id, task, options.attempt)
        return str(engine.call("POST", f"/containers/create?name={name}", body)["Id"])

    def _run_one(self, engine: EngineConnection, walk: _Walk, index: int, container: str) -> None:
        engine.call("POST", f"/containers/{container}/start")
        exit_code = engine.call("POST", f"/containers/{container}/wait")["StatusCode"]
        if exit_code != 0:
            raise EngineAnswerError(f"the container of {task_id(index)} ended with {exit_code}")
        walk.done(index)
        engine.call("DELETE", f"/containers/{container}?v=1&force=1")


class _Walk:
    """Hands out a graph's tasks to threads, each one as soon as its dependencies are done."""

    def __init__(self, graph: Graph) -> None:
        self.error: BaseException | None = None
        self._slots = graph.max_parallel
        self._unmet = [len(needs) for needs in graph.needs]
        self._dependents = graph.dependents()
        self._left = len(graph)
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for index, unmet in enumerate(self._unmet):
            if unmet == 0:
                self._ready.put(index)

    def next(self) -> int | None:
        """Waits for a task that may start; None when there is nothing more to do."""
        index = self._ready.get()
        return index if self.error is None else None

    def done(self, index: int) -> None:
        """A task has ended: those that waited for it alone may start."""
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
            for dependent in self._dependents[index]:
                self._unmet[dependent] -= 1
                if self._unmet[dependent] == 0:
                    self._ready.put(dependent)
        if is_last:
            self._end()

    def fail(self, error: BaseException) -> None:
        """Nothing more is started."""
        self.error = error
        self._end()

    def _end(self) -> None:
        for _ in range(self._slots):
            self._ready.put(None)


def _remove_all(run_id: str) -> None:
    with EngineConnection() as engine:
        filters = quoted_filters(label=f"{LABEL_RUN}={run_id}")
        containers: list[dict[str, Any]] = engine.call("GET", f"/containers/json?all=1&filters={filters}")
        for container in containers:
            with suppress(EngineAnswerError):
                engine.call("DELETE", f"/containers/{container['Id']}?v=1&force=1")
